"""GLRLM family: how long grey levels stay the same along a line (Galloway 1975).

Even air gives long runs, vessels and ribs give short ones. Runs are counted along four directions
and end at the border of their zone; the measures are named after the IBSI reference manual,
section 3.7.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.families.family import Family, Measure
from features.families.glcm import GREY_LEVELS, quantise
from features.lungs.prepared import Prepared
from features.lungs.zones import NAMES

# Longer runs count as this long, in pixels.
LONGEST = 64

MEASURES = (
    Measure("short_runs", "short runs emphasis; high where grey levels change quickly", ""),
    Measure("long_runs", "long runs emphasis; high in even areas, as in free air", "pixels²"),
    Measure("level_variety", "grey level non-uniformity of the runs, normalised", ""),
    Measure("length_variety", "run length non-uniformity, normalised", ""),
    Measure("run_share", "runs a pixel (run percentage); low where the image is even", ""),
    Measure("run_entropy", "entropy of grey levels and lengths of the runs", "bits"),
    Measure("dark_runs", "low grey level run emphasis; high where runs are dark", ""),
)


def counts(
    bins: NDArray[np.integer],
    labels: NDArray[np.int8],
    zones: int,
    levels: int = GREY_LEVELS,
    longest: int = LONGEST,
) -> NDArray[np.int32]:
    """Run-length counts of every zone, one matrix for each of four directions.

    Parameters
    ----------
    bins : (h, w) array of int in 0 .. levels - 1
    labels : (h, w) or (ways, h, w) array of int8
        Zone of each pixel, -1 for none; several maps if zones overlap.
    zones, levels, longest : int
        Numbers of zones, of grey levels, and of run lengths that are counted apart.

    Returns
    -------
    (4, zones, levels, longest) array of int
        Directions 0, 45, 90 and 135 degrees.
    """
    # One key for zone and level: a run is a row of equal keys. A frame of no zone ends it.
    keys = np.where(labels < 0, -1, labels.astype(np.int16) * levels + bins).astype(np.int16)
    maps = np.pad(keys.reshape(-1, *bins.shape), ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    width = maps.shape[2]
    steps = np.array((1, width + 1, width, width - 1))
    runs = _runs(maps.ravel(), steps, zones * levels, longest)
    return runs.reshape(len(steps), zones, levels, longest)


@njit(cache=True)
def _runs(keys, steps, count, longest):  # type: ignore[no-untyped-def]
    runs = np.zeros((len(steps), count, longest), np.int32)
    for here in range(len(keys)):
        key = keys[here]
        if key < 0:
            continue
        for number in range(len(steps)):
            step = steps[number]
            if keys[here - step] == key:
                continue  # not the first pixel of its run
            length, there = 1, here + step
            while keys[there] == key:
                length += 1
                there += step
            runs[number, key, min(length, longest) - 1] += 1
    return runs


def describe(matrix: NDArray[np.integer], pixels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Measures of run-length counts, shape (n, measures).

    Parameters
    ----------
    matrix : (n, levels, lengths) array of int
        All zero for a zone without pixels, which counts as a single run of one pixel.
    pixels : (n,) array of int
        Number of pixels, times the number of directions that were added up.
    """
    runs = matrix.astype(float)
    runs[runs.sum(axis=(1, 2)) == 0, 0, 0] = 1
    total = runs.sum(axis=(1, 2))
    level = np.arange(1, runs.shape[1] + 1)
    length = np.arange(1, runs.shape[2] + 1)
    by_level, by_length = runs.sum(axis=2), runs.sum(axis=1)
    share = runs / total[:, None, None]
    logarithm = np.log2(share, where=share > 0, out=np.zeros_like(share))
    return np.stack(
        (
            by_length @ (1 / length**2) / total,
            by_length @ length**2 / total,
            (by_level**2).sum(axis=1) / total**2,
            (by_length**2).sum(axis=1) / total**2,
            total / np.maximum(pixels, 1),
            -(share * logarithm).sum(axis=(1, 2)),
            by_level @ (1 / level**2) / total,
        ),
        axis=1,
    )


def measure(image: Prepared) -> NDArray[np.float64]:
    """Run-length measures of every zone, shape (zones, measures)."""
    bins = quantise(image.grey)
    labels = image.zones.labels
    matrix = counts(bins, labels, len(NAMES)).sum(axis=0)
    pixels = np.bincount(labels[labels >= 0], minlength=len(NAMES))
    return describe(matrix, 4 * pixels)[image.zones.stand_in]


FAMILY = Family("glrlm", MEASURES, measure)
