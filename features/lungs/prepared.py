"""One X-ray made ready for measuring: common size, lung fields and zones, grey in lung units.

Grey levels of an X-ray have no unit: exposure and display processing scale and shift them. Measured
in lung units (0 = median of both lungs, 1 = their interquartile range) they can be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray
from skimage.transform import resize

from features.lungs import zones
from features.lungs.fields import LungFields, segment
from features.lungs.frames import area_resize, halve
from features.pixels import filters, regions

# Working size of the longest side: half of SIIM's 1024; a pleural line is still 1 to 2 pixels wide.
SIDE = 512
# Grey levels further out than this (in lung units) are bone, metal or open air.
CLIP = 4.0
# Grey levels are rounded to this part of a lung unit. Stored levels are few, so many pixels are
# alike or lie just on the edge of a bin; rounding errors of the exposure's scale must not decide.
STEPS = 4096
# Radiologists' outlines of a pneumothorax reach a little beyond the lung field, up to the ribs'
# inner edge, so the fields are widened by this share of the image's longest side.
MARGIN = 0.015
# Pixels around the lungs that a texture measure may look at: half the widest square average, the
# longest fractal distance, the reach of the smoothed wall distance, whichever is most.
SURROUNDINGS = 24
# Side of the cells that `features.cells.measure` cuts an image into, in working pixels; the
# surroundings end between two cells.
CELL_SIDE = 8

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Prepared:
    """An X-ray ready for measuring.

    Parameters
    ----------
    scene : (h, w) array of float32
        The whole image in lung units, clipped to -4 .. 4; the longest side has 512 pixels.
    grey : (h, w) array of float32
        The same inside the lung fields; outside, the nearest lung pixel of the row is repeated. So
        no pixel outside the lungs can change what is measured on it.
    lungs : LungFields
    zones : Zones
    origin : (int, int)
        Row and column of the first pixel in the whole image, multiples of `CELL_SIDE`.
    """

    scene: Image
    grey: Image
    lungs: LungFields
    zones: zones.Zones
    origin: tuple[int, int] = (0, 0)
    _computed: dict[object, Image] = field(default_factory=dict, repr=False, compare=False)

    def smooth(self, sigma: float) -> Image:
        """`grey` smoothed by a Gaussian of `sigma` pixels; computed once."""
        return self._once(("smooth", sigma), lambda: filters.gaussian(self.grey, sigma))

    def ridge(self, sigma: float) -> Image:
        """Bright lines of half-width `sigma` pixels, see `filters.ridge`; computed once."""
        return self._once(("ridge", sigma), lambda: filters.ridge(self.smooth(sigma), sigma))

    @property
    def smooth_scene(self) -> Image:
        """`scene` smoothed by a Gaussian of 1.5 pixels; computed once."""
        return self._once("scene", lambda: filters.gaussian(self.scene, 1.5))

    @property
    def inwards(self) -> Image:
        """Unit vectors (down, across) away from the chest wall, (2, h, w); computed once."""
        return self._once("inwards", lambda: filters.direction(self.zones.wall_distance))

    @cached_property
    def near_lungs(self) -> "Prepared":
        """The same cut to the lungs and `SURROUNDINGS` pixels around: half the pixels to measure.

        Since `grey` only repeats itself further out, no texture measure changes by it.
        """
        rows, columns = regions.box(self.zones.finest >= 0, SURROUNDINGS)
        top, left_edge = (line.start // CELL_SIDE * CELL_SIDE for line in (rows, columns))
        # Slices may end beyond the image.
        bottom, right_edge = (-(-line.stop // CELL_SIDE) * CELL_SIDE for line in (rows, columns))
        near = slice(top, bottom), slice(left_edge, right_edge)
        right, left = (
            np.ascontiguousarray(lung[near]) for lung in (self.lungs.right, self.lungs.left)
        )
        return Prepared(
            np.ascontiguousarray(self.scene[near]),
            np.ascontiguousarray(self.grey[near]),
            replace(self.lungs, right=right, left=left),
            replace(
                self.zones,
                labels=np.ascontiguousarray(self.zones.labels[:, *near]),
                wall_distance=np.ascontiguousarray(self.zones.wall_distance[near]),
            ),
            (self.origin[0] + top, self.origin[1] + left_edge),
        )

    def _once(self, key: object, compute: Callable[[], Image]) -> Image:
        if key not in self._computed:
            self._computed[key] = compute()
        return self._computed[key]


def working_size(pixels: Image) -> Image:
    """Scale an image so that its longest side has 512 pixels, by exact means over areas.

    A smaller image is interpolated.
    """
    rows, columns = pixels.shape
    factor = max(rows, columns) / SIDE
    if factor == 2 and rows % 2 == 0 and columns % 2 == 0:
        return halve(pixels)
    shape = working_shape((rows, columns))
    if factor > 1:
        return area_resize(pixels, shape)
    return resize(pixels, shape, order=1).astype(np.float32)


def working_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of an image of this shape at the working size."""
    factor = max(shape) / SIDE
    return max(round(shape[0] / factor), 1), max(round(shape[1] / factor), 1)


