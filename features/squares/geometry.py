"""Between images of any size and the square the network sees, there and back.

An image is padded to a square on the two short sides (dark, like air) and resampled by separable
weights: area averages on the way down, so that no thin line is skipped, linear interpolation on
the way up. `from_square` undoes the geometry of `to_square` exactly: whatever position a pixel had
in the image, its value comes back to that position.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def to_square(pixels: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Pad an image to a centred square and resample it.

    Parameters
    ----------
    pixels : (h, w) array of float
        An image, or a mask as 0 and 1.
    size : int
        Side of the square in pixels.

    Returns
    -------
    (size, size) array of float32
        The padding is 0; for a mask, each value is the share of the pixel that it covers.
    """
    rows, columns = pixels.shape
    top, left, side = _frame(rows, columns)
    weights = _weights(side, size)
    # The padding is all zero, so its weights may simply be left out.
    across = weights[:, left : left + columns] @ np.asarray(pixels, np.float32).T  # (size, h)
    return np.ascontiguousarray(weights[:, top : top + rows] @ across.T)


def from_square(square: NDArray[np.floating], rows: int, columns: int) -> NDArray[np.float32]:
    """Bring a map on the network's square back to the image it was made from.

    Parameters
    ----------
    square : (size, size) array of float
        A map whose geometry is that of `to_square`'s result.
    rows, columns : int
        Size of the original image in pixels.

    Returns
    -------
    (rows, columns) array of float32
        Within the range of `square`'s values.
    """
    top, left, side = _frame(rows, columns)
    weights = _weights(square.shape[0], side)
    across = weights[left : left + columns] @ np.asarray(square, np.float32).T  # (columns, size)
    return np.ascontiguousarray(weights[top : top + rows] @ across.T)


def centres(rows: int, columns: int, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the rows and columns of the network's square lie in the image, in its pixels.

    Parameters
    ----------
    rows, columns : int
        Size of the image in pixels.
    size : int
        Side of the square.

    Returns
    -------
    down, across : (size,) arrays
        Middles of the square's pixels from the image's upper left corner; in the padding they lie
        outside the image.
    """
    top, left, side = _frame(rows, columns)
    place = (np.arange(size) + 0.5) * side / size
    return place - top, place - left


def square_bytes(pixels: NDArray[np.floating], size: int) -> NDArray[np.uint8]:
    """An X-ray in [0, 1], or a mask, as the network sees it: (size, size), 0 to 255."""
    return np.rint(np.clip(to_square(pixels, size), 0, 1) * 255).astype(np.uint8)


def _frame(rows: int, columns: int) -> tuple[int, int, int]:
    """Top and left margin of the image in its padded square, and the square's side."""
    side = max(rows, columns)
    return (side - rows) // 2, (side - columns) // 2, side


@lru_cache(maxsize=16)
def _weights(source: int, target: int) -> csr_array:
    """Resampling of a line of `source` pixels to `target` as a (target, source) matrix.

    Each row sums to 1. Going down, a weight is the overlap of two pixels' extents; going up, the
    linear interpolation between the two nearest pixel centres, clamped at the ends.
    """
    if target <= source:
        step = source / target
        edges = np.arange(target + 1) * step
        first = np.floor(edges[:-1]).astype(int)
        columns = first[:, None] + np.arange(int(np.ceil(step)) + 1)  # (target, taps)
        overlap = np.minimum(edges[1:, None], columns + 1) - np.maximum(edges[:-1, None], columns)
        weights = np.clip(overlap, 0, None) / step
    else:
        centres = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
        first = np.floor(centres).astype(int)
        columns = first[:, None] + np.arange(2)
        right = centres - first
        weights = np.stack((1 - right, right), axis=1)
    rows = np.broadcast_to(np.arange(target)[:, None], columns.shape)
    kept = (weights > 0) & (columns < source)
    entries = (weights[kept].astype(np.float32), (rows[kept], columns[kept]))
    return csr_array(entries, shape=(target, source))
