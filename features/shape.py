"""Shape family: size and outline of the lung fields, and how far their segmentation can be trusted.

A tension pneumothorax pushes the mediastinum away and the diaphragm down, so one lung field grows.
"""

import numpy as np

from features.measures import Measure
from features.prepared import Prepared

MEASURES = (
    Measure("area", "area of the lung field as a share of the image", "share"),
    Measure("elongation", "height of the lung field over its width", ""),
    Measure("fill", "share of the lung field's bounding box that it fills", "share"),
)
IMAGE_MEASURES = (
    Measure(
        "quality", "how far the lung fields can be trusted, from 0 (a prior stands in) to 1", ""
    ),
    Measure("width", "width of both lung fields together over their height", ""),
)


def measure(image: Prepared) -> dict[str, dict[str, float]]:
    """Shape measures of each lung, and of both under the zone "image"."""
    result = {}
    for side, lung in (("right", image.lungs.right), ("left", image.lungs.left)):
        height, width = _box(lung)
        result[f"{side}_whole"] = {
            "area": float(lung.mean()),
            "elongation": height / width,
            "fill": float(lung.sum() / (height * width)),
        }
    height, width = _box(image.lungs.right | image.lungs.left)
    result["image"] = {"quality": float(image.lungs.quality), "width": width / height}
    return result


def _box(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(rows[-1] - rows[0] + 1), float(columns[-1] - columns[0] + 1)
