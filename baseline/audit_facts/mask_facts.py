"""How well a mask fits its picture, beside broken copies of the same mask.

A reader's outline of a pneumothorax keeps within the lung, follows its edge, and holds less fine
detail than the lung around it. A mirrored or transposed mask, or another image's, does so less.
Nobody knows by how much beforehand; but a dataset's own masks, most of them right, and their broken
copies are examples to learn from (see `baseline.audit.check_masks`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from features.lungs.prepared import Prepared, prepare
from features.pixels import filters, regions
from features.reading import rle
from features.reading.square_pixels import resample_mask

Mask = NDArray[np.bool_]
Image = NDArray[np.float32]
Floats = NDArray[np.float64]

# The mask as it is, and its broken copies; "foreign" is the mask of another image.
VARIANTS = ("as drawn", "mirrored", "transposed", "foreign")
MEASURES = (
    "outside the lungs",
    "in the smaller part",
    "brighter than the lung",
    "more detail than the lung",
    "wall distance",
    "brightness around",
    "fine detail around",
    "outline on the lung's edge",
    "tall",
    "height",
    "log area",
    "brightness",
    "fine detail",
    "coarse detail",
    "lower quarter of fine detail",
    "edge along the outline",
    "edge inside the lung",
)
OUTSIDE, AREA = MEASURES.index("outside the lungs"), MEASURES.index("log area")
# Widths in working pixels (512 a side): how near an outline follows the lung's edge, the ring
# around a mask from INNER to OUTER, how far a mask may leave the lungs, the rim of a lung.
EDGE, INNER, OUTER, SLACK, RIM = 5, 2, 8, 3, 6
# What is needed around a mask, and the fewest pixels that stand for the rest of a lung.
AROUND, FEWEST = 14, 50
# Scales of the picture in working pixels: fine detail lies between the first two, coarse detail
# between the last two; slopes are measured on SLOPE.
SCALES, SLOPE = (1.0, 3.0, 8.0), 1.5
# Added before a logarithm.
SMALL = 1e-3


def measure(pixels: Image, code: str, foreign: tuple[str, int, int]) -> Floats:
    """Measure a mask and its broken copies.

    Parameters
    ----------
    pixels : (h, w) array of float32 in [0, 1]
    code : str
        Run-length code of the mask, not empty.
    foreign : (str, int, int)
        Code of another image's mask, and that image's rows and columns.

    Returns
    -------
    (variants, measures) array
        See `VARIANTS` and `MEASURES`; NaN for an empty mask.
    """
    image = prepare(pixels)
    shape = (image.scene.shape[0], image.scene.shape[1])
    mask = rle.decode(code, (pixels.shape[0], pixels.shape[1]))
    other = rle.decode(foreign[0], foreign[1:])
    copies = (mask, mask[:, ::-1], mask.T, other)
    return fits(image, [resample_mask(copy, shape) for copy in copies])


def fits(image: Prepared, masks: Sequence[Mask]) -> Floats:
    """`MEASURES` of several masks on one picture, (n, measures)."""
    ground = _ground(image)
    nothing = [float("nan")] * len(MEASURES)
    return np.array([_fit(ground, mask) if mask.any() else nothing for mask in masks])


@dataclass(frozen=True)
class _Lung:
    """One lung, and what a mask in it is compared with."""

    field: Mask
    brightness: float
    detail: float

    @cached_property
    def wall(self) -> Mask:
        """What lies near its edge."""
        edge = self.field & ~ndimage.binary_erosion(self.field)
        return np.asarray(ndimage.binary_dilation(edge, iterations=EDGE))

    @cached_property
    def inside(self) -> Mask:
        """What lies far from its edge."""
        return np.asarray(ndimage.binary_erosion(self.field, iterations=RIM))


@dataclass(frozen=True)
class _Ground:
    """A picture, and what of it does not depend on a mask.

    `detail` and `coarse` are logarithms, 0 in the middle of the lungs; `slopes` (2, h, w) go down
    and across; `near` is the lungs and `SLACK` pixels around.
    """

    scene: Image
    detail: Image
    coarse: Image
    slopes: Image
    distance: Image
    near: Mask
    lungs: tuple[_Lung, _Lung]


def _ground(image: Prepared) -> _Ground:
    both = image.lungs.right | image.lungs.left
    fine, middle, broad = (filters.gaussian(image.scene, sigma) for sigma in SCALES)
    detail, coarse = _detail(fine, middle, 2.0, both), _detail(middle, broad, 4.0, both)
    slopes = np.asarray(np.gradient(filters.gaussian(image.scene, SLOPE)), np.float32)
    lungs = [
        _Lung(lung, float(image.scene[lung].mean()), float(detail[lung].mean()))
        for lung in (image.lungs.right, image.lungs.left)
    ]
    near = np.asarray(ndimage.binary_dilation(both, iterations=SLACK))
    distance = image.zones.wall_distance
    return _Ground(image.scene, detail, coarse, slopes, distance, near, (lungs[0], lungs[1]))


def _detail(sharp: Image, smooth: Image, sigma: float, both: Mask) -> Image:
    """Logarithm of the structure between two scales, in units of the lungs' own."""
    detail = filters.gaussian(np.abs(sharp - smooth), sigma)
    unit = max(float(np.median(detail[both])), 1e-6)
    return np.asarray(np.log(detail / np.float32(unit) + np.float32(SMALL)))


