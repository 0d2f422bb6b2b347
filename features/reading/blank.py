"""A picture without an X-ray: one grey throughout, or two, as of text and of line drawings.

An X-ray's grey levels spread. Where nearly all pixels are of one level or close to one of two, no
measure of it means anything, whatever a classifier might say.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.storage.unreadable import UnreadableImage

# Pixels that are looked at, a side: a coarse grid is enough to count grey levels.
GRID = 128
# Levels of 255 that count as one, on either side, and the share of pixels that only two such have.
NEAR, NEARLY_ALL = 8, 0.96


def check_picture(pixels: NDArray[np.float32], path: Path) -> None:
    """Refuse a picture that is blank, or of two greys.

    Parameters
    ----------
    pixels : (h, w) array of float32 in [0, 1]
    path : Path
        The file, for errors.

    Raises
    ------
    UnreadableImage
        If it is.
    """
    down, across = (max(side // GRID, 1) for side in pixels.shape)
    levels = (pixels[::down, ::across] * np.float32(255)).astype(np.uint8)
    counts = np.bincount(levels.ravel(), minlength=256)
    if counts.max() < levels.size and _of_two(counts) < NEARLY_ALL * levels.size:
        return
    if np.ptp(pixels) == 0:
        raise UnreadableImage(f"{path}: every pixel has the same grey; the picture is blank.")
    raise UnreadableImage(
        f"{path}: nearly all pixels are of one or two greys, as in a blank picture or a text; it "
        "shows no X-ray."
    )


def _of_two(counts: NDArray[np.int64]) -> int:
    """Pixels close to the commonest grey level, or to the commonest of the others."""
    total, left = 0, counts.copy()
    for _ in range(2):
        most = int(left.argmax())
        near = slice(max(most - NEAR, 0), most + NEAR + 1)
        total += int(left[near].sum())
        left[near] = 0
    return total
