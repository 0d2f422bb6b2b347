"""The evidence map summed up by zone of the lung, as the classifier's features."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import models
from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.training_data import Floats, TrainingData, by_lung
from features.cells.measure import Cells
from features.families import map_summary


def of_images(
    data: TrainingData, images: NDArray[np.intp], lungs: Floats, probability: list[Floats]
) -> pd.DataFrame:
    """Evidence by zone of some images of a run.

    Parameters
    ----------
    data : TrainingData
    images : (k,) array of int
        Numbers of rows of `data`.
    lungs, probability
        Of `models.predict_many`.

    Returns
    -------
    (k, 1 + m) DataFrame
        id and the columns of `map_summary.names`, float32.
    """
    zones = data.cells["zone"].to_numpy()
    summary = [
        map_summary.summarise(lungs_of_image, cells, zones[data.cells_of(image)])
        for image, lungs_of_image, cells in zip(images, lungs, probability, strict=True)
    ]
    names = map_summary.names()
    table = pd.DataFrame(np.array(summary).reshape(len(images), -1), columns=names)
    table.insert(0, "id", data.rows["id"].to_numpy()[images])
    return table


def of_one_image(
    evidence_models: Sequence[EvidenceModel], row: pd.DataFrame, cells: Cells
) -> tuple[pd.DataFrame, ...]:
    """Evidence by zone of one image by the model of each fold, for a `FeatureTable`.

    Parameters
    ----------
    evidence_models : list of EvidenceModel
        One a fold.
    row : (1, m) DataFrame
        Its features, all that the models were trained on and in their order.
    cells : Cells
        Its cells.

    Returns
    -------
    tuple of (1, k) DataFrames of float32
        One a fold.
    """
    tables = []
    for model in evidence_models:
        lungs, probability = models.predict(model, by_lung(row), cells)
        summary = map_summary.summarise(lungs, probability, cells.zones)
        tables.append(pd.DataFrame([summary], row.index, list(map_summary.names())))
    return tuple(tables)
