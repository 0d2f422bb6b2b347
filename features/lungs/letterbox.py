"""Black or white borders around an X-ray, as scanners, viewers and cameras leave them.

They are cut before the lungs are sought, and the fields put back into the whole image. A border is
made of whole lines, all black or all white but for rounding errors of a lossy compression. Narrow
ones, as of a picture turned by a degree or of a collimator's edge, are left to the lung finder,
which is used to them; an image without a border is left as it is.
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
    """Rows and columns of an image (h, w) inside its black and white borders."""
    low, high = float(pixels.min()), float(pixels.max())
    margin = TOLERANCE * (high - low)
    rows = _inside(pixels, low + margin, high - margin)
    columns = _inside(pixels[rows].T, low + margin, high - margin)
    # What crosses a border of the other two sides may have hidden this one.
    rows = _inside(pixels[:, columns], low + margin, high - margin)
    return rows, columns


def _inside(lines: NDArray[np.floating], black: float, white: float) -> slice:
    """The lines between those at both ends that are black or white; all where few are left."""
    used = np.flatnonzero((lines.max(axis=1) > black) & (lines.min(axis=1) < white))
    least = max(FEWEST, SMALLEST * len(lines))
    if not len(used) or used[-1] + 1 - used[0] < least:
        return slice(0, len(lines))
    first, end = int(used[0]), int(used[-1]) + 1
    narrow = NARROW * len(lines)
    return slice(first if first > narrow else 0, end if len(lines) - end > narrow else len(lines))


def put_back(
    mask: NDArray[np.bool_], picture: Picture, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """A mask of the picture as one of the whole image of `shape`."""
    if mask.shape == shape:
        return mask
    whole = np.zeros(shape, bool)
    whole[picture] = mask
    return whole
