"""Black or white borders around an X-ray, as scanners, viewers and cameras leave them.

They are no part of the X-ray, so they are cut when a file is read: a picture in a border is
measured and drawn at its own scale. A border is made of whole lines, all black or all white but for
rounding errors of a lossy compression. Narrow ones, as of a picture turned by a degree or of a
collimator's edge, are left, and so is an image without a border.
"""

import numpy as np
from numpy.typing import NDArray

# Share of the image's range within which a line is black or white.
TOLERANCE = 0.02
# A border is wider than this share of a side.
NARROW = 0.04
# Less of the image than this share of a side is no picture in a border, but a dark image.
SMALLEST = 0.3
# A lung finder needs so many pixels a side.
FEWEST = 32

Picture = tuple[slice, slice]


def picture_in(pixels: NDArray[np.floating]) -> Picture:
    """Rows and columns of an image inside its black and white borders.

    Parameters
    ----------
    pixels : (h, w) array in [0, 1]

    Returns
    -------
    (slice, slice)
        All rows and columns where there is no border.
    """
    if not any(_may_end_in_border(lines) for lines in (pixels, pixels.T)):
        rows, columns = pixels.shape
        return slice(0, rows), slice(0, columns)
    low, high = float(pixels.min()), float(pixels.max())
    margin = TOLERANCE * (high - low)
    first = _inside(pixels, low + margin, high - margin)
    columns = _inside(pixels[first].T, low + margin, high - margin)
    # What crosses a border of the other two sides may have hidden this one.
    return _inside(pixels[:, columns], low + margin, high - margin), columns


def _may_end_in_border(lines: NDArray[np.floating]) -> bool:
    """Whether one of the two lines that the narrowest border would reach has one level: quick."""
    depth = int(NARROW * len(lines))
    return any(np.ptp(lines[line]) <= TOLERANCE for line in (depth, -1 - depth))


def _inside(lines: NDArray[np.floating], black: float, white: float) -> slice:
    """The lines between those at both ends that are black or white; all where few are left."""
    used = np.flatnonzero((lines.max(axis=1) > black) & (lines.min(axis=1) < white))
    least = max(FEWEST, SMALLEST * len(lines))
    if not len(used) or used[-1] + 1 - used[0] < least:
        return slice(0, len(lines))
    first, end = int(used[0]), int(used[-1]) + 1
    narrow = NARROW * len(lines)
    return slice(first if first > narrow else 0, end if len(lines) - end > narrow else len(lines))
