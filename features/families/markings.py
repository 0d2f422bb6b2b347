"""Lung-markings family: where vessels are, and where they are missing.

Vessels thin out towards the pleura and end there; beyond the edge of a collapsed lung there are
none. Vessels are bright ridges of any direction (Frangi et al., "Multiscale vessel enhancement
filtering", MICCAI 1998).
"""

import numpy as np
from numpy.typing import NDArray

from features.families import zonal
from features.families.family import Family, Measure
from features.lungs.prepared import Prepared
from features.pixels import filters

# Sigmas in pixels of the 512 of thin peripheral vessels and of larger ones.
FINE, COARSE = 1.0, 2.5
# Ridges above this (in lung units) count as a vessel.
VISIBLE = 0.05
# Side of the square, in pixels, over which the density of markings is averaged.
SQUARE = 21

MEASURES = (
    Measure("density", "share of the zone that lies on vessels or other thin lines", "share"),
    Measure("fine", "mean strength of fine markings, as of peripheral vessels", "lung units"),
    Measure("coarse", "mean strength of coarse markings, as of central vessels", "lung units"),
    Measure(
        "empty",
        "share of the zone whose surroundings hold less than half the markings of both lungs",
        "share",
    ),
    Measure(
        "emptiest",
        "10th percentile of the density of fine markings around each pixel",
        "lung units",
    ),
    Measure(
        "inwards",
        "how much stronger fine markings become towards the hilum; steep if the rim has none",
        "lung units / lung width",
    ),
)


def measure(image: Prepared) -> NDArray[np.float64]:
    """Marking measures of every zone, shape (zones, measures)."""
    lungs = image.zones.finest >= 0
    fine, coarse = image.ridge(FINE), image.ridge(COARSE)
    inside = lungs.astype(np.float32)
    share = np.maximum(filters.square_mean(inside, SQUARE), 1e-3)
    around = filters.square_mean(fine * inside, SQUARE) / share
    typical = np.median(around[lungs])
    depth = image.zones.wall_distance
    maps = (fine > VISIBLE, fine, coarse, around < typical / 2, depth, fine * depth, depth**2)
    *mean, far, product, square = zonal.means(maps, image.zones).T
    emptiest = zonal.percentiles(around, image.zones, (10,))[:, 0]
    # Slope of a straight line through the markings against the distance to the wall.
    inwards = (product - mean[1] * far) / np.maximum(square - far**2, 1e-6)
    return np.column_stack((*mean, emptiest, inwards))


FAMILY = Family("markings", MEASURES, measure)
