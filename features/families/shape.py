"""Shape family: size and outline of the lung fields, and how far their segmentation can be trusted.

A tension pneumothorax pushes the mediastinum away and the diaphragm down, so one lung field grows.
"""

import numpy as np
from numpy.typing import NDArray

from features.families.family import Family, Measure
from features.lungs.prepared import Prepared
from features.reading.study import Study

ZONES = ("whole",)

MEASURES = (
    Measure("area", "area of the lung field as a share of the image", "share"),
    Measure("elongation", "height of the lung field over its width", ""),
    Measure("fill", "share of the lung field's bounding box that it fills", "share"),
    Measure(
        "sulcus",
        "how much deeper the lung reaches at its outer third than at its middle third; a deep "
        "sulcus is the sign of air in front of the lung, lying down",
        "lung heights",
    ),
)
IMAGE_MEASURES = (
    Measure(
        "quality", "how far the lung fields can be trusted, from 0 (a prior stands in) to 1", ""
    ),
    Measure("width", "width of both lung fields together over their height", ""),
    Measure(
        "mediastinum",
        "how far the middle between the lungs lies off the middle of the chest; tension shifts it",
        "share of the chest's width",
    ),
    Measure(
        "diaphragm",
        "difference in height of the lungs' lower ends, without its sign",
        "lung heights",
    ),
)


def measure(image: Prepared) -> NDArray[np.float64]:
    """Shape measures of each lung, shape (2, measures)."""
    rows = []
    for side, lung in (("right", image.lungs.right), ("left", image.lungs.left)):
        top, bottom, first, last = _box(lung)
        height, width = bottom - top, last - first
        facing = lung if side == "right" else lung[:, ::-1]
        columns = np.flatnonzero(facing.any(axis=0))
        lower = len(lung) - facing[::-1, columns].argmax(axis=0)
        outer, middle, _ = np.array_split(lower, 3)
        sulcus = (outer.max() - np.median(middle)) / height if len(columns) >= 3 else 0.0
        area = np.count_nonzero(lung)
        rows.append((area / lung.size, height / width, area / (height * width), sulcus))
    return np.array(rows, float)


def measure_image(image: Prepared, study: Study) -> tuple[float, ...]:
    """Shape measures of both lungs together."""
    right, left = _box(image.lungs.right), _box(image.lungs.left)
    top, bottom, first, last = _box(image.lungs.right | image.lungs.left)
    between = (right[3] + left[2]) / 2
    return (
        float(image.lungs.quality),
        (last - first) / (bottom - top),
        abs(between - (first + last) / 2) / (last - first),
        abs(right[1] - left[1]) / (bottom - top),
    )


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Top, bottom, first and last column of a mask; the ends are exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(rows[0]), float(rows[-1] + 1), float(columns[0]), float(columns[-1] + 1)


FAMILY = Family(
    "shape",
    MEASURES,
    measure,
    zones=ZONES,
    image_measures=IMAGE_MEASURES,
    measure_image=measure_image,
)
