"""Spatial SHAP: the contributions of the lung zones, painted where the zones lie on the X-ray.

The ways of cutting a lung (whole, height, depth, both) overlap: a pixel lies in one zone of each.
What is painted on a pixel is the sum over these zones. Regions are drawn as SVG paths, which stay
sharp at any size and cost a few kilobytes.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

from features.lungs.zones import NAMES, Zones

Mask = NDArray[np.bool_]

# Outlines may leave the pixel grid by this many pixels of the 512-pixel image, before their points
# are rounded to whole pixels.
ROUNDING = 0.5
# Probabilities at which the evidence map is outlined.
CONTOUR_LEVELS = (0.1, 0.2, 0.3, 0.5)
# JPEG quality, 1 to 95: an X-ray of 512 pixels takes about 16 kB, so hundreds fit in one file, and
# pleural lines stay sharp.
QUALITY = 60
# Fewer points than this enclose nothing.
FEWEST_POINTS = 3


@dataclass(frozen=True)
class Region:
    """A part of a lung in which the same is painted on every pixel.

    Parameters
    ----------
    zones : tuple of str
        Zones that it lies in, from large to small.
    contribution : float
        Sum of their SHAP values, in log-odds.
    path : str
        Outline in SVG's path language, in pixels of the zones' image.
    """

    zones: tuple[str, ...]
    contribution: float
    path: str


def regions(zones: Zones, by_place: pd.Series) -> list[Region]:
    """Cut the lungs along all zone borders at once and sum the SHAP values in each part.

    Parameters
    ----------
    zones : Zones
    by_place : Series
        SHAP values by place, in log-odds: a row of `attributions.by_place`.
    """
    maps = zones.labels
    code = np.zeros(maps[0].shape, np.int64)
    for labels in maps:
        code = code * (len(NAMES) + 1) + labels + 1
    parts = []
    for value in np.unique(code[(maps >= 0).all(axis=0)]):
        part = code == value
        row, column = np.argwhere(part)[0]
        names = tuple(NAMES[labels[row, column]] for labels in maps)
        path = outline(part)
        if path:
            parts.append(Region(names, float(sum(by_place[name] for name in names)), path))
    return parts


def outline(mask: Mask) -> str:
    """Outline of a mask in SVG's path language; "" for an empty one.

    Pixel (row, column) covers the unit square from (column, row), so holes and parts that touch
    the edge of the image keep their place. Steps from point to point take half the room that places
    would.
    """
    framed = np.pad(mask, 1).astype(np.float32)
    path = []
    for contour in find_contours(framed, 0.5):
        points = np.rint(approximate_polygon(contour, ROUNDING)[:-1] - 0.5).astype(int)
        if len(points) >= FEWEST_POINTS:
            (y, x), steps = points[0], np.diff(points, axis=0)
            path.append(f"M{x} {y}l" + " ".join(f"{dx} {dy}" for dy, dx in steps) + "z")
    return "".join(path).replace(" -", "-")


@dataclass(frozen=True)
class Contour:
    """Where an evidence map reaches a level: an outline in SVG's path language."""

    level: float
    path: str


def contours(values: NDArray[np.float32]) -> list[Contour]:
    """Outlines of an evidence map at each of `CONTOUR_LEVELS` that it reaches, the lowest first."""
    lines = [Contour(level, outline(values >= level)) for level in CONTOUR_LEVELS]
    return [contour for contour in lines if contour.path]


def jpeg(pixels: NDArray[np.float32]) -> str:
    """An X-ray as a JPEG data URI, its darkest and brightest 0.5% clipped for contrast.

    Parameters
    ----------
    pixels : (h, w) array of float32
    """
    low, high = np.percentile(pixels, (0.5, 99.5))
    grey = np.clip((pixels - low) / max(float(high - low), 1e-6), 0, 1)
    buffer = io.BytesIO()
    Image.fromarray((255 * grey).astype(np.uint8)).save(
        buffer, "JPEG", quality=QUALITY, optimize=True, progressive=True
    )
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
