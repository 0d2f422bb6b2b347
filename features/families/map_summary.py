"""Evidence family: the evidence map summed up by zone.

The map holds, cell by cell, the probability of the air of a pneumothorax. It is learned
(`baseline.evidence_map.train`), so this family is no part of the feature table. Each classifier has
its own summaries, of maps by models that saw neither the image nor the classifier's held-out fold.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from features.families.family import Family, Measure
from features.lungs.zones import NAMES, PARENTS, ZONES

MEASURES = (
    Measure("mean", "share of the place that looks like air outside the lung", ""),
    Measure("most", "how much the most suspicious spot looks like air outside the lung", ""),
)
LUNG_MEASURES = (
    Measure("lung", "how much the lung, compared with the other, looks collapsed", "log-odds"),
)
FAMILY = Family("evidence", MEASURES, lung_measures=LUNG_MEASURES)
# Probabilities are kept this far from 0 and 1.
FLOOR = 1e-4


def names() -> tuple[str, ...]:
    """Names of all columns, in the order of `summarise`."""
    return (*FAMILY.zone_names, *FAMILY.lung_names)


def summarise(
    lungs: NDArray[np.float64], cells: NDArray[np.float64], zones: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Summaries of the map of one image by zone.

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
    summary = np.stack((mean, most), axis=1)[used]
    odds = logit(np.clip(lungs, FLOOR, 1 - FLOOR))
    return np.concatenate((summary.ravel(), odds)).astype(np.float32)
