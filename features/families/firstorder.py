"""First-order family: the distribution of grey levels in a zone, wherever they lie.

Free air in the pleural space is darker than lung and more even, so in the zone of a pneumothorax
the mean falls and the spread narrows. Definitions follow the IBSI reference manual (Zwanenburg et
al. 2020), section 3.3, on grey levels in lung units.
"""

import numpy as np
from numpy.typing import NDArray

from features.families import zonal
from features.families.family import Family, Measure
from features.lungs.prepared import CLIP, Prepared

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


def measure(image: Prepared) -> NDArray[np.float64]:
    """First-order measures of every zone, shape (zones, measures)."""
    grey = image.grey.astype(np.float32)
    square = grey * grey
    mean, second, third, fourth = zonal.means(
        (grey, square, square * grey, square**2), image.zones
    ).T
    variance = np.maximum(second - mean**2, 0)
    # The moments of a constant zone are 0 / 0; a flat distribution is called symmetric.
    even = variance < 1e-6
    scale = np.where(even, 1.0, variance)
    skewness = (third - 3 * mean * second + 2 * mean**3) / scale**1.5
    kurtosis = (fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4) / scale**2 - 3
    p10, p25, p75, p90 = zonal.percentiles(grey, image.zones, (10, 25, 75, 90), (-CLIP, CLIP)).T
    flat = np.where(even, 0.0, 1.0)
    return np.stack(
        (mean, np.sqrt(variance), skewness * flat, kurtosis * flat, p10, p90, p75 - p25), axis=1
    )


FAMILY = Family("firstorder", MEASURES, measure)
