"""GLCM family: how grey levels of neighbouring pixels go together (Haralick et al. 1973).

Grey levels in lung units are cut into 16 bins of fixed width. Both pixels of a pair must lie in the
zone, so a pixel outside cannot change a value. Counts of four directions are pooled and made
symmetric; the measures are named after the IBSI reference manual, section 3.6.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.families.family import Family, Measure
from features.lungs.prepared import CLIP, Prepared
from features.lungs.zones import NAMES, PARENTS

GREY_LEVELS = 16
# 16 bins over -2 .. 2 lung units hold nearly all lung pixels; the ends take the rest.
REACH = CLIP / 2
DISTANCES = (1, 4)
# Whose counts make up those of each zone: its own, and those of the finest zones in it.
NESTED = (PARENTS | np.eye(len(NAMES), dtype=bool)).astype(float)

_TEXTS = {
    "contrast": "contrast of neighbouring grey levels; vessels and ribs raise it, air lowers it",
    "correlation": "correlation of neighbouring grey levels; high on smooth slopes, low on noise",
    "energy": "angular second moment; high where few pairs of grey levels repeat, as in even air",
    "entropy": "joint entropy of neighbouring grey levels; low in even, markless areas",
    "homogeneity": "inverse difference moment; high where neighbours are alike, as in even air",
}
MEASURES = tuple(
    Measure(f"{name}_d{distance}", f"{text} (pixels {distance} apart)", "")
    for distance in DISTANCES
    for name, text in _TEXTS.items()
)


def quantise(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut grey levels in lung units into bins 0 .. 15 of fixed width."""
    bins = np.floor((grey + REACH) * (GREY_LEVELS / (2 * REACH)))
    return np.clip(bins, 0, GREY_LEVELS - 1).astype(np.uint8)


def counts(
    bins: NDArray[np.integer],
    labels: NDArray[np.int8],
    distance: int,
    zones: int,
    levels: int = GREY_LEVELS,
) -> NDArray[np.int32]:
    """Symmetric co-occurrence counts of every zone, one matrix for each of four directions.

    Parameters
    ----------
    bins : (h, w) array of int in 0 .. levels - 1
    labels : (h, w) or (ways, h, w) array of int8
        Zone of each pixel, -1 for none; several maps if zones overlap, of the same pixels, the
        finest last. A pair within a zone of the finest map is counted for that zone alone.
    distance : int
        Distance in pixels along each axis; directions 0, 45, 90 and 135 degrees.
    zones : int
        Number of zones.
    levels : int
        Number of grey levels.

    Returns
    -------
    (4, zones, levels, levels) array of int
    """
    d = distance
    # A frame of no zone around each map spares the loop all tests for the image's border.
    maps = np.pad(labels.reshape(-1, *bins.shape), ((0, 0), (d, d), (d, d)), constant_values=-1)
    level = np.pad(np.asarray(bins, np.uint8), d)
    steps = d * np.array((1, level.shape[1] + 1, level.shape[1], level.shape[1] - 1))
    pairs = _pairs(level.ravel(), maps.reshape(len(maps), -1), steps, zones, levels)
    pairs = pairs.reshape(len(steps), zones, levels, levels)
    return pairs + pairs.transpose(0, 1, 3, 2)


@njit(cache=True)
def _pairs(bins, maps, steps, zones, levels):  # type: ignore[no-untyped-def]
    pairs = np.zeros((len(steps), zones * levels * levels), np.int32)
    finest = maps[-1]
    for here in range(len(bins)):
        zone = finest[here]
        if zone < 0:
            continue
        for number in range(len(steps)):
            there = here + steps[number]
            if finest[there] == zone:
                pairs[number, (zone * levels + bins[here]) * levels + bins[there]] += 1
                continue
            for labels in maps[:-1]:
                if labels[there] == labels[here]:
                    place = (labels[here] * levels + bins[here]) * levels + bins[there]
                    pairs[number, place] += 1
    return pairs


def describe(matrix: NDArray[np.number]) -> dict[str, NDArray[np.float64]]:
    """Measures of co-occurrence counts.

    Parameters
    ----------
    matrix : (n, levels, levels) array
        Symmetric counts; all zero for a zone without pairs, which counts as a single grey level.

    Returns
    -------
    dict of (n,) arrays
    """
    total = matrix.sum(axis=(1, 2), keepdims=True)
    p = matrix / np.maximum(total, 1)
    levels = np.arange(matrix.shape[1])
    difference = levels[:, None] - levels[None, :]
    marginal = p.sum(axis=2)
    mean = marginal @ levels
    variance = marginal @ levels**2 - mean**2
    covariance = np.einsum("nij,i,j->n", p, levels, levels) - mean**2
    flat = variance < 1e-9
    logarithm = np.log2(p, where=p > 0, out=np.zeros_like(p))
    return {
        "contrast": (p * difference**2).sum(axis=(1, 2)),
        # IBSI leaves the correlation of a single grey level open; 1 is its limit.
        "correlation": np.where(flat, 1.0, covariance / np.where(flat, 1.0, variance)),
        "energy": (p**2).sum(axis=(1, 2)),
        "entropy": -(p * logarithm).sum(axis=(1, 2)),
        "homogeneity": (p / (1 + difference**2)).sum(axis=(1, 2)),
    }


def measure(image: Prepared) -> NDArray[np.float64]:
    """GLCM measures of every zone, shape (zones, measures)."""
    bins = quantise(image.grey)
    columns = []
    for distance in DISTANCES:
        pairs = counts(bins, image.zones.labels, distance, len(NAMES)).sum(axis=0)
        matrix = np.tensordot(NESTED, pairs.astype(float), 1)
        columns += list(describe(matrix).values())
    return np.stack(columns, axis=1)[image.zones.stand_in]


FAMILY = Family("glcm", MEASURES, measure)
