"""The U-Net's map of one X-ray."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import models
from baseline.explanation.one_study import StudyExplanation
from cnn.data import planes
from cnn.prediction.networks import predict_part
from cnn.study.model import DrawingRun
from features.squares.geometry import square_bytes


def draw(
    part: DrawingRun, pixels: NDArray[np.float32], explained: StudyExplanation
) -> NDArray[np.float32]:
    """The U-Net's map of one X-ray in [0, 1], on the networks' square.

    It is rounded to levels of 1/255, as a run keeps its maps.
    """
    networks, fold, size = part.networks, explained.fold, part.networks.config.size
    count = len(networks.params)
    evidence = [np.zeros((1, size, size), np.uint8)] * count if networks.config.evidence else []
    for number in range(count) if fold is None else [fold]:
        if networks.config.evidence:
            evidence[number] = _plane(part, number, explained, size)[None]
    image = square_bytes(pixels, size)[None]
    drawn = predict_part(networks, image, pd.Series([fold], dtype="Int64"), evidence)
    return drawn[0].astype(np.float32) / 255


def _plane(
    part: DrawingRun, number: int, explained: StudyExplanation, size: int
) -> NDArray[np.uint8]:
    """The evidence map by the model of one fold, on the networks' square."""
    evidence_map = models.draw(part.evidence[number], explained.by_lung, explained.cells)
    study = explained.study
    rows = pd.DataFrame({"id": [study.id], "rows": [study.rows], "columns": [study.columns]})
    return next(planes.draw({study.id: evidence_map}, rows, size))