def grow(fields: LungFields, reach: float) -> LungFields:
    """Widen both lung fields by `reach` pixels; what both reach goes to the nearer lung."""
    right, left = (_squared_distance(lung, reach) for lung in (fields.right, fields.left))
    return replace(
        fields,
        right=(right <= reach**2) & (right <= left),
        left=(left <= reach**2) & (left < right),
    )


def _squared_distance(lung: NDArray[np.bool_], reach: float) -> NDArray[np.int32]:
    """Squared distance to a lung in pixels, without meaning where it is more than `reach`."""
    margin = int(np.ceil(reach))
    near = regions.box(lung, margin)
    distance = np.full(lung.shape, regions.FAR, np.int32)
    distance[near] = regions.squared_distance(lung[near], margin)
    return distance


def prepare(pixels: Image) -> Prepared:
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
    fields = grow(segment(image), MARGIN * max(image.shape))
    inside = fields.right | fields.left
    low, middle, high = np.percentile(image[inside], (25, 50, 75))
    # A constant lung has no spread; one grey level of 8 bits stands in for it.
    scene = _in_units(image, middle, max(high - low, 1 / 255))
    return assemble(scene, fields)


@njit(cache=True)
def _in_units(image, zero, unit):  # type: ignore[no-untyped-def]
    scaled = np.empty_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            value = min(max((image[row, column] - zero) / unit, -CLIP), CLIP)
            scaled[row, column] = np.rint(value * STEPS) / STEPS
    return scaled


def assemble(scene: Image, fields: LungFields) -> Prepared:
    """The record of an image already in lung units, given its lung fields."""
    return Prepared(
        scene, repeat_inside(scene, fields.right | fields.left), fields, zones.build(fields)
    )


@njit(cache=True)
def repeat_inside(image, inside):  # type: ignore[no-untyped-def]
    """Fill each pixel outside with the nearest inside pixel of its row.

    Rows without any repeat the nearest filled row above, or else below.

    Parameters
    ----------
    image : (h, w) array of float32
    inside : (h, w) array of bool, not empty

    Returns
    -------
    (h, w) array of float32
    """
    rows, columns = image.shape
    filled = np.zeros_like(image)
    last = -1
    for row in range(rows):
        before = -1
        for column in range(columns):
            if inside[row, column]:
                # What lies between two lung pixels is shared at the middle, mirror-symmetrically.
                for gap in range(before + 1, column):
                    nearer_before = before >= 0 and gap - before < column - gap
                    tie = before >= 0 and gap - before == column - gap
                    if nearer_before:
                        filled[row, gap] = image[row, before]
                    elif tie:
                        filled[row, gap] = (image[row, before] + image[row, column]) / 2
                    else:
                        filled[row, gap] = image[row, column]
                filled[row, column] = image[row, column]
                before = column
        if before >= 0:
            filled[row, before + 1 :] = image[row, before]
            if last < 0:
                for above in range(row):
                    filled[above] = filled[row]
            last = row
        elif last >= 0:
            filled[row] = filled[last]
    return filled
