"""From a probability map to the mask at the X-ray's own size: the one place where that is done."""

import numpy as np
from numpy.typing import NDArray

from baseline.gate import LEVELS
from cnn.geometry import from_square


def to_original(probability: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a square map back to the X-ray's own size, as levels of 1/255.

    Parameters
    ----------
    probability : (size, size) array of float32 in [0, 1]
        Map as the network drew it.
    shape : (int, int)
        Rows and columns of the X-ray.

    Returns
    -------
    (rows, columns) array of uint8
    """
    scaled = from_square(probability, *shape)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def cut(levels: NDArray[np.uint8], mask_level: int) -> NDArray[np.bool_]:
    """The mask of a map at the X-ray's own size, cut at one of the gate's `LEVELS`."""
    return levels >= LEVELS[mask_level]


def measure(
    levels: NDArray[np.uint8], truth: NDArray[np.bool_] | None
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """What the gate needs to know of one map.

    Parameters
    ----------
    levels : (h, w) array of uint8
        Map at the X-ray's own size.
    truth : (h, w) array of bool, optional
        True mask, if known.

    Returns
    -------
    top : float
        99.9th percentile of the map, in [0, 1].
    area : (t,) array
        Share of the image at or above each of the gate's levels.
    dice : (t,) array
        Dice of the mask cut at each level; NaN if the truth is unknown.
    """
    # Counting grey levels once gives every cut at once.
    above = np.cumsum(np.bincount(levels.ravel(), minlength=256)[::-1])[::-1]
    area = above[LEVELS] / levels.size
    top = int(np.flatnonzero(above >= 0.001 * levels.size)[-1]) / 255
    if truth is None:
        return top, area, np.full(len(LEVELS), np.nan)
    inside = np.cumsum(np.bincount(levels[truth], minlength=256)[::-1])[::-1]
    total = above[LEVELS] + truth.sum()
    dice = np.where(total == 0, 1.0, 2 * inside[LEVELS] / np.maximum(total, 1))
    return top, area, dice
