"""Pixel maps summed up zone by zone, in one pass over the image.

A map is an (h, w) array; a result has one row for each zone of `zones.NAMES`. Sums are taken over
the smallest zones, the cells, which make up all others. A zone too small to be measured takes the
row of the zone that stands in for it.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.zones import NAMES, PARENTS, Zones

# Resolution of percentiles: the range of a map is cut into this many bins.
BINS = 1024


def means(maps: Sequence[NDArray[np.generic]], zones: Zones) -> NDArray[np.float64]:
    """Mean of each map over each zone, shape (zones, maps)."""
    ones = np.ones(zones.cells.shape, np.float32)
    sums = [
        _sums(np.asarray(values, np.float32), zones.cells, len(NAMES)) for values in (ones, *maps)
    ]
    found = PARENTS @ np.stack(sums, axis=1)
    return (found[:, 1:] / np.maximum(found[:, :1], 1))[zones.stand_in]


def largest(values: NDArray[np.floating], zones: Zones) -> NDArray[np.float64]:
    """Largest value in each zone, at least 0; shape (zones,)."""
    cells = _largest(np.asarray(values, np.float32), zones.cells, len(NAMES))
    return np.where(PARENTS, cells, 0).max(axis=1)[zones.stand_in]


def percentiles(
    values: NDArray[np.floating],
    zones: Zones,
    ranks: Sequence[float],
    limits: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Percentiles of a map in each zone, shape (zones, ranks).

    Read off a histogram of 1,024 bins, each taken as evenly filled.

    Parameters
    ----------
    values : (h, w) array
    zones : Zones
    ranks : sequence of float in [0, 100]
    limits : (low, high), optional
        Range of the histogram; the map's own inside the lungs if not given.
    """
    if limits is None:
        inside = values[zones.cells >= 0]
        limits = float(inside.min()), float(inside.max())
    low, high = limits
    width = max((high - low) / BINS, 1e-9)
    bins = np.clip((values - low) / width, 0, BINS - 1).astype(np.int16)
    below = np.cumsum(counts_of(bins, zones, BINS), axis=1)
    below = (below / below[:, -1:])[zones.stand_in]
    result = np.empty((len(NAMES), len(ranks)))
    for zone, share in enumerate(below):
        at = np.searchsorted(share, np.asarray(ranks) / 100)
        before = np.where(at > 0, share[at - 1], 0.0)
        part = (np.asarray(ranks) / 100 - before) / (share[at] - before)
        result[zone] = low + (at + part) * width
    return result


def counts_of(bins: NDArray[np.integer], zones: Zones, levels: int) -> NDArray[np.float64]:
    """How often each level 0 .. levels - 1 occurs in each zone (no stand-in), (zones, levels).

    A negative level is not counted; a zone without any pixel counts one of level 0.
    """
    found = PARENTS @ _histogram(np.asarray(bins, np.int16), zones.cells, len(NAMES), levels)
    found[found.sum(axis=1) == 0, 0] = 1
    return found


def profiles(
    maps: Sequence[NDArray[np.floating]], step: NDArray[np.integer], steps: int, zones: Zones
) -> NDArray[np.float64]:
    """Means of each map over each zone and step, shape (zones, steps, maps).

    Parameters
    ----------
    maps : sequence of (h, w) arrays
    step : (h, w) array of int
        The step that a pixel belongs to; negative or `steps` and above for none.
    steps : int

    Returns
    -------
    A step without pixels repeats the nearest filled one of its zone; a zone without any is 0.
    """
    inside = (zones.cells >= 0) & (step >= 0) & (step < steps)
    places = np.where(inside, zones.cells.astype(np.int16) * steps + step, -1).astype(np.int16)
    ones = np.ones(step.shape, np.float32)
    counts, *sums = (
        PARENTS @ _sums(values, places, len(NAMES) * steps).reshape(len(NAMES), steps)
        for values in (ones, *(np.asarray(m, np.float32) for m in maps))
    )
    mean = np.stack(sums, axis=2) / np.maximum(counts, 1)[..., None]
    for zone in np.flatnonzero((counts == 0).any(axis=1) & (counts > 0).any(axis=1)):
        filled = np.flatnonzero(counts[zone])
        nearest = np.abs(np.arange(steps)[:, None] - filled).argmin(axis=1)
        mean[zone] = mean[zone, filled[nearest]]
    return mean[zones.stand_in]


@njit(cache=True)
def _sums(values, labels, count):  # type: ignore[no-untyped-def]
    found = np.zeros(count)
    rows, columns = labels.shape
    for row in range(rows):
        # Neighbours mostly share a label: their sum stays in a register until it changes.
        last, total = -1, 0.0
        for column in range(columns):
            label = labels[row, column]
            if label != last:
                if last >= 0:
                    found[last] += total
                last, total = label, 0.0
            total += values[row, column]
        if last >= 0:
            found[last] += total
    return found


@njit(cache=True)
def _largest(values, labels, count):  # type: ignore[no-untyped-def]
    found = np.zeros(count)
    rows, columns = labels.shape
    for row in range(rows):
        for column in range(columns):
            label = labels[row, column]
            if label >= 0 and values[row, column] > found[label]:
                found[label] = values[row, column]
    return found


@njit(cache=True)
def _histogram(bins, labels, count, levels):  # type: ignore[no-untyped-def]
    found = np.zeros((count, levels))
    rows, columns = labels.shape
    for row in range(rows):
        for column in range(columns):
            if labels[row, column] >= 0 and bins[row, column] >= 0:
                found[labels[row, column], bins[row, column]] += 1
    return found
