"""What each source teaches the evidence map: ``python -m tests.benchmarks.evidence_sources RUN``.

The models of all folds are fitted anew without one of the sources, or from one alone, and scored on
the images that they have not seen and whose mask is known:

* readers: images with a true label, and the masks that readers drew on them;
* weak labels: images with a label from another model, and without their masks;
* weak masks: what another model drew on these;
* phantoms: auxiliary phantoms, whose cells help to learn where in a lung the air lies.

Three scores: AUC of collapsed lungs against all others; AUC of cells of air against all others; and
Dice of masks made of cells on the images with pneumothorax, cut at the share of the top score that
is best on the other folds. 95% intervals by bootstrap over patients.

With ``--weights`` the sources all stay, and their weights change (weak labels, cells of weak masks,
of phantoms, of healthy lungs); the last line has, for each fold, the weights with the highest AUC
of cells on the other folds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from baseline.evidence_map import by_zone, fit, models, results
from baseline.evidence_map.fit import SourceWeights
from baseline.evidence_map.training_data import (
    LabelledCells,
    TrainingData,
    read_auxiliary,
    read_training_data,
)
from baseline.gate.rules import MASK_SHARES
from baseline.learning import scores
from cnn.gate.scoreboard import at_others_share
from features.lungs.zones import SIDES
from features.run import command
from features.run.files import UserError
from features.run.folder import RunFolder

Floats = NDArray[np.float64]
# So many cells are a thousandth of a square X-ray, from which the gate takes the top score.
TOP_CELLS = 4
SOURCES = ("readers", "weak labels", "weak masks", "phantoms")
KEPT = {
    "all": SOURCES,
    "all but the readers'": SOURCES[1:],
    "all but weak masks": ("readers", "weak labels", "phantoms"),
    "all but weak labels and masks": ("readers", "phantoms"),
    "all but phantoms": SOURCES[:3],
    "the readers' alone": ("readers",),
    "weak labels and masks alone": ("weak labels", "weak masks"),
}
WEIGHTS = (
    SourceWeights(),
    *(SourceWeights(weak_mask_weight=weight) for weight in (0.25, 0.5, 2.0)),
    *(SourceWeights(auxiliary_weight=weight) for weight in (0.03, 0.3)),
    *(SourceWeights(healthy_weight=weight) for weight in (0.0, 0.1, 1.0)),
    *(SourceWeights(weak_weight=weight) for weight in (0.25, 1.0)),
)


@dataclass(frozen=True)
class Settings:
    """Score the evidence map by what it has learned from."""

    run: tyro.conf.Positional[Path]
    """Run folder with features.parquet and cells/; it is only read."""
    auxiliary: Path
    """Run folder with cells/ of auxiliary phantoms."""
    only: tuple[str, ...] = tuple(KEPT)
    """Lines of the table of sources."""
    weights: bool = False
    """Change the weights of the sources instead of the sources."""
    seed: int = 0
    """Seed of the boosters."""


@dataclass(frozen=True)
class Predicted:
    """Evidence by zone, and of each cell; NaN for cells of images without a true label."""

    by_zone: pd.DataFrame
    cells: NDArray[np.float32]


def kept(data: TrainingData, sources: tuple[str, ...]) -> TrainingData:
    """The same images, without what the other sources say of them."""
    has_label = data.rows["label"].notna()
    leave_out = pd.Series(False, index=data.rows.index)
    if "readers" not in sources:
        leave_out |= has_label
    if "weak labels" not in sources:
        leave_out |= ~has_label
    # An image without a fold teaches nothing.
    rows = data.rows.assign(fold=data.rows["fold"].mask(leave_out))
    weak_areas = data.weak_areas if "weak masks" in sources else data.weak_areas * np.nan
    return replace(data, rows=rows, weak_areas=weak_areas)


def predictions(
    data: TrainingData,
    taught: TrainingData,
    auxiliary: LabelledCells | None,
    weights: SourceWeights,
    seed: int,
) -> Predicted:
    """Evidence of all images with a true label, by the models that did not see them."""
    tables, probability = [], np.full(len(data.cells), np.nan, np.float32)
    fold = data.rows["fold"].to_numpy(float, na_value=np.nan)
    known = data.rows["label"].notna().to_numpy()
    for number in command.progress(range(int(np.nanmax(fold)) + 1), "learning", unit="folds"):
        model = fit.fit_model(taught, (number,), weights, seed, auxiliary)
        images = np.flatnonzero((fold == number) & known)
        lungs, of_cells = models.predict_many(model, data, images)
        table = by_zone.of_images(data, images, lungs, of_cells)
        table.insert(0, "for_fold", number)
        tables.append(table)
        for image, values in zip(images, of_cells, strict=True):
            probability[data.cells_of(image)] = values
    return Predicted(pd.concat(tables, ignore_index=True), probability)


def dice_by_share(data: TrainingData, predicted: Predicted) -> tuple[Floats, NDArray[np.intp]]:
    """Dice of masks made of cells, (positives, shares), and the images' numbers.

    As the gate does it, a mask lies in the more suspicious lung and is cut at a share of the map's
    top score.
    """
    share, side = data.cells["share"].to_numpy(float), data.cells["side"].to_numpy()
    columns = [f"evidence.{name}_whole.lung" for name in SIDES]
    worse = predicted.by_zone.set_index("id")[columns].to_numpy().argmax(axis=1)
    worse_lung = dict(zip(predicted.by_zone["id"], worse, strict=True))
    images = np.flatnonzero((data.rows["label"] == 1) & (data.mask_areas.sum(axis=1) > 0))
    dice = []
    for image in images:
        place = data.cells_of(image)
        drawn = predicted.cells[place] * (side[place] == worse_lung[data.rows["id"].iloc[image]])
        top = np.sort(drawn)[-TOP_CELLS:][0]
        chosen = drawn[:, None] >= np.maximum(MASK_SHARES / 100 * top, 1e-6)
        common = (share[place, None] * chosen).sum(axis=0)
        dice.append(2 * common / (chosen.sum(axis=0) + share[place].sum()))
    return np.array(dice), images


def line(name: str, data: TrainingData, predicted: Predicted) -> str:
    """One line of the table."""
    scored = results.score(data, predicted.by_zone, predicted.cells)
    dice, images = dice_by_share(data, predicted)
    rows = data.rows.iloc[images]
    chosen = at_others_share(dice, rows["fold"].to_numpy(np.int64))
    mean = scores.mean(chosen, rows["patient"].to_numpy(object))
    return f"| {name} | {scored.lung} | {scored.cell} | {mean} |"


def by_source(data: TrainingData, auxiliary: LabelledCells, settings: Settings) -> Iterator[str]:
    """The lines of the table of sources."""
    for name in settings.only:
        phantoms = auxiliary if "phantoms" in KEPT[name] else None
        taught = kept(data, KEPT[name])
        yield line(name, data, predictions(data, taught, phantoms, SourceWeights(), settings.seed))


def by_weight(data: TrainingData, auxiliary: LabelledCells, settings: Settings) -> Iterator[str]:
    """The lines of the table of weights, and that of the weights chosen on the other folds."""
    predicted = []
    for weights in WEIGHTS:
        predicted.append(predictions(data, data, auxiliary, weights, settings.seed))
        name = ", ".join(f"{value:g}" for value in asdict(weights).values())
        yield line(name, data, predicted[-1])
    yield line("chosen on the other folds", data, chosen_on_others(data, predicted))


def chosen_on_others(data: TrainingData, predicted: Sequence[Predicted]) -> Predicted:
    """For each fold the predictions whose AUC of cells is the highest on the other folds."""
    fold = data.rows["fold"].to_numpy(float, na_value=np.nan)[data.cells["image"].to_numpy()]
    air = (data.cells["share"].to_numpy() > 0.5).astype(float)
    tables, cells = [], np.full(len(data.cells), np.nan, np.float32)
    for number in range(int(np.nanmax(fold)) + 1):
        others = (fold != number) & np.isfinite(predicted[0].cells)
        aucs = [scores.auc(air[others], one.cells[others]) for one in predicted]
        best = predicted[int(np.argmax(aucs))]
        tables.append(best.by_zone[best.by_zone["for_fold"] == number])
        cells[fold == number] = best.cells[fold == number]
    return Predicted(pd.concat(tables, ignore_index=True), cells)


def main(settings: Settings) -> None:
    """Print the table."""
    if unknown := set(settings.only) - set(KEPT):
        raise UserError(f"--only {min(unknown)}: known lines are {'; '.join(KEPT)}.")
    data = read_training_data(RunFolder(settings.run).check())
    auxiliary = read_auxiliary(RunFolder(settings.auxiliary).check(), data.rows["id"])
    print("| learned from | AUC of lungs | AUC of cells | Dice of cells, others' share |")
    print("|---|---|---|---|")
    lines = (by_weight if settings.weights else by_source)(data, auxiliary, settings)
    for text in lines:
        print(text, flush=True)


if __name__ == "__main__":
    command.run(main, writes=False)
