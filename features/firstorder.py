"""First-order family: the distribution of grey levels in a zone, wherever they lie.

Free air in the pleural space is darker than lung and more even, so in the zone of a pneumothorax
the mean falls and the spread narrows. Definitions follow the IBSI reference manual (Zwanenburg et
al. 2020), section 3.3, on grey levels in lung units.
"""

import numpy as np
from numpy.typing import NDArray

from features.measures import Measure
from features.prepared import Prepared

MEASURES = (
    Measure("mean", "mean grey level; air in the pleural space is darker than lung", "lung units"),
    Measure(
        "deviation", "standard deviation of the grey level; ribs and vessels raise it", "lung units"
    ),
    Measure(
        "skewness",
        "skewness of the grey level; above 0 if few bright structures stand on dark ground",
        "",
    ),
    Measure("kurtosis", "excess kurtosis of the grey level; high if a few pixels stick out", ""),
    Measure("p10", "10th percentile of the grey level: how dark the dark parts are", "lung units"),
    Measure(
        "p90", "90th percentile of the grey level: how bright the bright parts are", "lung units"
    ),
    Measure(
        "iqr", "interquartile range of the grey level: contrast between ribs and lung", "lung units"
    ),
)


def measure(image: Prepared) -> dict[str, dict[str, float]]:
    """First-order measures of every zone: zone -> measure -> value."""
    flat = image.grey.ravel()
    return {zone: _describe(flat[where]) for zone, where in image.zones.indices.items()}


def _describe(values: NDArray[np.float32]) -> dict[str, float]:
    mean = values.mean(dtype=np.float64)
    centred = values - mean
    variance = np.mean(centred**2)
    # The moments of a constant zone are 0 / 0; a flat distribution is called symmetric.
    scale = np.sqrt(variance) if variance > 1e-12 else np.inf
    standard = centred / scale
    p10, p25, p75, p90 = np.percentile(values, (10, 25, 75, 90))
    return {
        "mean": mean,
        "deviation": np.sqrt(variance),
        "skewness": np.mean(standard**3),
        "kurtosis": np.mean(standard**4) - 3 if np.isfinite(scale) else 0.0,
        "p10": p10,
        "p90": p90,
        "iqr": p75 - p25,
    }
