"""LBP family: shares of local patterns that do not depend on rotation or brightness.

Rotation-invariant uniform local binary patterns of 8 points (Ojala et al. 2002): each pixel is
compared with the points on a circle around it. Noise, edges, spots and flat ground have different
codes.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.families import zonal
from features.families.family import Family, Measure
from features.lungs.prepared import Prepared

POINTS = 8
# A radius of 4 on an image smoothed by 2 pixels sees vessels rather than noise.
SCALES = {1: 0.0, 4: 2.0}

_CODES = {
    0: "a bright spot",
    1: "a line's end",
    2: "a sharp convex corner",
    3: "a convex corner",
    4: "a straight edge",
    5: "a concave corner",
    6: "a sharp concave corner",
    7: "a dark line's end",
    8: "a dark spot or flat ground",
    9: "no uniform pattern, as in noise or at crossings",
}
MEASURES = tuple(
    Measure(f"code{code}_r{radius}", f"share of pixels that are {text} at radius {radius}", "share")
    for radius in SCALES
    for code, text in _CODES.items()
)


def measure(image: Prepared) -> NDArray[np.float64]:
    """Shares of the LBP codes of every zone, shape (zones, measures)."""
    shares = []
    for radius, smoothing in SCALES.items():
        grey = image.smooth(smoothing) if smoothing else image.grey
        counts = zonal.counts_of(
            codes(grey, radius, image.zones.finest >= 0), image.zones, POINTS + 2
        )
        shares.append((counts / counts.sum(axis=1, keepdims=True))[image.zones.stand_in])
    return np.concatenate(shares, axis=1)


def codes(
    grey: NDArray[np.floating], radius: float, inside: NDArray[np.bool_]
) -> NDArray[np.int16]:
    """Rotation-invariant uniform codes of 8 points, equal to scikit-image's method "uniform".

    Parameters
    ----------
    grey : (h, w) array
        Beyond the border the image counts as 0.
    radius : float
        Of the circle, in pixels.
    inside : (h, w) array of bool
        Pixels whose code is wanted.

    Returns
    -------
    (h, w) array of int16
        Number of points at least as bright as the centre, or 9 where that pattern changes more
        than twice along the circle; -1 outside.
    """
    angle = 2 * np.pi * np.arange(POINTS) / POINTS
    # scikit-image rounds the points to five decimals, and exact equality needs the same points.
    offsets = np.round([-radius * np.sin(angle), radius * np.cos(angle)], 5)
    reach = int(np.ceil(radius)) + 1
    places = [np.arange(n) + offset[:, None] for n, offset in zip(grey.shape, offsets, strict=True)]
    # Here, too, the sums are scikit-image's, or ties would fall otherwise.
    parts = [place - np.floor(place) for place in places]
    low, high = np.floor(offsets).astype(int) + reach, np.ceil(offsets).astype(int) + reach
    return _codes(np.pad(grey.astype(np.float64), reach), reach, low, high, *parts, inside)


@njit(cache=True)
def _codes(padded, reach, low, high, down, across, inside):  # type: ignore[no-untyped-def]
    rows, columns = inside.shape
    points = len(down)
    codes = np.empty((rows, columns), np.int16)
    signs = np.empty((points, columns), np.int64)
    for row in range(rows):
        centre = padded[row + reach, reach:]
        for point in range(points):
            top, bottom = padded[row + low[0, point]], padded[row + high[0, point]]
            left, right = low[1, point], high[1, point]
            top_left, top_right = top[left:], top[right:]
            bottom_left, bottom_right = bottom[left:], bottom[right:]
            dy, dx, sign = down[point, row], across[point], signs[point]
            for k in range(columns):
                upper = (1 - dx[k]) * top_left[k] + dx[k] * top_right[k]
                lower = (1 - dx[k]) * bottom_left[k] + dx[k] * bottom_right[k]
                sign[k] = (1 - dy) * upper + dy * lower >= centre[k]
        for column in range(columns):
            if not inside[row, column]:
                codes[row, column] = -1
                continue
            bright, changes = signs[0, column], 0
            for point in range(1, points):
                bright += signs[point, column]
                changes += signs[point, column] != signs[point - 1, column]
            codes[row, column] = bright if changes <= 2 else points + 1
    return codes


FAMILY = Family("lbp", MEASURES, measure)
