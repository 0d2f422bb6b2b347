"""Pixel maps summed up zone by zone, in one pass over the image.

A map is an (h, w) array; a result has one row for each zone of `zones.NAMES`. Sums are taken over
the finest zones, which make up all others. A zone too small to be measured takes the
row of the zone that stands in for it.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.lungs.zones import NAMES, PARENTS, Zones, runs_of

# Resolution of percentiles: the range of a map is cut into this many bins.
BINS = 1024


def means(maps: Sequence[NDArray[np.generic]], zones: Zones) -> NDArray[np.float64]:
    """Mean of each map over each zone, shape (zones, maps)."""
    ones = np.ones(zones.finest.shape, np.float32)
    sums = [
        _sums(np.asarray(values, np.float32), zones.runs, len(NAMES)) for values in (ones, *maps)
    ]
    totals = PARENTS @ np.stack(sums, axis=1)
    return (totals[:, 1:] / np.maximum(totals[:, :1], 1))[zones.stand_in]


def largest(values: NDArray[np.floating], zones: Zones) -> NDArray[np.float64]:
    """Largest value in each zone, at least 0; shape (zones,)."""
    finest = _largest(np.asarray(values, np.float32), zones.runs, len(NAMES))
    return np.where(PARENTS, finest, 0).max(axis=1)[zones.stand_in]


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
    values = np.asarray(values, np.float32)
    low, high = _limits(values, zones.runs) if limits is None else limits
    width = max((high - low) / BINS, 1e-9)
    counts = _binned(values, zones.runs, len(NAMES), np.float32(low), np.float32(width))
    return (low + _ranked(_of_zones(counts), np.asarray(ranks) / 100) * width)[zones.stand_in]


def counts_of(bins: NDArray[np.integer], zones: Zones, levels: int) -> NDArray[np.float64]:
    """How often each level 0 .. levels - 1 occurs in each zone (no stand-in), (zones, levels).

    A negative level is not counted; a zone without any pixel counts one of level 0.
    """
    return _of_zones(_histogram(np.asarray(bins, np.int16), zones.runs, len(NAMES), levels))


def _of_zones(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts of all zones from those of the finest; an empty zone counts one of level 0."""
    totals = PARENTS @ counts
    totals[totals.sum(axis=1) == 0, 0] = 1
    return totals


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
    inside = (zones.finest >= 0) & (step >= 0) & (step < steps)
    places = np.where(inside, zones.finest.astype(np.int16) * steps + step, -1).astype(np.int16)
    runs = runs_of(places)
    ones = np.ones(step.shape, np.float32)
    counts, *sums = (
        PARENTS @ _sums(values, runs, len(NAMES) * steps).reshape(len(NAMES), steps)
        for values in (ones, *(np.asarray(m, np.float32) for m in maps))
    )
    mean = np.stack(sums, axis=2) / np.maximum(counts, 1)[..., None]
    for zone in np.flatnonzero((counts == 0).any(axis=1) & (counts > 0).any(axis=1)):
        filled = np.flatnonzero(counts[zone])
        nearest = np.abs(np.arange(steps)[:, None] - filled).argmin(axis=1)
        mean[zone] = mean[zone, filled[nearest]]
    return mean[zones.stand_in]


@njit(cache=True, fastmath=True)
def _sums(values, runs, count):  # type: ignore[no-untyped-def]
    sums = np.zeros(count)
    for row, start, end, label in runs:
        total = 0.0
        for value in values[row, start:end]:
            total += value
        sums[label] += total
    return sums


@njit(cache=True)
def _largest(values, runs, count):  # type: ignore[no-untyped-def]
    largest = np.zeros(count)
    for row, start, end, label in runs:
        for value in values[row, start:end]:
            largest[label] = max(largest[label], value)
    return largest


@njit(cache=True)
def _limits(values, runs):  # type: ignore[no-untyped-def]
    low, high = np.inf, -np.inf
    for row, start, end, _ in runs:
        for value in values[row, start:end]:
            low, high = min(low, value), max(high, value)
    return low, high


@njit(cache=True)
def _binned(values, runs, count, low, width):  # type: ignore[no-untyped-def]
    counts = np.zeros((count, BINS))
    for row, start, end, label in runs:
        for value in values[row, start:end]:
            level = (value - low) / width
            counts[label, int(min(max(level, 0), BINS - 1))] += 1
    return counts


@njit(cache=True)
def _ranked(counts, shares):  # type: ignore[no-untyped-def]
    """The place, in bins, below which each share of a zone's pixels lies."""
    places = np.empty((len(counts), len(shares)))
    for zone, bins in enumerate(counts):
        total = bins.sum()
        for number, share in enumerate(shares):
            level, below = 0, 0.0
            while (below + bins[level]) / total < share:
                below += bins[level]
                level += 1
            before = below / total
            part = (share - before) / ((below + bins[level]) / total - before)
            places[zone, number] = level + part
    return places


@njit(cache=True)
def _histogram(bins, runs, count, levels):  # type: ignore[no-untyped-def]
    counts = np.zeros((count, levels))
    for row, start, end, label in runs:
        for level in bins[row, start:end]:
            if level >= 0:
                counts[label, level] += 1
    return counts
