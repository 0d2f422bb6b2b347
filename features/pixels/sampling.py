"""Sampling, smoothing and ranking of the lung finder's small images.

The results are those of SciPy's `map_coordinates`, `gaussian_filter` and NumPy's `searchsorted` to
the last bit, in a fraction of the time: for images this small their calls cost more than the work.
"""

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.pixels.filters import padded_index

Array = NDArray[np.float32]


@njit(cache=True)
def bilinear(image, points, extent):  # type: ignore[no-untyped-def]
    """Values between the pixels of an image that spans -extent .. extent and repeats its edge.

    Parameters
    ----------
    image : (h, w) array of float32
    points : (2, rows, columns) array of float64
        Where to look, x first.
    extent : float

    Returns
    -------
    (rows, columns) array of float32
    """
    h, w = image.shape
    output = np.empty(points.shape[1:], np.float32)
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            x = (points[0, row, column] / extent + 1) / 2 * w - 0.5
            y = (points[1, row, column] / extent + 1) / 2 * h - 0.5
            x, y = min(max(x, 0.0), w - 1.0), min(max(y, 0.0), h - 1.0)
            left, top = int(x), int(y)
            right, bottom = min(left + 1, w - 1), min(top + 1, h - 1)
            dx, dy = x - left, y - top
            value = image[top, left] * (1 - dy) * (1 - dx)
            value += image[top, right] * (1 - dy) * dx
            value += image[bottom, left] * dy * (1 - dx)
            value += image[bottom, right] * dy * dx
            output[row, column] = value
    return output


@njit(cache=True)
def walk(image, row, column, down, across, steps):  # type: ignore[no-untyped-def]
    """Nearest pixels at given steps from each of n places along its own direction.

    Parameters
    ----------
    image : (h, w) array of float32
    row, column : (n,) arrays of int
    down, across : (n,) arrays of float32
        Unit vectors.
    steps : (m,) array of float64
        In pixels.

    Returns
    -------
    (n, m) array of float32
    """
    h, w = image.shape
    output = np.empty((len(row), len(steps)), np.float32)
    for place in range(len(row)):
        for number, step in enumerate(steps):
            y = int(np.rint(row[place] + step * down[place]))
            x = int(np.rint(column[place] + step * across[place]))
            output[place, number] = image[min(max(y, 0), h - 1), min(max(x, 0), w - 1)]
    return output


def precise_gaussian(image: Array, sigma: float, mode: str = "symmetric") -> Array:
    """Smooth by a Gaussian cut off at 4 sigma, in double precision.

    Parameters
    ----------
    image : (h, w) array of float32
    sigma : float
        In pixels, above 0.
    mode : {"symmetric", "edge"}
        What lies beyond the border, in the words of `np.pad`: the mirror image, or the edge.
    """
    weights = _half_kernel(sigma)
    for rows in image.shape:
        source = padded_index(rows, len(weights) - 1, mode)
        image = _down(image, source, weights).T.copy()
    return image


@lru_cache
def _half_kernel(sigma: float) -> NDArray[np.float64]:
    """Weights of a pixel itself, its neighbours, their neighbours and so on."""
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-reach, reach + 1) ** 2)
    return (weights / weights.sum())[reach:]


@njit(cache=True)
def _down(image, source, weights):  # type: ignore[no-untyped-def]
    reach = len(weights) - 1
    output = np.empty_like(image)
    total = np.empty(image.shape[1])
    for row in range(len(image)):
        total[:] = image[row] * weights[0]
        for away in range(reach, 0, -1):
            above, below = image[source[row + reach - away]], image[source[row + reach + away]]
            for column in range(len(total)):
                total[column] += (np.float64(above[column]) + below[column]) * weights[away]
        output[row] = total
    return output


def ranks(values: Array, inside: NDArray[np.bool_]) -> Array:
    """Ranks (-1..1) of all values among those inside; equal values share the mean of their ranks.

    Parameters
    ----------
    values : (n,) array of float32
    inside : (n,) array of bool, not all False
    """
    return _ranks(values, np.argsort(values), inside)


@njit(cache=True)
def _ranks(values, order, inside):  # type: ignore[no-untyped-def]
    output = np.empty(len(values), np.float32)
    total = inside.sum()
    start = below = 0
    while start < len(values):
        end, known = start, below
        while end < len(values) and values[order[end]] == values[order[start]]:
            known += inside[order[end]]
            end += 1
        for place in range(start, end):
            output[order[place]] = (below + known) / total - 1
        start, below = end, known
    return output
