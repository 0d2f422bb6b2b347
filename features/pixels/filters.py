"""Filters that several families share: Gaussian smoothing, and ridges of any or one direction."""

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

Image = NDArray[np.float32]


def gaussian(image: Image, sigma: float) -> Image:
    """Smooth by a Gaussian cut off at 4 sigma; beyond the border the edge is repeated.

    Parameters
    ----------
    image : (h, w) array of float32
    sigma : float
        In pixels, above 0.
    """
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    rows, columns = (padded_index(length, reach, "edge") for length in image.shape)
    return _rows(_columns(image, rows, weights), columns, weights)


@lru_cache(maxsize=256)
def padded_index(length: int, reach: int, mode: str) -> NDArray[np.intp]:
    """Where the pixels of a line, padded by `reach` on both sides, are taken from.

    Parameters
    ----------
    length, reach : int
    mode : {"edge", "symmetric"}
        The edge repeats, or the line goes on as its mirror image.
    """
    return np.pad(np.arange(length), reach, mode)  # type: ignore[call-overload]


def ridge(smooth: Image, sigma: float) -> Image:
    """Strength of bright lines: minus the smaller eigenvalue of the Hessian times sigma squared.

    Parameters
    ----------
    smooth : (h, w) array of float32
        The image smoothed by a Gaussian of `sigma` pixels, the half-width of the lines.
    sigma : float

    Returns
    -------
    (h, w) array of float32, at least 0

    References
    ----------
    Steger, "An unbiased detector of curvilinear structures", IEEE TPAMI 20(2), 1998.
    """
    return _ridge(np.pad(smooth, 1, "edge"), np.float32(sigma**2))


def ridge_across(smooth: Image, normal: Image, sigma: float) -> Image:
    """Strength of bright lines at right angles to a given direction.

    Parameters
    ----------
    smooth : (h, w) array of float32
        The image smoothed by a Gaussian of `sigma` pixels.
    normal : (2, h, w) array of float32
        Unit vectors (down, across) that cross the lines.
    sigma : float

    Returns
    -------
    (h, w) array of float32
        Downward curvature along `normal`, less the curvature along the line, times sigma squared;
        at least 0.
    """
    return _ridge_across(np.pad(smooth, 1, "edge"), normal, np.float32(sigma**2))


def direction(distance: Image) -> Image:
    """Unit vectors (down, across) along which a distance grows, (2, h, w); 0 where it is flat."""
    return _direction(gaussian(distance, 3.0))


def square_mean(image: Image, side: int) -> Image:
    """Mean over a square of `side` (odd) pixels around each pixel; the border is a mirror.

    The same to the last bit as SciPy's `uniform_filter`, which is slow down the columns.
    """
    for rows in image.shape:
        source = padded_index(rows, side // 2, "symmetric")
        image = _running_mean(image, source, side).T.copy()
    return image


@njit(cache=True, fastmath=True)
def _columns(image, source, weights):  # type: ignore[no-untyped-def]
    output = np.zeros(image.shape, np.float32)
    for row in range(output.shape[0]):
        for tap in range(len(weights)):
            line = image[source[row + tap]]
            for column in range(output.shape[1]):
                output[row, column] += weights[tap] * line[column]
    return output


@njit(cache=True, fastmath=True)
def _rows(image, source, weights):  # type: ignore[no-untyped-def]
    output = np.zeros(image.shape, np.float32)
    line = np.empty(len(source), np.float32)
    for row in range(output.shape[0]):
        for column in range(len(source)):
            line[column] = image[row, source[column]]
        for tap in range(len(weights)):
            for column in range(output.shape[1]):
                output[row, column] += weights[tap] * line[tap + column]
    return output


@njit(cache=True)
def _running_mean(image, source, side):  # type: ignore[no-untyped-def]
    output = np.empty_like(image)
    total = np.zeros(image.shape[1])
    for row in source[:side]:
        total += image[row]
    output[0] = total / side
    for row in range(1, len(image)):
        enters, leaves = image[source[row + side - 1]], image[source[row - 1]]
        for column in range(len(total)):
            total[column] += np.float64(enters[column]) - leaves[column]
            output[row, column] = total[column] / side
    return output


@njit(cache=True, inline="always")
def slope(image, row, column):  # type: ignore[no-untyped-def]
    """Differences (down, across) at a pixel, as `np.gradient` takes them."""
    above, below = max(row - 1, 0), min(row + 1, image.shape[0] - 1)
    before, after = max(column - 1, 0), min(column + 1, image.shape[1] - 1)
    down = (image[below, column] - image[above, column]) / np.float32(below - above)
    across = (image[row, after] - image[row, before]) / np.float32(after - before)
    return down, across


@njit(cache=True, inline="always")
def norm(down, across):  # type: ignore[no-untyped-def]
    """Length of a vector, as `np.hypot` gives it in float32."""
    return np.float32(np.sqrt(np.float64(down) ** 2 + np.float64(across) ** 2))


@njit(cache=True)
def _direction(smooth):  # type: ignore[no-untyped-def]
    output = np.zeros((2, *smooth.shape), np.float32)
    for row in range(smooth.shape[0]):
        for column in range(smooth.shape[1]):
            down, across = slope(smooth, row, column)
            length = norm(down, across)
            if length > 0:
                output[0, row, column], output[1, row, column] = down / length, across / length
    return output


@njit(cache=True, inline="always")
def _hessian(edge, row, column):  # type: ignore[no-untyped-def]
    """Second derivatives (down, mixed, across) at a pixel of an image padded by 1."""
    r, c = row + 1, column + 1
    middle = 2 * edge[r, c]
    down = edge[r + 1, c] - middle + edge[r - 1, c]
    across = edge[r, c + 1] - middle + edge[r, c - 1]
    mixed = edge[r + 1, c + 1] - edge[r + 1, c - 1] - edge[r - 1, c + 1] + edge[r - 1, c - 1]
    return down, mixed / 4, across


@njit(cache=True, fastmath=True)
def _ridge(edge, scale):  # type: ignore[no-untyped-def]
    output = np.empty((edge.shape[0] - 2, edge.shape[1] - 2), np.float32)
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            dd, da, aa = _hessian(edge, row, column)
            smaller = (dd + aa) / 2 - np.sqrt((dd - aa) ** 2 / 4 + da**2)
            output[row, column] = max(-smaller, 0) * scale
    return output


@njit(cache=True, fastmath=True)
def _ridge_across(edge, normal, scale):  # type: ignore[no-untyped-def]
    output = np.empty((edge.shape[0] - 2, edge.shape[1] - 2), np.float32)
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            dd, da, aa = _hessian(edge, row, column)
            y, x = normal[0, row, column], normal[1, row, column]
            across = dd * y * y + 2 * da * y * x + aa * x * x
            along = dd * x * x - 2 * da * y * x + aa * y * y
            # Where there is no direction both are 0.
            output[row, column] = max(-across - abs(along), 0) * scale
    return output
