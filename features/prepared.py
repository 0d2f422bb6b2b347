"""One X-ray made ready for measuring: common size, lung fields and zones, grey in lung units.

Grey levels of an X-ray have no unit: exposure and display processing scale and shift them. Measured
in lung units (0 = median of both lungs, 1 = their interquartile range) they can be compared.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize

from features import lungs, zones

# Working size of the longest side: half of SIIM's 1024; a pleural line is still 1 to 2 pixels wide.
SIDE = 512
# Grey levels further out than this (in lung units) are bone, metal or open air.
CLIP = 4.0
# Radiologists' outlines of a pneumothorax reach a little beyond the lung field, up to the ribs'
# inner edge, so the fields are widened by this share of the image's longest side.
MARGIN = 0.015


@dataclass(frozen=True)
class Prepared:
    """An X-ray ready for measuring.

    Parameters
    ----------
    grey : (h, w) array of float32
        Grey levels in lung units, clipped to -4 .. 4; the longest side has 512 pixels.
    lungs : LungFields
    zones : Zones
    """

    grey: NDArray[np.float32]
    lungs: lungs.LungFields
    zones: zones.Zones

    @cached_property
    def gradient(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Derivatives down and across, of the image smoothed by a Gaussian of 1.5 pixels."""
        smooth = ndimage.gaussian_filter(self.grey, 1.5)
        down, across = np.gradient(smooth)
        return down, across


def working_size(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale an image so that its longest side has 512 pixels, averaging areas."""
    rows, columns = pixels.shape
    factor = max(rows, columns) / SIDE
    if factor == int(factor) and rows % int(factor) == 0 and columns % int(factor) == 0:
        step = int(factor)
        blocks = pixels.reshape(rows // step, step, columns // step, step)
        return blocks.mean(axis=(1, 3))
    shape = (max(round(rows / factor), 1), max(round(columns / factor), 1))
    return resize(pixels, shape, order=1, anti_aliasing=factor > 1).astype(np.float32)


def grow(fields: lungs.LungFields, reach: float) -> lungs.LungFields:
    """Widen both lung fields by `reach` pixels; a pixel that both want goes to the nearer lung."""
    right, left = (ndimage.distance_transform_edt(~lung) for lung in (fields.right, fields.left))
    return replace(
        fields,
        right=(right <= reach) & (right <= left),
        left=(left <= reach) & (left < right),
    )


def prepare(pixels: NDArray[np.float32]) -> Prepared:
    """Find the lungs and their zones, and express grey levels in lung units.

    Parameters
    ----------
    pixels : (h, w) array of float32 in [0, 1]
        Air dark.

    Returns
    -------
    Prepared
    """
    image = working_size(pixels)
    fields = lungs.segment(image)
    fields = grow(fields, MARGIN * max(image.shape))
    inside = image[fields.right | fields.left]
    low, middle, high = np.percentile(inside, (25, 50, 75))
    # A constant lung has no spread; one grey level of 8 bits stands in for it.
    grey = np.clip((image - middle) / max(high - low, 1 / 255), -CLIP, CLIP)
    return Prepared(grey.astype(np.float32), fields, zones.build(fields))
