"""Evidence family: the evidence map summed up by zone.

The map holds, cell by cell, the probability of the air of a pneumothorax: how likely the lung has
collapsed, times how much the cell looks like air if it has. It is learned
(`baseline.evidence_map.train`), so this family is no part of the feature table. Each classifier has
its own summaries, of maps by models that saw neither the image nor the classifier's held-out fold.

The second factor is summed up by itself too, as the mean over a place and over its most suspicious
cells: a small pneumothorax changes few cells and hardly the lung as a whole (pooling over
instances; Ilse et al., "Attention-based deep multiple instance learning", ICML 2018).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from features.families.family import Family, Measure
from features.lungs.zones import NAMES, PARENTS, ZONES

Floats = NDArray[np.float64]

MEASURES = (
    Measure("mean", "share of the place that looks like air outside the lung", ""),
    Measure("most", "how much the most suspicious spot looks like air outside the lung", ""),
    Measure("texture", "how much the place looks like air by its texture alone", "log-odds"),
    Measure(
        "top_texture",
        "how much the most suspicious twentieth of the place looks like air by its texture alone",
        "log-odds",
    ),
)
LUNG_MEASURES = (
    Measure("lung", "how much the lung, compared with the other, looks collapsed", "log-odds"),
)
FAMILY = Family("evidence", MEASURES, lung_measures=LUNG_MEASURES)
# Probabilities are kept this far from 0 and 1.
FLOOR = 1e-4
# Of so many cells of a place, one is among its most suspicious ones.
ONE_IN = 20


def names() -> tuple[str, ...]:
    """Names of all columns, in the order of `summarise`."""
    return (*FAMILY.zone_names, *FAMILY.lung_names)


def texture_names() -> tuple[str, ...]:
    """Names of the columns that the texture alone decides, whatever the lung."""
    return tuple(name for name in FAMILY.zone_names if name.endswith("texture"))


def summarise(lungs: Floats, cells: Floats, zones: NDArray[np.integer]) -> NDArray[np.float32]:
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
    # A zone without cells takes its whole lung's values.
    number = np.arange(parts)
    used = np.where(counts > 0, number, number - number % len(ZONES))
    finest = np.zeros(parts)
    np.maximum.at(finest, zones, cells)
    most = np.where(PARENTS, finest, 0).max(axis=1)
    texture = cells / np.maximum(lungs[zones // len(ZONES)], FLOOR)
    summary = (_mean(cells, zones, counts), most, _log_odds(_mean(texture, zones, counts)))
    top = _log_odds(_top_mean(texture, zones, counts))
    by_zone = np.stack((*summary, top), axis=1)[used]
    return np.concatenate((by_zone.ravel(), _log_odds(lungs))).astype(np.float32)


def _mean(cells: Floats, zones: NDArray[np.integer], counts: NDArray[np.integer]) -> Floats:
    """Mean over each zone; 0 where it has no cell."""
    return PARENTS @ np.bincount(zones, cells, len(NAMES)) / np.maximum(counts, 1)


def _top_mean(cells: Floats, zones: NDArray[np.integer], counts: NDArray[np.integer]) -> Floats:
    """Mean over the highest of each zone's cells, one in `ONE_IN` and at least one."""
    order = np.argsort(-cells, kind="stable")
    inside = PARENTS[:, zones[order]]
    rank = inside.cumsum(axis=1)
    wanted = np.maximum(counts // ONE_IN, 1)[:, None]
    chosen = inside & (rank <= wanted)
    return chosen @ cells[order] / np.maximum(chosen.sum(axis=1), 1)


def _log_odds(probability: Floats) -> Floats:
    odds: Floats = logit(np.clip(probability, FLOOR, 1 - FLOOR))
    return odds
