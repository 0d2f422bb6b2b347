"""What the report shows of the gate: curves, what stricter settings delete, disagreements.

`cnn.gate.evaluate` writes the numbers to RUN/cnn/gate_figures.json; the report of a run without
them has no such section.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from baseline.explanation import attributions
from baseline.explanation.trained_run import TrainedRun
from baseline.gate import figures as gate_figures
from baseline.gate.figures import Deleted, Disagreement, DisputedCase, GateFigures
from baseline.report import gate_curves

# Cases of each kind of disagreement that are shown.
CASES_SHOWN = 8

SOURCES = {
    "unet": "the U-Net’s map",
    "evidence": "the evidence map",
    "joint": "the mean of both maps",
}


@dataclass(frozen=True)
class DeletionTable:
    """What each smallest area deletes, the largest last, and which row was chosen, if any."""

    title: str
    rows: tuple[Deleted, ...]
    chosen: float | None


@dataclass(frozen=True)
class LinkedCase:
    """A disputed case, with its number and anchor in the gallery; None and "" where it is not."""

    case: DisputedCase
    number: int | None
    anchor: str


@dataclass(frozen=True)
class DisagreementTable:
    """Images on which only one of two policies keeps the mask, and the first of them."""

    counts: Disagreement
    cases: list[LinkedCase]


def read(trained: TrainedRun) -> tuple[GateFigures | None, str]:
    """Read the gate's figures as cnn.gate.evaluate wrote them.

    Returns
    -------
    figures : GateFigures or None
        None where there are none, or the classifier has changed since.
    state : {"", "fresh", "stale"}

    Raises
    ------
    UserError
        If the file is damaged.
    """
    figures = gate_figures.read_figures(trained.run)
    if figures is None:
        return None, ""
    predicted = trained.predicted[trained.predicted["kind"] == "oof"]
    known = trained.dataset.loc[predicted["id"], "mask"].notna().to_numpy()
    odds = logit(np.clip(predicted["probability"].to_numpy(float)[known], 1e-6, 1 - 1e-6))
    gap = abs(odds.mean() - figures.mean_log_odds)
    same = len(odds) == figures.images and gap <= attributions.TOLERANCE
    return (figures, "fresh") if same else (None, "stale")


def area_tables(figures: GateFigures) -> list[DeletionTable]:
    """What each smallest area deletes: of all masks, and of those that the rule keeps, if any."""
    # Without a gate no area was chosen.
    chosen = None if figures.by_rule is None else figures.least_area
    tables = [DeletionTable("Every mask kept", figures.by_mask, chosen)]
    if figures.by_rule is not None:
        tables.append(DeletionTable(f"By the rule of {figures.default}", figures.by_rule, chosen))
    return tables


def disagreement(counts: Disagreement, gallery: dict[str, tuple[int, str]]) -> DisagreementTable:
    """A kind of disagreement with its first cases, linked to the gallery where they are in it."""
    linked = [
        LinkedCase(case, *gallery.get(case.id, (None, ""))) for case in counts.cases[:CASES_SHOWN]
    ]
    return DisagreementTable(counts, linked)


def notes(figures: GateFigures) -> dict[str, str]:
    """What stands above the tables of areas and shares."""
    source = SOURCES[figures.source]
    top_level_note = ""
    if figures.by_rule is not None:
        top_level_note = (
            f" The rule counts the area above its top level, {figures.top_probability:.2f}."
        )
    return {
        "area_note": f"Masks cut from {source} at {figures.mask_share:.0%} of its top score, which "
        "a thousandth of its pixels reach. Each row empties the masks that are smaller than a "
        f"share of the image; 0.2% are 2,097 pixels of 1024 × 1024.{top_level_note} In brackets: "
        "the Dice that the lost masks had earned. A removed false mask earns 1.",
        "share_note": f"Masks cut from {source}. Dice on lesions: mean over all images with "
        "pneumothorax, every mask kept. Mean Dice: of all images, by the default rule.",
    }


def shown(figures: GateFigures, gallery: dict[str, tuple[int, str]]) -> dict[str, Any]:
    """What the template shows.

    Parameters
    ----------
    figures : GateFigures
    gallery : dict of str to (int, str)
        Number and anchor of each case in the gallery, by image id.
    """
    scale = gate_curves.common_scale(figures)
    curves = [curve for curve in figures.curves if curve.policy != "empty"]
    return notes(figures) | {
        "figures": figures,
        "panels": [gate_curves.panel(curve, figures.all_empty, scale) for curve in curves],
        "ticks": scale.ticks(),
        "all_empty_place": scale.place(figures.all_empty),
        "area_tables": area_tables(figures),
        "emptied": disagreement(figures.emptied, gallery),
        "added": disagreement(figures.added, gallery),
    }
