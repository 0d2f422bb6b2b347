"""Gradient family: how strong the edges of a zone are, how they run, and how fine they are.

Vessels and ribs make edges; free air has none. Edges along the chest wall hint at a pleural line,
edges across it at ribs and vessels. Band energies (differences of Gaussians, Burt and Adelson 1983)
separate fine structure from coarse.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features.families import zonal
from features.families.family import Family, Measure
from features.lungs.prepared import Prepared

# Octaves in pixels of the 512-pixel image, about 0.7 mm each in an adult.
SIGMAS = (1.0, 2.0, 4.0, 8.0)

MEASURES = (
    Measure(
        "strength",
        "mean strength of edges; low where vessels and ribs are missing",
        "lung units / pixel",
    ),
    Measure(
        "peak",
        "95th percentile of the edge strength: the zone's sharpest lines",
        "lung units / pixel",
    ),
    Measure(
        "coherence", "how far edges share one direction, from 0 to 1; ribs and lines raise it", ""
    ),
    Measure(
        "along_wall",
        "share of edge energy that runs along the chest wall, as a pleural line does",
        "share",
    ),
    Measure(
        "ridge",
        "mean brightness of thin bright lines, such as vessels or a pleural line",
        "lung units",
    ),
    *(
        Measure(
            f"band{number}", f"energy of structures about {2 * sigma:.0f} pixels wide", "lung units"
        )
        for number, sigma in enumerate(SIGMAS[:-1], 1)
    ),
)


def measure(image: Prepared) -> NDArray[np.float64]:
    """Gradient measures of every zone, shape (zones, measures)."""
    down, across = np.gradient(image.smooth(1.5))
    energy = down**2 + across**2
    strength = np.sqrt(energy)
    # The gradient of a line along the wall points the way that the wall distance grows.
    towards = down * image.inwards[0] + across * image.inwards[1]
    smooth = [image.smooth(sigma) for sigma in SIGMAS]
    bands = [np.abs(fine - coarse) for fine, coarse in pairwise(smooth)]
    maps = (
        strength,
        energy,
        towards**2,
        across**2 - down**2,
        2 * across * down,
        image.ridge(1.5),
        *bands,
    )
    mean = zonal.means(maps, image.zones)
    total = np.maximum(mean[:, 1], 1e-12)
    peak = zonal.percentiles(strength, image.zones, (95,))[:, 0]
    return np.column_stack(
        (
            mean[:, 0],
            peak,
            np.hypot(mean[:, 3], mean[:, 4]) / total,
            mean[:, 2] / total,
            mean[:, 5:],
        )
    )


FAMILY = Family("gradients", MEASURES, measure)