def _fit(ground: _Ground, mask: Mask) -> list[float]:
    pixels = int(mask.sum())
    overlaps = [int((mask & lung.field).sum()) for lung in ground.lungs]
    lung = ground.lungs[int(overlaps[1] > overlaps[0])]
    box = regions.box(mask, AROUND)
    part, scene, detail = mask[box], ground.scene[box], ground.detail[box]
    inside, field = part & ground.near[box], lung.field[box]
    outline = part & ~ndimage.binary_erosion(part)
    ring = _grown(part, OUTER) & ~_grown(part, INNER)
    ring = ring if ring.any() else part
    brightness, fine = float(scene[part].mean()), float(detail[part].mean())
    rest = [
        _without(whole, lung.field, values[part & field])
        for whole, values in ((lung.brightness, scene), (lung.detail, detail))
    ]
    return [
        1 - int(inside.sum()) / pixels,
        min(overlaps) / pixels,
        brightness - rest[0],
        fine - rest[1],
        float(ground.distance[box][inside].mean()) if inside.any() else 1.0,
        float(scene[ring].mean()) - brightness,
        float(detail[ring].mean()) - fine,
        int((outline & lung.wall[box]).sum()) / int(outline.sum()),
        *_shape(mask, lung.field),
        brightness,
        fine,
        float(ground.coarse[box][part].mean()),
        float(np.percentile(detail[part], 25)),
        *_edges(ground, box, part, outline, lung.inside[box]),
    ]


def _without(mean: float, lung: Mask, removed: Image) -> float:
    """Mean over a lung without some of its pixels, or with them where hardly any are left."""
    pixels = int(lung.sum())
    left = pixels - removed.size
    return (mean * pixels - float(removed.sum())) / left if left > FEWEST else mean


def _shape(mask: Mask, lung: Mask) -> tuple[float, float, float]:
    """Log of height over width, height of the middle in the lung (0 is its top), log of area."""
    in_rows = mask.sum(axis=1)
    rows, columns = np.flatnonzero(in_rows), np.flatnonzero(mask.any(axis=0))
    lung_rows = np.flatnonzero(lung.any(axis=1))
    middle = float((rows * in_rows[rows]).sum() / in_rows.sum())
    return (
        float(np.log((np.ptp(rows) + 1) / (np.ptp(columns) + 1))),
        (middle - lung_rows[0]) / (int(np.ptp(lung_rows)) + 1),
        float(np.log(in_rows.sum() / mask.size)),
    )


def _edges(
    ground: _Ground, box: regions.Box, mask: Mask, outline: Mask, inside: Mask
) -> tuple[float, float]:
    """How steep the picture is across the outline: against the mask's inside (log), in the lung."""
    down, across = ground.slopes[:, *box]
    normal = np.gradient(filters.gaussian(mask.astype(np.float32), SCALES[1]))
    length = np.hypot(*normal) + 1e-6
    steep = np.abs(down * normal[0] + across * normal[1]) / length
    core = ndimage.binary_erosion(mask, iterations=3)
    slope = np.hypot(down, across)[core if core.any() else mask]
    in_lung = outline & inside
    against = np.log(steep[outline].mean() + SMALL) - np.log(slope.mean() + SMALL)
    return float(against), float(steep[in_lung if in_lung.any() else outline].mean())


def _grown(mask: Mask, pixels: int) -> Mask:
    """A mask and what lies within some pixels of it, in city blocks."""
    return np.asarray(ndimage.binary_dilation(mask, iterations=pixels))
