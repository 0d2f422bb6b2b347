"""Lung fields: linear regressions find the lungs, a space of shapes draws them, trees trim them.

1. Pose: five numbers (centre, width, height, slope) place a frame around both lungs. A ridge
   regression reads the pixels inside the current frame and moves it, several times over, as in
   supervised descent.
2. Shape: in that frame, and again in a frame around each lung, a second regression reads such
   pixels and gives the lung's signed distance map in a space of shapes learned from the Montgomery
   set. A lung half hidden by fluid or emptied by a pneumothorax stays whole: no other shape exists.
3. Edge: near that outline boosted trees correct the distance from the profile across it.

Pixels enter only as ranks and local contrast, so gain, offset and tone curve of the device hardly
matter. The left lung is read in the mirror by the right lung's model: a mirrored image gives
mirrored lungs. Where a lung is hardly visible the average shape stands in, and its quality is
low.

References
----------
Xiong and De la Torre, "Supervised descent method and its applications to face alignment", CVPR
2013. Leventon, Grimson and Faugeras, "Statistical shape influence in geodesic active contours",
CVPR 2000. Jaeger et al., "Two public chest X-ray datasets for computer-aided screening of
pulmonary diseases", Quant. Imaging Med. Surg. 4(6), 2014. Candemir et al., "Lung segmentation in
chest radiographs using anatomical atlases with nonrigid registration", IEEE TMI 33(2), 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from threadpoolctl import ThreadpoolController

from features.lungs.cascade import (
    PAIR_GRID,
    Lung,
    LungModel,
    find_pose,
    load,
    lung_quality,
    trace_lung,
)
from features.lungs.frames import (
    MIRROR,
    SIDE,
    Array,
    Frame,
    Mask,
    area_resize,
    body_box,
    grid_points,
    look_up,
    pair_frame,
)
from features.pixels import regions

GREY_LEVELS = 4095
WHOLE = (0.0, 1.0, 0.0, 1.0)  # the box of an image without blank borders
TRUST = 0.35  # a lung of less quality gets the average shape


@dataclass(frozen=True)
class LungFields:
    """Two disjoint lungs of one image and how far to trust them.

    Attributes
    ----------
    right : bool (h, w)
        The patient's right lung, at the left of an image in PA display.
    left : bool (h, w)
        The patient's left lung.
    quality : float
        0 (no lungs are visible, the outline is the average one) to 1 (clear lungs); of the worse
        lung.
    signs : tuple of float
        How the lungs were found, for the quality gate: the pose of the pair, and of each lung as it
        was traced the quality, `SIGNS` and `overhang`; empty where they were not sought.
    """

    right: Mask
    left: Mask
    quality: float
    signs: tuple[float, ...] = ()


def overhang(lung: Lung) -> tuple[float, ...]:
    """How far a lung as it was traced reaches: beyond 1 or -1 is outside the image.

    Returns
    -------
    tuple of 8 floats
        Shares of the lung beyond the left, right, upper and lower edge; its least and greatest x
        and y.
    """
    inside = lung.field > 0
    if not inside.any():
        return (0.0,) * 8
    x, y = grid_points(lung.frame, lung.field.shape)[:, inside]
    beyond = (x < -1, x > 1, y < -1, y > 1)
    ends = (x.min(), x.max(), y.min(), y.max())
    return (*(float(part.mean()) for part in beyond), *(float(end) for end in ends))


def find_lungs(image: Array, model: LungModel) -> tuple[list[Lung], float, tuple[float, ...]]:
    """Both lungs of a working image, the second traced in the mirror; lower quality and signs."""
    signs: tuple[float, ...] = ()
    if np.ptp(image) == 0:  # blank: nothing to read
        lungs, qualities, pose = [], [0.0, 0.0], model.start
    else:
        pose = find_pose(image, model)
        lungs = [
            trace_lung(image, pose, model),
            trace_lung(np.ascontiguousarray(image[:, ::-1]), pose * MIRROR, model),
        ]
        qualities = [lung_quality(lung, model) for lung in lungs]
        traced = zip(qualities, lungs, strict=True)
        of_lungs = [(quality, *lung.signs.tolist(), *overhang(lung)) for quality, lung in traced]
        signs = (*pose.tolist(), *of_lungs[0], *of_lungs[1])
    average = model.pair_mean.reshape(PAIR_GRID)
    trusted = max(qualities) >= TRUST  # then at least the place of the pair is known
    chosen = []
    for side, quality in enumerate(qualities):
        if quality >= TRUST:
            chosen.append(lungs[side])
            continue
        place = pose * (MIRROR if side else 1) if trusted else model.start
        chosen.append(Lung(average, pair_frame(place), np.zeros(0)))
    return chosen, min(qualities), signs


def _one_piece(field: Array) -> Array:
    """The field with one component above zero and no hole; never without a positive pixel."""
    mask = field > 0
    if not mask.any():
        mask = field >= field.max()
    mask = ndimage.binary_fill_holes(regions.largest(mask))
    return np.where(mask, np.maximum(field, 1e-3), np.minimum(field, -1e-3)).astype(np.float32)


def render(
    field: Array, frame: Frame, box: tuple[float, float, float, float], size: tuple[int, int]
) -> Array:
    """Signed distances (h, w) of an image of `size` whose `box` was the working image."""
    top, bottom, first, last = box
    (h, w), out = size, np.full(size, -1, np.float32)
    y = (((np.arange(h) + 0.5) / h - top) / (bottom - top)) * 2 - 1
    x = (((np.arange(w) + 0.5) / w - first) / (last - first)) * 2 - 1
    corners = frame @ np.array([[-1, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1]])
    rows = np.flatnonzero((y >= corners[1].min()) & (y <= corners[1].max()))
    columns = np.flatnonzero((x >= corners[0].min()) & (x <= corners[0].max()))
    if len(rows) == 0 or len(columns) == 0:
        return out
    # every other pixel of a large image is enough: the field is coarser still
    stride = max(1, min(h, w) // 256)
    x_at, x_weights = _linear(x[columns], stride)
    y_at, y_weights = _linear(y[rows], stride)
    back = np.linalg.inv(np.vstack([frame, [0, 0, 1]]))[:2]
    points = (back[:, :1] * x_at + back[:, 2:])[:, None, :] + (back[:, 1:2] * y_at)[:, :, None]
    values = np.where((np.abs(points) <= 1).all(axis=0), look_up(_one_piece(field), points), -1)
    patch = y_weights @ values.astype(np.float32) @ x_weights.T
    out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = patch
    return out


def _linear(at: NDArray[np.float64], stride: int) -> tuple[NDArray[np.float64], Array]:
    """Fewer knots along an even axis, and the weights (n, knots) of linear interpolation."""
    count = -(-len(at) // stride) + 1
    knots = np.linspace(at[0], at[-1], count)
    position = np.linspace(0, count - 1, len(at))
    return knots, np.maximum(0, 1 - np.abs(position[:, None] - np.arange(count))).astype(np.float32)


def segment(pixels: Array) -> LungFields:
    """Find both lungs of a frontal chest X-ray.

    Parameters
    ----------
    pixels : float32 (h, w)
        Air dark; any gain and offset; h and w at least 32.

    Returns
    -------
    LungFields
        Masks of the input's shape, never empty, disjoint, one component each.

    Raises
    ------
    ValueError
        If pixels is not an array of finite numbers with two axes of at least 32.
    """
    if pixels.ndim != 2 or min(pixels.shape) < 32:
        raise ValueError(f"lungs need an image of at least 32 x 32 pixels, not {pixels.shape}")
    if not np.isfinite(pixels).all():
        raise ValueError("lungs need finite pixels, but this image holds NaN or infinity")
    return segment_with(load(), np.asarray(pixels, np.float32))


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """The loaded BLAS libraries; looking for them takes milliseconds."""
    return ThreadpoolController()


def segment_with(model: LungModel, pixels: Array) -> LungFields:
    """`segment` with a given model."""
    # BLAS adds in another order where it has more threads, and on a poor image the steps of the
    # pose magnify that: one thread, so that every machine finds the same lungs.
    with _libraries().limit(limits=1, user_api="blas"):
        return _segment(model, pixels)


def _segment(model: LungModel, pixels: Array) -> LungFields:
    small = area_resize(pixels, (SIDE, SIDE))
    box = body_box(small)
    image = in_levels(small if box == WHOLE else area_resize(cropped(pixels, box), (SIDE, SIDE)))
    if np.ptp(pixels) <= 1e-6 * np.abs(pixels).max():  # blank but for rounding errors
        image = np.zeros_like(image)
    lungs, quality, signs = find_lungs(image, model)
    right, left = _masks(lungs, box, pixels.shape)
    if not (right.any() and left.any()):  # a lung outside the image: the average ones are inside
        average = Lung(model.pair_mean.reshape(PAIR_GRID), pair_frame(model.start), np.zeros(0))
        right, left = _masks([average, average], WHOLE, pixels.shape)
        quality = 0.0
    return LungFields(right, left, quality, signs)


def cropped(pixels: Array, box: tuple[float, float, float, float]) -> Array:
    """The part of the image inside a box."""
    h, w = pixels.shape
    top, bottom = (round(share * h) for share in box[:2])
    first, last = (round(share * w) for share in box[2:])
    return pixels[top:bottom, first:last]


def in_levels(image: Array) -> Array:
    """An image in GREY_LEVELS grey levels, as the stages read it.

    Coarse levels keep rounding errors from giving the pixels of a flat area different ranks.
    """
    return np.rint((image - image.min()) * (GREY_LEVELS / max(float(np.ptp(image)), 1e-12)))


def _masks(
    lungs: list[Lung], box: tuple[float, float, float, float], size: tuple[int, ...]
) -> tuple[Mask, Mask]:
    mirrored = (box[0], box[1], 1 - box[3], 1 - box[2])
    right = render(lungs[0].field, lungs[0].frame, box, (size[0], size[1]))
    left = render(lungs[1].field, lungs[1].frame, mirrored, (size[0], size[1]))[:, ::-1]
    apart = (right > 0) & (right > left), (left > 0) & (left > right)
    return regions.largest(apart[0]), regions.largest(apart[1])
