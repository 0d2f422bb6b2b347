"""Regions of an image: the box around a region, its largest piece, the distance to it."""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]

# Squared distance to what is nowhere.
FAR = 2**30


def box(mask: Mask, margin: int = 0) -> Box:
    """Rows and columns of a mask (not empty) and of `margin` pixels around it."""
    rows, columns = (
        slice(max(int(occupied[0]) - margin, 0), int(occupied[-1]) + 1 + margin)
        for occupied in (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    )
    return rows, columns


def largest(mask: Mask) -> Mask:
    """The largest of the pieces, connected along rows and columns, of a mask."""
    if not mask.any():
        return mask
    near = box(mask)
    parts, count = ndimage.label(mask[near])
    if count < 2:
        return mask
    kept = np.zeros_like(mask)
    kept[near] = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return kept


@njit(cache=True)
def measure_pieces(pieces, values, count):  # type: ignore[no-untyped-def]
    """Diagonal in pixels of the box around each piece, its number of pixels, and its sum of values.

    Parameters
    ----------
    pieces : (h, w) array of int
        Pieces 1 to `count`; 0 for none.
    values : (h, w) array
    count : int

    Returns
    -------
    Three (count,) arrays
    """
    start = np.full((2, count), pieces.size)
    end = np.zeros((2, count), np.int64)
    size, total = np.zeros(count, np.int64), np.zeros(count)
    for row in range(pieces.shape[0]):
        for column in range(pieces.shape[1]):
            piece = pieces[row, column] - 1
            if piece >= 0:
                start[0, piece] = min(start[0, piece], row)
                start[1, piece] = min(start[1, piece], column)
                end[0, piece] = max(end[0, piece], row + 1)
                end[1, piece] = max(end[1, piece], column + 1)
                size[piece] += 1
                total[piece] += values[row, column]
    return np.hypot(end[0] - start[0], end[1] - start[1]), size, total


def squared_distance(target: NDArray[np.bool_], reach: int | None = None) -> NDArray[np.int32]:
    """Squared distance of each pixel to the nearest target pixel.

    Parameters
    ----------
    target : (h, w) array of bool
    reach : int, optional
        Distances up to this many pixels are exact; larger ones may come out larger still.

    Returns
    -------
    (h, w) array of int32
        `FAR` or more where there is no target.

    References
    ----------
    Saito and Toriwaki, "New algorithms for Euclidean distance transformation of an n-dimensional
    digitized picture with applications", Pattern Recognition 27(11), 1994.
    """
    return _squared_distance(target, max(target.shape) if reach is None else reach)


@njit(cache=True)
def _squared_distance(target, reach):  # type: ignore[no-untyped-def]
    rows, columns = target.shape
    distance = np.empty((rows, columns), np.int32)
    above = np.full(columns, FAR, np.int32)  # steps up to the target of the same column
    for row in range(rows):
        for column in range(columns):
            above[column] = 0 if target[row, column] else above[column] + 1
            distance[row, column] = above[column]
    below = np.full(columns, FAR, np.int32)
    wide = np.full(columns + 2 * reach, FAR, np.int32)
    for row in range(rows - 1, -1, -1):
        line, best = wide[reach : reach + columns], distance[row]
        for column in range(columns):
            below[column] = 0 if target[row, column] else below[column] + 1
            steps = min(best[column], below[column])
            line[column] = best[column] = steps * steps if steps < FAR else FAR
        for step in range(1, min(reach + 1, columns)):
            before, after, square = wide[reach - step :], wide[reach + step :], np.int32(step**2)
            for column in range(columns):
                beside = min(before[column], after[column])
                best[column] = min(best[column], np.int32(beside + square))
    return distance
