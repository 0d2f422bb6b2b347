"""Coarse facts of a decoded picture: levels, borders, burnt-in signs, a thumbnail, where lungs lie.

They are measured in a few milliseconds and mean the same on any X-ray, so they serve to compare
images with one another and not to find a disease.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.lungs.fields import LungFields, segment
from features.lungs.frames import area_resize
from features.lungs.prepared import working_size
from features.pixels import regions

Image = NDArray[np.float32]

# Pixels a side of a thumbnail.
SIDE = 128
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
    lungs : tuple of four floats
        Box around both lungs: top, bottom, left, right as shares of the image's sides.
    """

    digest: str
    numbers: dict[str, float]
    thumbnail: NDArray[np.uint8]
    lungs: tuple[float, float, float, float]


def measure(pixels: Image) -> PictureFacts:
    """Measure a picture.

    Parameters
    ----------
    pixels : (h, w) array of float32 in [0, 1]
        Air dark.
    """
    levels = np.rint(pixels * 65535).astype(np.uint16)
    digest = hashlib.sha256(repr(levels.shape).encode() + levels.tobytes()).hexdigest()[:16]
    thumbnail = np.clip(np.rint(255 * area_resize(pixels, (SIDE, SIDE))), 0, 255).astype(np.uint8)
    counts = np.bincount(levels.ravel(), minlength=65536)
    low, middle, high = np.searchsorted(counts.cumsum(), np.array([0.01, 0.5, 0.99]) * levels.size)
    numbers = {
        "grey levels": float(np.count_nonzero(counts)),
        "brightness": float(pixels.mean()),
        "contrast": float(pixels.std()),
        "dark end": low / 65535,
        "middle level": middle / 65535,
        "bright end": high / 65535,
        "border": border(pixels),
        "fine detail": float(np.abs(np.diff(pixels[::2, ::2], axis=1)).mean()),
    }
    fields = segment(working_size(pixels))
    return PictureFacts(
        digest, numbers | ink(pixels) | {"lungs found": fields.quality}, thumbnail, box(fields)
    )


def box(fields: LungFields) -> tuple[float, float, float, float]:
    """Box around both lungs, as shares of the image's sides."""
    rows, columns = regions.box(fields.right | fields.left)
    height, width = fields.right.shape
    return rows.start / height, rows.stop / height, columns.start / width, columns.stop / width


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
    steep = np.zeros(pixels.shape, bool)
    steep[:, 1:] |= np.abs(np.diff(pixels, axis=1)) > STEEP
    steep[1:] |= np.abs(np.diff(pixels, axis=0)) > STEEP
    for axis in (0, 1):
        lines = steep.mean(axis=axis) > EDGE_SHARE
        steep &= ~(lines[None, :] if axis == 0 else lines[:, None])
    rows, columns = (round(CORNER * side) for side in pixels.shape)
    top, bottom = steep[:rows], steep[-rows:]
    parts = (top[:, :columns], top[:, -columns:], bottom[:, :columns], bottom[:, -columns:])
    share = 1e4 / pixels.size
    return {"burnt-in signs": share * float(steep.sum())} | {
        f"burnt-in signs, {corner}": share * float(part.sum())
        for corner, part in zip(CORNERS, parts, strict=True)
    }
