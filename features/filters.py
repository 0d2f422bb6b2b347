"""Filters that several families share: Gaussian smoothing, and ridges of any or one direction."""

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
    tall = np.pad(image, ((reach, reach), (0, 0)), "edge")
    wide = np.pad(_columns(tall, weights), ((0, 0), (reach, reach)), "edge")
    return _rows(wide, weights)


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
    down, across = np.gradient(gaussian(distance, 3.0))
    norm = np.hypot(down, across)
    norm[norm == 0] = np.inf
    return np.stack((down / norm, across / norm))


@njit(cache=True, fastmath=True)
def _columns(padded, weights):  # type: ignore[no-untyped-def]
    rows = padded.shape[0] - len(weights) + 1
    found = np.zeros((rows, padded.shape[1]), np.float32)
    for row in range(rows):
        for tap in range(len(weights)):
            for column in range(padded.shape[1]):
                found[row, column] += weights[tap] * padded[row + tap, column]
    return found


@njit(cache=True, fastmath=True)
def _rows(padded, weights):  # type: ignore[no-untyped-def]
    columns = padded.shape[1] - len(weights) + 1
    found = np.zeros((padded.shape[0], columns), np.float32)
    for row in range(padded.shape[0]):
        for tap in range(len(weights)):
            for column in range(columns):
                found[row, column] += weights[tap] * padded[row, column + tap]
    return found


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
    found = np.empty((edge.shape[0] - 2, edge.shape[1] - 2), np.float32)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            dd, da, aa = _hessian(edge, row, column)
            smaller = (dd + aa) / 2 - np.sqrt((dd - aa) ** 2 / 4 + da**2)
            found[row, column] = max(-smaller, 0) * scale
    return found


@njit(cache=True, fastmath=True)
def _ridge_across(edge, normal, scale):  # type: ignore[no-untyped-def]
    found = np.empty((edge.shape[0] - 2, edge.shape[1] - 2), np.float32)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            dd, da, aa = _hessian(edge, row, column)
            y, x = normal[0, row, column], normal[1, row, column]
            across = dd * y * y + 2 * da * y * x + aa * x * x
            along = dd * x * x - 2 * da * y * x + aa * y * y
            # Where there is no direction both are 0.
            found[row, column] = max(-across - abs(along), 0) * scale
    return found
