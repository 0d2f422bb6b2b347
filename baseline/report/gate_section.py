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
class DeletionRow:
    """What one setting deletes, with the setting in words, and whether it is the chosen one."""

    name: str
    chosen: bool
    deleted: Deleted


@dataclass(frozen=True)
class DeletionTable:
    """What each setting deletes, the strictest last."""

    title: str
    rows: list[DeletionRow]


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


def _titles(figures: GateFigures) -> tuple[str, str]:
    return "Every mask kept", f"By the rule of {figures.default}"


def area_tables(figures: GateFigures) -> list[DeletionTable]:
    """What each smallest area deletes: of all masks, and of those that the rule keeps, if any."""
    parts = [part for part in (figures.by_mask, figures.by_rule) if part is not None]
    tables = []
    for title, part in zip(_titles(figures), parts, strict=False):
        # Without a gate no area was chosen.
        rows = [
            DeletionRow(
                f"{100 * row.setting:g}%" if row.setting else "none",
                figures.by_rule is not None and row.setting == figures.least_area,
                row,
            )
            for row in part.areas
        ]
        tables.append(DeletionTable(title, rows))
    return tables


def level_tables(figures: GateFigures) -> list[DeletionTable]:
    """What cutting the map at each level deletes, in the same two tables."""
    parts = [part for part in (figures.by_mask, figures.by_rule) if part is not None]
    return [
        DeletionTable(
            title,
            [
                DeletionRow(f"{row.setting:.2f}", row.setting == figures.mask_probability, row)
                for row in part.levels
            ],
        )
        for title, part in zip(_titles(figures), parts, strict=False)
    ]


def disagreement(counts: Disagreement, gallery: dict[str, tuple[int, str]]) -> DisagreementTable:
    """A kind of disagreement with its first cases, linked to the gallery where they are in it."""
    linked = [
        LinkedCase(case, *gallery.get(case.id, (None, ""))) for case in counts.cases[:CASES_SHOWN]
    ]
    return DisagreementTable(counts, linked)


def notes(figures: GateFigures) -> dict[str, str]:
    """What stands above the tables of deletions."""
    source, level = SOURCES[figures.source], f"{figures.mask_probability:.2f}"
    top_level_note = ""
    if figures.by_rule is not None and figures.top_probability != figures.mask_probability:
        top_level_note = (
            f" The rule counts only the area above its top level, {figures.top_probability:.2f}."
        )
    brackets = "In brackets: the Dice that the lost masks had earned. A removed false mask earns 1."
    return {
        "area_note": f"Masks cut from {source} at {level}. Each row empties the masks that are "
        "smaller than a share of the image; 0.2% are 2,097 pixels of 1024 × 1024."
        f"{top_level_note} {brackets}",
        "level_note": f"Masks cut from {source}. Each row empties those masks of the lowest "
        f"level that are empty at its own, higher level. {brackets} Dice on lesions: mean over all "
        "images with pneumothorax, every mask kept.",
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
        "level_tables": level_tables(figures),
        "emptied": disagreement(figures.emptied, gallery),
        "added": disagreement(figures.added, gallery),
    }
