"""What more cells teach the evidence map: ``python tests/benchmarks/evidence_cells.py RUN``.

The booster that says where in a collapsed lung the air lies learns from all cells of such lungs,
then from every second, every fourth and so on: of the run's own images with a mask, of those with a
weak mask and of auxiliary phantoms alike. It is scored on the collapsed lungs of the images that it
has not seen and whose mask is known: AUC of cells that are mostly air against the others, with 95%
intervals by bootstrap over patients, and of the difference to the first row.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from baseline.evidence_map import fit
from baseline.evidence_map.training_data import (
    LabelledCells,
    TrainingData,
    collapsed,
    labelled_cells,
    read_auxiliary,
    read_training_data,
    weakly_collapsed,
)
from baseline.learning import scores
from features.run import command
from features.run.folder import RunFolder

WEIGHTS = fit.SourceWeights()


@dataclass(frozen=True)
class Settings:
    """Score the evidence map's cells by how many of them it learned from."""

    run: tyro.conf.Positional[Path]
    """Run folder with features.parquet and cells/; it is only read."""
    auxiliary: Path | None = None
    """Run folder with cells/ of auxiliary phantoms."""
    steps: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Of so many cells one is learned from."""
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Folds to score."""
    seed: int = 0
    """Seed of the boosters."""


def samples(
    data: TrainingData, auxiliary: LabelledCells | None, fold: int, step: int
) -> list[tuple[LabelledCells, float]]:
    """Cells outside a fold with their weights, as `fit.fit_model` has them, one in `step`."""
    training = (data.rows["fold"].notna() & (data.rows["fold"] != fold)).to_numpy(bool)[:, None]
    known, weak = (collapsed(data) == 1) & training, weakly_collapsed(data) & training
    weak_step = fit.WEAK_STEP * step
    kinds = [
        (labelled_cells(data.cells, data.values, known, step=step), 1.0),
        (
            labelled_cells(data.cells, data.values, weak, "weak_share", weak_step),
            WEIGHTS.weak_mask_weight,
        ),
    ]
    if auxiliary is not None:
        of_phantoms = auxiliary.values[::step], auxiliary.shares[::step], auxiliary.images
        kinds.append((LabelledCells(*of_phantoms), WEIGHTS.auxiliary_weight))
    return kinds


def main(settings: Settings) -> None:
    """Print the table."""
    run = RunFolder(settings.run).check()
    data = read_training_data(run)
    auxiliary = None
    if settings.auxiliary is not None:
        auxiliary = read_auxiliary(RunFolder(settings.auxiliary), data.rows["id"])
    fold = data.rows["fold"].to_numpy(float, na_value=np.nan)
    ill = (collapsed(data) == 1) & np.isin(fold, settings.folds)[:, None]
    image, side = (data.cells[name].to_numpy() for name in ("image", "side"))
    tested = np.flatnonzero(ill[image, side])
    patients = data.rows["patient"].to_numpy(object)[image[tested]]
    air = (data.cells["share"].to_numpy()[tested] > 0.5).astype(float)
    print("| one cell of | cells learned from, a fold | seconds a fold | AUC | less the first's |")
    print("|---|---|---|---|---|", flush=True)
    predicted: dict[int, np.ndarray] = {}
    for step in settings.steps:
        raw, counts, began = np.empty(len(tested)), [], time.monotonic()
        for number in settings.folds:
            weighted = samples(data, auxiliary, number, step)
            counts.append(sum(len(cells.shares) for cells, _ in weighted))
            booster = fit.fit_cells(weighted, settings.seed)
            held_out = fold[image[tested]] == number
            raw[held_out] = booster.predict(data.values[tested[held_out]].astype(np.float32))
        predicted[step] = raw
        seconds = (time.monotonic() - began) / len(settings.folds)
        first = predicted[settings.steps[0]]

        def auc(rows: np.ndarray, values: np.ndarray = raw) -> float:
            return scores.auc(air[rows], values[rows])

        def gap(rows: np.ndarray, values: np.ndarray = raw, other: np.ndarray = first) -> float:
            return scores.auc(air[rows], values[rows]) - scores.auc(air[rows], other[rows])

        print(
            f"| {step} | {np.mean(counts):,.0f} | {seconds:.0f} | "
            f"{scores.bootstrap(auc, patients, 200)} | {scores.bootstrap(gap, patients, 200)} |",
            flush=True,
        )


if __name__ == "__main__":
    command.run(main, writes=False)
