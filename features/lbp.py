"""LBP family: shares of local patterns that do not depend on rotation or brightness.

Rotation-invariant uniform local binary patterns of 8 points (Ojala et al. 2002): each pixel is
compared with the points on a circle around it. Noise, edges, spots and flat ground have codes of
their own.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features import zonal
from features.measures import Measure
from features.prepared import Prepared

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
            codes(grey, radius, image.zones.cells >= 0), image.zones, POINTS + 2
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
        Pixels whose code is asked for.

    Returns
    -------
    (h, w) array of int16
        Number of points at least as bright as the centre, or 9 where that pattern changes more
        than twice along the circle; -1 where not asked for.
    """
    angle = 2 * np.pi * np.arange(POINTS) / POINTS
    # scikit-image rounds the points to five decimals, and exact equality needs the same points.
    down, across = np.round(-radius * np.sin(angle), 5), np.round(radius * np.cos(angle), 5)
    reach = int(np.ceil(radius)) + 1
    return _codes(np.pad(grey.astype(np.float64), reach), reach, down, across, inside)


@njit(cache=True)
def _codes(padded, reach, down, across, inside):  # type: ignore[no-untyped-def]
    rows, columns = padded.shape[0] - 2 * reach, padded.shape[1] - 2 * reach
    found = np.empty((rows, columns), np.int16)
    points = len(down)
    for row in range(rows):
        for column in range(columns):
            if not inside[row, column]:
                found[row, column] = -1
                continue
            centre = padded[row + reach, column + reach]
            bright = changes = last = 0
            for point in range(points):
                # The same order of sums as scikit-image's, or ties would fall otherwise.
                y, x = row + down[point], column + across[point]
                top, left = int(np.floor(y)), int(np.floor(x))
                bottom, right = int(np.ceil(y)) + reach, int(np.ceil(x)) + reach
                dy, dx = y - top, x - left
                top, left = top + reach, left + reach
                upper = (1 - dx) * padded[top, left] + dx * padded[top, right]
                lower = (1 - dx) * padded[bottom, left] + dx * padded[bottom, right]
                sign = 1 if (1 - dy) * upper + dy * lower >= centre else 0
                bright += sign
                if point > 0 and sign != last:
                    changes += 1
                last = sign
            found[row, column] = bright if changes <= 2 else points + 1
    return found
