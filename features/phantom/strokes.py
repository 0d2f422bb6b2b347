"""Strokes, which draw what is thin: cortex of ribs, vessels, pleural lines, tubes and wires.

A stroke is a row of points along a curve, each with an attenuation and a radius. Points are put
onto the grid by bilinear weights and blurred, in one pass from the coarsest radius to the finest:
all vessels together cost a few Gaussian filters.
"""

from itertools import pairwise

import numpy as np
from PIL import Image
from scipy import ndimage

PITCH = 0.8  # mm, the side of a drawing pixel
SIDE = 560  # drawing pixels: 448 mm, more than any field of view
_RADII = (0.5, 0.85, 1.4, 2.2, 3.4)  # standard deviations of the strokes' profiles, mm


def grid(step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in patient mm: x of shape (1, SIDE), y of shape (SIDE, 1), for broadcasting.

    With a `step` of 2 or more, the centres of blocks of `step` pixels a side; `widen` brings a map
    of such blocks back to full size.
    """
    n = SIDE // step
    centres = ((np.arange(n) - (n - 1) / 2) * PITCH * step).astype(np.float32)
    return centres[None, :], centres[:, None]


def widen(coarse: np.ndarray) -> np.ndarray:
    """A map of blocks of pixels at full size (SIDE, SIDE), interpolated linearly."""
    picture = Image.fromarray(np.ascontiguousarray(coarse, np.float32))
    return np.array(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of a map (SIDE, SIDE) at places in mm: the values of the nearest pixels."""
    column = np.clip(np.rint(x / PITCH + (SIDE - 1) / 2), 0, SIDE - 1).astype(np.intp)
    row = np.clip(np.rint(y / PITCH + (SIDE - 1) / 2), 0, SIDE - 1).astype(np.intp)
    return image[row, column]


def curve(xy: np.ndarray, radius: float, peak: float | np.ndarray) -> np.ndarray:
    """A curve with a Gaussian profile as stroke points.

    Parameters
    ----------
    xy : (n, 2) array
        Points along the curve, mm; resampled evenly.
    radius : float
        Standard deviation of the profile across, mm.
    peak : float or (n,) array
        Attenuation (mu times thickness, no unit) on the curve's middle line; negative for air.

    Returns
    -------
    (4, m) array
        As `stroke` gives.
    """
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    spacing = float(np.clip(0.7 * radius, 0.7 * PITCH, 1.5 * PITCH))
    at = np.linspace(0, length[-1], max(int(length[-1] / spacing) + 1, 2))
    x, y = np.interp(at, length, xy[:, 0]), np.interp(at, length, xy[:, 1])
    high = np.interp(at, length, np.broadcast_to(peak, length.shape))
    return stroke(x, y, np.full(at.size, radius), high, at[1] - at[0])


def stroke(
    x: np.ndarray, y: np.ndarray, radius: np.ndarray, peak: np.ndarray, spacing: float | np.ndarray
) -> np.ndarray:
    """Points `spacing` mm apart along curves as (4, n): x, y, radius (mm), attenuation (mm^2)."""
    mass = peak * np.sqrt(2 * np.pi) * radius * spacing
    return np.stack([x, y, radius, mass]).astype(np.float32)


def draw(strokes: list[np.ndarray]) -> np.ndarray:
    """The summed attenuation of all strokes, (SIDE, SIDE)."""
    total = np.zeros((SIDE, SIDE), np.float32)
    if not strokes:
        return total
    x, y, radius, mass = np.concatenate(strokes, axis=1)
    edges = [(fine * coarse) ** 0.5 for fine, coarse in pairwise(_RADII)]
    bins = np.digitize(radius, edges)
    for k in reversed(range(len(_RADII))):
        here = bins == k
        total += _splat(x[here], y[here], mass[here])
        finer = _RADII[k - 1] if k else 0.0
        sigma = np.sqrt(_RADII[k] ** 2 - finer**2) / PITCH
        total = ndimage.gaussian_filter(total, sigma, truncate=2.7)
    return total


def _splat(x: np.ndarray, y: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Density (SIDE, SIDE) of point masses, each shared among its four nearest pixels."""
    column = x / PITCH + (SIDE - 1) / 2
    row = y / PITCH + (SIDE - 1) / 2
    inside = (column >= 0) & (column < SIDE - 1) & (row >= 0) & (row < SIDE - 1)
    column, row, mass = column[inside], row[inside], mass[inside] / PITCH**2
    left, top = column.astype(np.int64), row.astype(np.int64)
    right_share, low_share = column - left, row - top
    first = top * SIDE + left
    index = np.concatenate([first, first + 1, first + SIDE, first + SIDE + 1])
    weight = np.concatenate(
        [
            mass * (1 - right_share) * (1 - low_share),
            mass * right_share * (1 - low_share),
            mass * (1 - right_share) * low_share,
            mass * right_share * low_share,
        ]
    )
    return np.bincount(index, weight, SIDE * SIDE).astype(np.float32).reshape(SIDE, SIDE)


def smooth_curve(anchors: list[tuple[float, float]], n: int = 60) -> np.ndarray:
    """A smooth curve (n, 2) through the anchors (Catmull-Rom, mm)."""
    anchor = np.asarray(anchors, float)
    padded = np.vstack([2 * anchor[0] - anchor[1], anchor, 2 * anchor[-1] - anchor[-2]])
    at = np.linspace(0, len(anchor) - 1 - 1e-9, n)
    k = at.astype(int)
    t = (at - k)[:, None]
    before, here, there, after = (padded[k + i] for i in range(4))
    return 0.5 * (
        2 * here
        + (there - before) * t
        + (2 * before - 5 * here + 4 * there - after) * t**2
        + (3 * here - before - 3 * there + after) * t**3
    )
