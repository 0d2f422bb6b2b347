"""The evidence map: where the air of a pneumothorax lies, cell by cell.

No image of a fold is predicted by an evidence model (see `baseline.evidence_map.models`) that saw
it or its patient. And no fold model of the classifier learns from an evidence model that saw the
fold it is scored on: the classifier of fold k gets, for images of fold m, the evidence model that
saw neither k nor m, and for all others the one that did not see fold k. The U-Net of fold k sees
the maps in the same way.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import by_zone, fit, models, results
from baseline.evidence_map.implants import read_implants
from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.results import EvidenceScores, EvidenceSettings
from baseline.evidence_map.training_data import (
    Floats,
    TrainingData,
    read_auxiliary,
    read_training_data,
)
from baseline.learning.training_rows import training_rows
from features.run import command, files, parallel
from features.run.files import UserError
from features.run.folder import RunFolder
from features.run.version import VERSION


@dataclass(frozen=True)
class Settings:
    """Learn the evidence map of RUN and draw it for every image, into RUN/evidence/."""

    run: Path
    """Run folder with features.parquet and cells/."""
    auxiliary: Path | None = None
    """Run folder with cells/ of auxiliary phantoms, which help to learn where the air lies."""
    implants: Path | None = None
    """Folder of the cells of implants in RUN's images, as features.implant.measure writes it."""
    seed: int = 0
    """Seed of the boosters."""
    weak_weight: float = 0.5
    """Weight of a weakly labelled image in training; a truly labelled one has 1."""
    jobs: int = -1
    """Models trained at once; -1 for one a core."""


@dataclass(frozen=True)
class FittedModel:
    """An evidence model and its predictions.

    Parameters
    ----------
    model : EvidenceModel or None
        None for a model that leaves out two folds: it is not needed once it has predicted.
    by_zone : DataFrame
        As `RunFolder.evidence_by_zone` has it; for_fold is the fold whose classifier gets the row.
    cells : DataFrame
        The map of the left-out folds' images; for a model that leaves out one fold, also of the
        images that belong to no fold. Where two folds are left out, the network of the one fold
        learns from the maps of the other fold's images.
    """

    model: EvidenceModel | None
    by_zone: pd.DataFrame
    cells: pd.DataFrame


def fit_and_predict(without: tuple[int, ...], settings: Settings) -> FittedModel:
    """Fit the model that sees none of the folds in `without`, one or two, and predict these."""
    data = read_training_data(RunFolder(settings.run))
    auxiliary = None
    if settings.auxiliary is not None:
        auxiliary = read_auxiliary(RunFolder(settings.auxiliary), data.rows["id"])
    model = fit.fit_model(
        data, without, settings.weak_weight, settings.seed, auxiliary, settings.implants
    )
    fold, single = data.rows["fold"], len(without) == 1
    predicted = fold.isin(without) | (fold.isna() & single)
    images = np.flatnonzero(predicted.to_numpy(bool))
    lungs, probability = models.predict_many(model, data, images)
    # The classifier of one fold of a pair learns from the images of the other.
    other_fold: dict[int | None, int] = {without[0]: without[-1], without[-1]: without[0]}
    folds = [None if pd.isna(number) else int(number) for number in fold.iloc[images]]
    for_fold = np.array([other_fold.get(number, without[0]) for number in folds], np.int64)
    table = by_zone.of_images(data, images, lungs, probability)
    table.insert(0, "for_fold", for_fold)
    cells = _cells(data, images, lungs, probability, for_fold)
    return FittedModel(model if single else None, table, cells)


def _cells(
    data: TrainingData,
    images: NDArray[np.intp],
    lungs: Floats,
    probability: list[Floats],
    for_fold: NDArray[np.int64],
) -> pd.DataFrame:
    """Rows of the evidence map, as `RunFolder.evidence_map` has them."""
    places = [data.cells.iloc[data.cells_of(image)] for image in images]
    lung = [of_image[place["side"]] for of_image, place in zip(lungs, places, strict=True)]
    return pd.concat(places)[["id", "row", "column"]].assign(
        probability=np.concatenate(probability).astype(np.float32),
        lung=np.concatenate(lung).astype(np.float32),
        for_fold=np.repeat(for_fold, [len(place) for place in places]),
    )


def main(settings: Settings) -> None:
    """Write the maps, their summaries by zone, the folds' models, metrics.json, settings.json."""
    run = RunFolder(settings.run).check()
    dataset = run.images()
    if not 0 <= settings.weak_weight < np.inf:
        raise UserError(
            f"--weak-weight is {settings.weak_weight}, but must be at least 0; 0 leaves the weak "
            "labels out."
        )
    auxiliary = 0
    if settings.auxiliary is not None:  # errors come before any training
        auxiliary_run = RunFolder(settings.auxiliary).check()
        auxiliary = read_auxiliary(auxiliary_run, dataset["id"]).images
    implants = 0
    if settings.implants is not None:
        data = read_training_data(run)
        implants = read_implants(settings.implants, data, np.ones(len(data.rows), bool)).images
    folds = range(int(training_rows(dataset)["fold"].max()) + 1)
    left_out = [*((fold,) for fold in folds), *combinations(folds, 2)]
    work = partial(fit_and_predict, settings=settings)
    fitted = list(
        parallel.stream(work, left_out, "learning the evidence map", settings.jobs, unit="models")
    )
    used_settings = EvidenceSettings(
        VERSION, settings.seed, settings.weak_weight, auxiliary, fit.AUXILIARY_WEIGHT, implants
    )
    scores = _write(run, fitted, used_settings)
    print(f"{len(left_out)} models; out of fold, where masks are known:")
    for name, estimate in asdict(scores).items():
        if estimate is not None:
            print(f"  {results.IN_WORDS[name]} {getattr(scores, name)}")


def _write(run: RunFolder, fitted: list[FittedModel], settings: EvidenceSettings) -> EvidenceScores:
    """Write all files; the table by zone comes last and marks that the others are complete."""
    single = [part for part in fitted if part.model is not None]
    pairs = [part for part in fitted if part.model is None]
    table = _joined(part.by_zone for part in fitted)
    cells = _joined(part.cells for part in single)
    scores = results.score(read_training_data(run), table, cells)
    run.evidence_by_zone.path.unlink(missing_ok=True)
    models.save(run, [part.model for part in single if part.model is not None])
    files.write_record(run.evidence_metrics, scores)
    files.write_record(run.evidence_settings, settings)
    run.evidence_pairs.write(_joined(part.cells for part in pairs))
    run.evidence_map.write(cells)
    run.evidence_by_zone.write(table)
    return scores


def _joined(parts: Iterator[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    command.run(main)
