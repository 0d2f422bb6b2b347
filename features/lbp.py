"""LBP family: shares of local patterns that do not depend on rotation or brightness.

Rotation-invariant uniform local binary patterns of 8 points (Ojala et al. 2002): each pixel is
compared with the points on a circle around it. Noise, edges, spots and flat ground have codes of
their own.
"""

import warnings

import numpy as np
from scipy import ndimage
from skimage.feature import local_binary_pattern

from features.measures import Measure
from features.prepared import Prepared
from features.zones import NAMES

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


def measure(image: Prepared) -> dict[str, dict[str, float]]:
    """Shares of the LBP codes of every zone: zone -> measure -> value."""
    result: dict[str, dict[str, float]] = {name: {} for name in NAMES}
    for radius, smoothing in SCALES.items():
        grey = ndimage.gaussian_filter(image.grey, smoothing) if smoothing else image.grey
        with warnings.catch_warnings():
            # scikit-image warns that comparing floats is sensitive to tiny differences; they are
            # real differences here, an 8-bit image averaged over 2x2 pixels.
            warnings.filterwarnings("ignore", message="Applying `local_binary_pattern`")
            codes = local_binary_pattern(grey, POINTS, radius, method="uniform").astype(np.intp)
        flat = codes.ravel()
        for name, where in image.zones.indices.items():
            shares = np.bincount(flat[where], minlength=POINTS + 2) / where.size
            for code, share in enumerate(shares):
                result[name][f"code{code}_r{radius}"] = float(share)
    return result
