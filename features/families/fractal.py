"""Fractal family: how roughness grows with distance.

The mean difference of grey levels d pixels apart grows as d to the power H; the surface of grey
levels has the fractal dimension 3 - H (Pentland, "Fractal-based description of natural scenes",
IEEE TPAMI 6(6), 1984). Branching vessels are rough at every distance, air is not.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.families import zonal
from features.families.family import Family, Measure
from features.lungs.prepared import Prepared

DISTANCES = (1, 2, 4, 8, 16)

MEASURES = (
    Measure("fine", "fractal dimension of the grey levels over 1 to 4 pixels; air is smooth", ""),
    Measure("coarse", "fractal dimension of the grey levels over 4 to 16 pixels", ""),
    Measure("roughness", "mean difference of grey levels 2 pixels apart, as log2", ""),
)


def measure(image: Prepared) -> NDArray[np.float64]:
    """Fractal measures of every zone, shape (zones, measures)."""
    maps = [difference(image.grey, distance) for distance in DISTANCES]
    steps = np.log2(np.maximum(zonal.means(maps, image.zones), 1e-4))
    # H is the slope of the logarithm over two octaves; at most 1 on a plane.
    fine, coarse = (np.clip((steps[:, k + 2] - steps[:, k]) / 2, 0, 1) for k in (0, 2))
    return np.stack((3 - fine, 3 - coarse, steps[:, 1]), axis=1)


def difference(grey: NDArray[np.float32], distance: int) -> NDArray[np.float32]:
    """Mean absolute difference to the pixels `distance` to the left, right, above and below.

    Parameters
    ----------
    grey : (h, w) array of float32
    distance : int
        In pixels; the image repeats its edge.
    """
    return _difference(np.pad(grey, distance, "edge"), distance)


@njit(cache=True, fastmath=True)
def _difference(edge, d):  # type: ignore[no-untyped-def]
    means = np.empty((edge.shape[0] - 2 * d, edge.shape[1] - 2 * d), np.float32)
    for row in range(d, d + means.shape[0]):
        for column in range(d, d + means.shape[1]):
            middle = edge[row, column]
            down = abs(middle - edge[row + d, column]) + abs(middle - edge[row - d, column])
            across = abs(middle - edge[row, column + d]) + abs(middle - edge[row, column - d])
            means[row - d, column - d] = (down + across) / 4
    return means


FAMILY = Family("fractal", MEASURES, measure)
