"""How well a mask fits its picture, beside broken copies of the same mask.

A reader's outline of a pneumothorax keeps within the lung, follows its edge, and holds less fine
detail than the lung around it. A mirrored or transposed mask, or another image's, does so less.
Nobody knows by how much beforehand; but a dataset's own masks, most of them right, and their broken
copies are examples to learn from (see `baseline.audit.check_masks`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from features.lungs.prepared import Prepared, prepare
from features.reading import rle

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

# The mask as it is, and its broken copies; "foreign" is the mask of another image.
VARIANTS = ("as drawn", "mirrored", "transposed", "foreign")
MEASURES = (
    "outside the lungs",
    "in the smaller part",
    "brightness",
    "fine detail",
    "wall distance",
    "brightness around",
    "fine detail around",
    "outline on the lung's edge",
    "tall",
    "height",
    "log area",
)
OUTSIDE, AREA = MEASURES.index("outside the lungs"), MEASURES.index("log area")
# Widths in working pixels (512 a side).
EDGE, INNER, OUTER, SLACK = 5, 2, 8, 3


def resized(mask: Mask, shape: tuple[int, int]) -> Mask:
    """The nearest pixel of a mask on another grid."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]


def measure(pixels: NDArray[np.float32], code: str, foreign: tuple[str, int, int]) -> Floats:
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
    return fits(image, [resized(copy, shape) for copy in copies])


def fits(image: Prepared, masks: Sequence[Mask]) -> Floats:
    """`MEASURES` of several masks on one picture, (n, measures)."""
    both = image.lungs.right | image.lungs.left
    smooth = ndimage.gaussian_filter(image.scene, 1)
    coarse = ndimage.gaussian_filter(image.scene, 3)
    detail = ndimage.gaussian_filter(np.abs(smooth - coarse), 2)
    detail = np.log(detail / max(float(np.median(detail[both])), 1e-6) + 1e-3)
    near = ndimage.binary_dilation(both, iterations=SLACK)
    return np.array([_fit(image, mask, detail, near) for mask in masks])


def _fit(image: Prepared, mask: Mask, detail: NDArray[np.float32], near: Mask) -> list[float]:
    pixels = int(mask.sum())
    if pixels == 0:
        return [float("nan")] * len(MEASURES)
    right, left = image.lungs.right, image.lungs.left
    shares = int((mask & right).sum()) / pixels, int((mask & left).sum()) / pixels
    lung = right if shares[0] >= shares[1] else left
    rest = lung & ~mask if (lung & ~mask).sum() > 50 else lung
    inside = mask & near
    ring = _grown(mask, OUTER) & ~_grown(mask, INNER)
    ring = ring if ring.any() else mask
    outline = mask & ~ndimage.binary_erosion(mask)
    wall = _grown(lung & ~ndimage.binary_erosion(lung), EDGE)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    lung_rows = np.flatnonzero(lung.any(axis=1))
    middle = (rows * mask.sum(axis=1)[rows]).sum() / pixels
    values, scene = image.zones.wall_distance, image.scene
    return [
        1 - int(inside.sum()) / pixels,
        min(shares),
        float(scene[mask].mean() - scene[rest].mean()),
        float(detail[mask].mean() - detail[rest].mean()),
        float(values[inside].mean()) if inside.any() else 1.0,
        float(scene[ring].mean() - scene[mask].mean()),
        float(detail[ring].mean() - detail[mask].mean()),
        int((outline & wall).sum()) / int(outline.sum()),
        float(np.log((np.ptp(rows) + 1) / (np.ptp(columns) + 1))),
        float((middle - lung_rows[0]) / (np.ptp(lung_rows) + 1)),
        float(np.log(pixels / mask.size)),
    ]


def _grown(mask: Mask, pixels: int) -> Mask:
    """A mask and what lies within some pixels of it, in city blocks."""
    return np.asarray(ndimage.binary_dilation(mask, iterations=pixels))
