"""Gradient family: how strong the edges of a zone are, how they run, and how fine they are.

Vessels and ribs make edges; free air has none. Edges along the chest wall hint at a pleural line,
edges across it at ribs and vessels. Band energies (differences of Gaussians, Burt and Adelson 1983)
tell fine structure from coarse.
"""

import numpy as np
from scipy import ndimage

from features.measures import Measure
from features.prepared import Prepared

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
        "lung units / pixel²",
    ),
    *(
        Measure(
            f"band{number}", f"energy of structures about {2 * sigma:.0f} pixels wide", "lung units"
        )
        for number, sigma in enumerate(SIGMAS[:-1], 1)
    ),
)


def measure(image: Prepared) -> dict[str, dict[str, float]]:
    """Gradient measures of every zone: zone -> measure -> value."""
    down, across = image.gradient
    strength = np.hypot(down, across)
    wall_down, wall_across = np.gradient(ndimage.gaussian_filter(image.zones.wall_distance, 3.0))
    length = np.maximum(np.hypot(wall_down, wall_across), 1e-6)
    # The gradient of a line along the wall points the way that the wall distance grows.
    towards = (down * wall_down + across * wall_across) / length
    maps = {
        "strength": strength,
        "energy": strength**2,
        "towards": towards**2,
        "xx": across**2 - down**2,
        "xy": 2 * across * down,
        "ridge": _ridge(image.grey),
    }
    smooth = [ndimage.gaussian_filter(image.grey, sigma) for sigma in SIGMAS]
    for number in range(1, len(SIGMAS)):
        maps[f"band{number}"] = np.abs(smooth[number - 1] - smooth[number])
    flat = {name: values.ravel() for name, values in maps.items()}
    result = {}
    for zone, where in image.zones.indices.items():
        mean = {name: float(values[where].mean(dtype=np.float64)) for name, values in flat.items()}
        energy = max(mean["energy"], 1e-12)
        result[zone] = {
            "strength": mean["strength"],
            "peak": float(np.percentile(flat["strength"][where], 95)),
            "coherence": float(np.hypot(mean["xx"], mean["xy"]) / energy),
            "along_wall": mean["towards"] / energy,
            "ridge": mean["ridge"],
            **{name: mean[name] for name in mean if name.startswith("band")},
        }
    return result


def _ridge(grey: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """Strength of bright lines: minus the smaller eigenvalue of the Hessian, where negative."""
    smooth = ndimage.gaussian_filter(grey, sigma)
    down, across = np.gradient(smooth)
    dd, da = np.gradient(down)
    aa = np.gradient(across, axis=1)
    smaller = (dd + aa) / 2 - np.hypot((dd - aa) / 2, da)
    return np.maximum(-smaller, 0) * sigma**2
