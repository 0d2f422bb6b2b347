"""Zone summaries of a map that says, cell by cell, how likely the air of a pneumothorax lies there.

The map is learned (`baseline.evidence_map.train`), so this family is no part of the feature table; each model
of the verdict gets its own, from maps that saw neither the image nor the model's held-out fold.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from features.families.measures import Measure
from features.lungs.zones import NAMES, PARENTS, SIDES, ZONES

MEASURES = (
    Measure("mean", "share of the place that looks like air outside the lung", ""),
    Measure("most", "how much the most suspicious spot looks like air outside the lung", ""),
)
LUNG_MEASURES = (
    Measure("lung", "how much the lung, compared with the other, looks collapsed", "log-odds"),
)
# Probabilities nearer to 0 or 1 than this are not told apart.
FLOOR = 1e-4


def names() -> tuple[str, ...]:
    """Names of all columns, in the order of `summarise`."""
    return (
        *(f"evidence.{zone}.{measure.name}" for zone in NAMES for measure in MEASURES),
        *(f"evidence.{side}_whole.{m.name}" for side in SIDES for m in LUNG_MEASURES),
    )


def summarise(
    lungs: NDArray[np.float64], cells: NDArray[np.float64], zones: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Evidence of one image by zone.

    Parameters
    ----------
    lungs : (2,) array in [0, 1]
        Probability that the right and the left lung has collapsed.
    cells : (n,) array in [0, 1]
        Probability of air outside the lung in each cell.
    zones : (n,) array of int
        Index into `NAMES` of the finest zone of each cell.

    Returns
    -------
    (k,) array of float32
        All finite; a zone without cells takes its whole lung's values.
    """
    parts = len(NAMES)
    counts = PARENTS @ np.bincount(zones, minlength=parts)
    mean = PARENTS @ np.bincount(zones, cells, parts) / np.maximum(counts, 1)
    finest = np.zeros(parts)
    np.maximum.at(finest, zones, cells)
    most = np.where(PARENTS, finest, 0).max(axis=1)
    number = np.arange(parts)
    used = np.where(counts > 0, number, number - number % len(ZONES))
    found = np.stack((mean, most), axis=1)[used]
    odds = logit(np.clip(lungs, FLOOR, 1 - FLOOR))
    return np.concatenate((found.ravel(), odds)).astype(np.float32)
