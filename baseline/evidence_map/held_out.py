"""Evidence models that leave out one fold or two, and the maps of what they have not seen.

They are fitted by worker processes, each of which reads what all models learn from once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import by_zone, fit, models
from baseline.evidence_map.fit import SourceWeights
from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.training_data import (
    LabelledCells,
    TrainingData,
    read_auxiliary,
    read_training_data,
)
from features.run import memory
from features.run.folder import RunFolder

# Images of a group of rows of the map.
GROUP_IMAGES = 512


@dataclass(frozen=True)
class Training:
    """What the models of one training are fitted by.

    Parameters
    ----------
    run : Path
        Run folder.
    auxiliary : Path or None
        Run folder of auxiliary phantoms.
    source_weights : SourceWeights
    seed : int
    mark : str
        Another one for each training, so that none uses what a former one has read.
    """

    run: Path
    auxiliary: Path | None
    source_weights: SourceWeights
    seed: int
    mark: str


@dataclass(frozen=True)
class FittedModel:
    """An evidence model and its predictions.

    Parameters
    ----------
    model : EvidenceModel or None
        None for a model that leaves out two folds: it is not needed once it has predicted.
    by_zone : DataFrame
        As `RunFolder.evidence_by_zone` has it; for_fold is the fold whose classifier gets the row.
    images : (k,) array of int
        Numbers of the predicted images: those of the left-out folds and, for a model that leaves
        out one fold, those that belong to no fold. Where two folds are left out, the network of the
        one fold learns from the maps of the other fold's images.
    for_fold : (k,) array of int
        As in `by_zone`.
    lungs : (k, 2) array of float32
        Probability that the right and the left lung has collapsed.
    probability : (n,) array of float32
        Probability of air in each of their cells, image by image.
    """

    model: EvidenceModel | None
    by_zone: pd.DataFrame
    images: NDArray[np.intp]
    for_fold: NDArray[np.int64]
    lungs: NDArray[np.float32]
    probability: NDArray[np.float32]


@lru_cache(maxsize=1)
def read(training: Training) -> tuple[TrainingData, LabelledCells | None]:
    """What all models of a training learn from; kept until the next training's is read."""
    data = read_training_data(RunFolder(training.run))
    if training.auxiliary is None:
        return data, None
    return data, read_auxiliary(RunFolder(training.auxiliary), data.rows["id"])


def fit_and_predict(without: tuple[int, ...], training: Training) -> FittedModel:
    """Fit the model that sees none of the folds in `without`, one or two, and predict these."""
    data, auxiliary = read(training)
    model = fit.fit_model(data, without, training.source_weights, training.seed, auxiliary)
    memory.give_back()
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
    return FittedModel(
        model if single else None,
        table,
        images,
        for_fold,
        lungs.astype(np.float32),
        np.concatenate([of_image.astype(np.float32) for of_image in probability]),
    )


def rows_of_map(data: TrainingData, part: FittedModel) -> Iterator[pd.DataFrame]:
    """Rows of the evidence map by a model, as `RunFolder.evidence_map` has them.

    In groups of some images that are for one fold, so that a reader may leave out the others.
    """
    counts = np.diff(data.starts)[part.images]
    starts = np.cumsum(counts) - counts
    for fold in np.unique(part.for_fold):
        of_fold = np.flatnonzero(part.for_fold == fold)
        for chunk in np.split(of_fold, range(GROUP_IMAGES, len(of_fold), GROUP_IMAGES)):
            cells = ranges(data.starts[part.images[chunk]], counts[chunk])
            table = data.cells[["id", "row", "column"]].iloc[cells]
            sides = data.cells["side"].to_numpy()[cells]
            yield table.assign(
                probability=part.probability[ranges(starts[chunk], counts[chunk])],
                lung=part.lungs[np.repeat(chunk, counts[chunk]), sides],
                for_fold=fold,
            )


def ranges(starts: NDArray[np.intp], counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The numbers from each start on, as many as are counted."""
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)
