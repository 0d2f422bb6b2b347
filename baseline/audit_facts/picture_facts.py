"""Coarse facts of a decoded picture: levels, borders, burnt-in signs, and a thumbnail.

They are measured in a few milliseconds and mean the same on any X-ray, so they serve to compare
images with one another and not to find a disease.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.lungs.frames import area_resize, halve

Image = NDArray[np.float32]

# Pixels a side of a thumbnail, and grey levels of a picture.
SIDE, LEVELS = 128, 65536
# A line of pixels whose levels differ by less than this share of the range is empty.
EMPTY_RANGE = 0.04
# Two neighbours that differ by more than this share of the range are ink, and no anatomy.
STEEP = 0.3
# A row or a column with more such neighbours than this share of it is a border's edge, no sign.
EDGE_SHARE = 0.2
# Share of the sides that a corner takes.
CORNER = 0.3
CORNERS = ("top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True)
class PictureFacts:
    """Facts of one picture.

    Parameters
    ----------
    digest : str
        Equal for two pictures if and only if all their pixels are.
    numbers : dict of str to float
        Coarse measures by name.
    thumbnail : (SIDE, SIDE) array of uint8
    """

    digest: str
    numbers: dict[str, float]
    thumbnail: NDArray[np.uint8]


def measure(pixels: Image, small: Image, outside: float) -> PictureFacts:
    """Measure a picture.

    Parameters
    ----------
    pixels : (h, w) array of float32 in [0, 1]
        Air dark.
    small : (SIDE, SIDE) array of float32
        The same, see `shrunk`.
    outside : float
        Share of the file's picture that is `border`.
    """
    levels, counts = _levels(pixels)
    digest = hashlib.sha256(repr(levels.shape).encode())
    digest.update(levels)
    thumbnail = np.clip(np.rint(255 * small), 0, 255).astype(np.uint8)
    shares, grey = counts / levels.size, np.arange(LEVELS) / (LEVELS - 1)
    low, middle, high = np.searchsorted(counts.cumsum(), np.array([0.01, 0.5, 0.99]) * levels.size)
    mean = float(shares @ grey)
    numbers = {
        "grey levels": float(np.count_nonzero(counts)),
        "brightness": mean,
        "contrast": float(np.sqrt(shares @ (grey - mean) ** 2)),
        "dark end": float(grey[low]),
        "middle level": float(grey[middle]),
        "bright end": float(grey[high]),
        "border": outside,
        "fine detail": float(np.abs(np.diff(pixels[::2, ::2], axis=1)).mean()),
    }
    return PictureFacts(digest.hexdigest()[:16], numbers | ink(pixels), thumbnail)


def shrunk(pixels: Image) -> Image:
    """The picture by means over areas, (SIDE, SIDE); one that is not square is squeezed."""
    while pixels.shape[0] == pixels.shape[1] and pixels.shape[0] % (2 * SIDE) == 0:
        pixels = halve(pixels)
    return pixels if pixels.shape == (SIDE, SIDE) else area_resize(pixels, (SIDE, SIDE))


@njit(cache=True)
def _levels(pixels):  # type: ignore[no-untyped-def]
    """The picture in 65,536 levels, and the number of pixels of each."""
    levels, counts = np.empty(pixels.shape, np.uint16), np.zeros(LEVELS, np.int64)
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            level = np.uint16(np.rint(pixels[row, column] * np.float32(LEVELS - 1)))
            levels[row, column] = level
            counts[level] += 1
    return levels, counts


def border(pixels: Image) -> float:
    """Share of the picture in empty rows and columns at its edges.

    A constant picture is all border.
    """
    kept = 1.0
    for axis in (1, 0):
        # A corner sign may cross a border: the widest 2% at the ends of a line do not count.
        cut = round(0.02 * pixels.shape[axis])
        inner = pixels[:, cut : -cut or None] if axis == 1 else pixels[cut : -cut or None]
        used = np.flatnonzero(np.ptp(inner, axis=axis) > EMPTY_RANGE)
        kept *= (used[-1] + 1 - used[0]) / pixels.shape[1 - axis] if len(used) else 0.0
    return 1 - kept


def ink(pixels: Image) -> dict[str, float]:
    """Steep steps between neighbours, in ten thousandths of the picture: letters and markers.

    Returns
    -------
    dict
        "burnt-in signs" of the whole picture, and of each corner.
    """
    steep = _steep(pixels, np.float32(STEEP))
    for axis in (0, 1):
        lines = np.count_nonzero(steep, axis=axis) > EDGE_SHARE * steep.shape[axis]
        steep[(slice(None), lines) if axis == 0 else lines] = False
    rows, columns = (round(CORNER * side) for side in pixels.shape)
    top, bottom = steep[:rows], steep[-rows:]
    parts = (top[:, :columns], top[:, -columns:], bottom[:, :columns], bottom[:, -columns:])
    share = 1e4 / pixels.size
    return {"burnt-in signs": share * int(np.count_nonzero(steep))} | {
        f"burnt-in signs, {corner}": share * int(np.count_nonzero(part))
        for corner, part in zip(CORNERS, parts, strict=True)
    }


@njit(cache=True)
def _steep(pixels, step):  # type: ignore[no-untyped-def]
    """Where a pixel differs from its left or upper neighbour by more than a step."""
    found = np.zeros(pixels.shape, np.bool_)
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            value = pixels[row, column]
            if column and abs(value - pixels[row, column - 1]) > step:
                found[row, column] = True
            if row and abs(value - pixels[row - 1, column]) > step:
                found[row, column] = True
    return found
