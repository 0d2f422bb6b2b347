"""Where to cut a map into a mask: ``python -m tests.benchmarks.mask_cuts RUN``.

Dice of the masks of images with pneumothorax, out of fold and without a gate, cut at one level for
all images, or at one share of each map's own top score (which a thousandth of its pixels reach), or
of the root of it. Level and share of an image are those with the highest mean Dice over the images
of the other folds. The last row has for each image the share that is best for itself, which no rule
can know. Scored against the true masks, and against the weak ones of images whose weak label
agrees; those are many and were drawn by another model. 95% intervals by bootstrap over patients.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from baseline.gate.rules import RANKS, TOP
from baseline.learning import scores
from cnn.gate.scoreboard import at_others_share
from cnn.gate.sources import SourceMaps
from features.reading import rle
from features.run import command
from features.run.folder import RunFolder

Floats = NDArray[np.float64]
CUTS = np.arange(0.05, 1, 0.05)
# The level is the cut times the top score to this power.
POWERS = {"one level for all": 0.0, "a share of the root of the top score": 0.5}
POWERS["a share of the top score"] = 1.0
BEST = "the share that is best for the image itself"
SOURCES = {"unet": "U-Net", "evidence": "evidence map", "joint": "mean of both"}


@dataclass(frozen=True)
class Settings:
    """Score ways to cut maps into masks."""

    run: tyro.conf.Positional[Path]
    """Run folder that has come as far as its maps (make cnn)."""


def dice_by_cut(grey: NDArray[np.uint8], truth: NDArray[np.bool_]) -> Floats:
    """Dice at each of `CUTS` by each of `POWERS`, (powers, cuts)."""
    counts = np.bincount(grey.ravel(), minlength=256)
    above = counts[::-1].cumsum()[::-1]
    inside = np.bincount(grey[truth], minlength=256)[::-1].cumsum()[::-1]
    top = np.flatnonzero(above >= RANKS[TOP] * grey.size)[-1] / 255
    powers = np.array(list(POWERS.values()))
    levels = np.ceil(255 * CUTS * top ** powers[:, None]).astype(int).clip(1, 255)
    return 2 * inside[levels] / np.maximum(above[levels] + truth.sum(), 1)


def of_masks(run: RunFolder, rows: pd.DataFrame, column: str) -> dict[str, Floats]:
    """Dice of each image's masks against those of a column, by source: (n, powers, cuts)."""
    streamed = SourceMaps((run,)).stream(rows, tuple(SOURCES))
    codes = rows[[column, "rows", "columns"]].itertuples(index=False)
    dice: dict[str, list[Floats]] = {source: [] for source in SOURCES}
    pairs = zip(streamed, codes, strict=True)
    for maps, (code, *shape) in command.progress(pairs, column.replace("_", " "), len(rows)):
        truth = rle.decode(code, tuple(shape))
        for source, grey in maps.items():
            dice[source].append(dice_by_cut(grey, truth))
    return {source: np.array(of_source) for source, of_source in dice.items()}


def main(settings: Settings) -> None:
    """Print the table."""
    run = RunFolder(settings.run).check()
    table = run.images()
    table = table[table["fold"].notna()]
    drawn = {
        "true": table[table["mask"].notna() & (table["mask"] != rle.EMPTY)],
        "weak": table[
            table["mask"].isna()
            & table["weak_mask"].notna()
            & (table["weak_mask"] != rle.EMPTY)
            & (table["weak"] > 0.5).fillna(False)
        ],
    }
    print(f"| masks | cut at | {' | '.join(SOURCES.values())} |")
    print("|---|---|---|---|---|")
    for kind, rows in drawn.items():
        if rows.empty:
            continue
        dice = of_masks(run, rows, "mask" if kind == "true" else "weak_mask")
        folds = rows["fold"].to_numpy(np.int64)
        patients = rows["patient"].to_numpy(object)
        for number, name in enumerate(POWERS):
            cut = [at_others_share(dice[source][:, number], folds) for source in SOURCES]
            _print_row(kind, name, cut, patients)
        # The last way is the one that the gate goes.
        _print_row(kind, BEST, [dice[source][:, -1].max(axis=1) for source in SOURCES], patients)


def _print_row(kind: str, name: str, dice: list[Floats], patients: NDArray[np.object_]) -> None:
    """Print a row: the mean Dice of each source."""
    means = " | ".join(str(scores.mean(of_source, patients)) for of_source in dice)
    print(f"| {kind} ({len(patients)}) | {name} | {means} |", flush=True)


if __name__ == "__main__":
    command.run(main, writes=False)
