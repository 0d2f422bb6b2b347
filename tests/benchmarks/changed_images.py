"""Training images of the U-Net with one thing changed, for unet_variants.py."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

from cnn.data.training_images import TrainingImages

PASTED, SEED = 500, 0
# Standard deviation of a soft border, and width of the ring by which greys are matched, in pixels.
BORDER, RING = 1.0, 4
# The atlas is a grid of so many squares a side.
ATLAS, ATLAS_BLUR, LEAST_SHARE = 128, 3.0, 0.05
# What is kept around the lungs, as a share of their larger side.
MARGIN = 0.04
Box = tuple[
    int, int, int, int
]  # first row, row after the last, first column, column after the last
Picture = NDArray[np.float32]


def soft_borders(images: TrainingImages, fold: int) -> TrainingImages:
    """The borders of masks blurred, since no reader knows them to a pixel."""
    learned = images.folds != fold
    masks = images.masks.copy()
    for row in np.flatnonzero(learned & images.positive):
        masks[row] = np.rint(ndimage.gaussian_filter(masks[row].astype(np.float32), BORDER))
    return replace(images, masks=masks)


def masks_of_teacher(
    images: TrainingImages, rows: NDArray[np.intp], maps: NDArray[np.float32]
) -> TrainingImages:
    """The weak masks of some images averaged with what a trained network draws there.

    The students of Xie et al. (CVPR 2020), with the weak masks as a second teacher.
    """
    masks = images.masks.copy()
    masks[rows] = np.rint((masks[rows] + 255 * maps) / 2)
    return replace(images, masks=masks)


def copies_pasted(images: TrainingImages, fold: int) -> TrainingImages:
    """More images: lesions of some pasted into X-rays without one (Ghiasi et al., CVPR 2021).

    A lesion goes where it was, or to the mirrored place, with a soft border, its greys shifted to
    those around it; the evidence map comes along.
    """
    rng = np.random.default_rng((SEED, fold))
    learned = images.folds != fold
    sources = rng.choice(np.flatnonzero(learned & images.positive), PASTED)
    targets = rng.choice(np.flatnonzero(learned & ~images.positive), PASTED)
    evidence = _evidence(images)
    pasted = []
    for source, target in zip(sources, targets, strict=True):
        layers = [array[source].astype(np.float32) for array in (images.images, evidence)]
        mask = images.masks[source]
        if rng.random() < 0.5:
            layers, mask = [layer[:, ::-1] for layer in layers], mask[:, ::-1]
        below = [array[target].astype(np.float32) for array in (images.images, evidence)]
        pasted.append((*_paste(layers, below, mask), mask))
    new = [np.rint(np.stack(arrays)).astype(np.uint8) for arrays in zip(*pasted, strict=True)]
    old = (images.images, evidence, images.masks)
    xrays, planes, masks = (
        np.concatenate([former, more]) for former, more in zip(old, new, strict=True)
    )
    return replace(
        images,
        ids=(*images.ids, *(f"pasted-{number}" for number in range(PASTED))),
        folds=np.concatenate([images.folds, images.folds[sources]]),
        known=np.concatenate([images.known, np.zeros(PASTED, bool)]),
        positive=np.concatenate([images.positive, np.ones(PASTED, bool)]),
        images=xrays,
        evidence=planes,
        masks=masks,
    )


def _paste(
    layers: list[Picture], below: list[Picture], mask: NDArray[np.uint8]
) -> tuple[Picture, Picture]:
    """X-ray and evidence with the lesion in them."""
    inside = mask > 127
    ring = ndimage.binary_dilation(inside, iterations=RING) & ~inside
    shift = np.median(below[0][ring]) - np.median(layers[0][ring]) if ring.any() else 0.0
    alpha = ndimage.gaussian_filter(ndimage.binary_dilation(inside).astype(np.float32), BORDER)
    xray = alpha * (layers[0] + np.float32(shift)) + (1 - alpha) * below[0]
    return np.clip(xray, 0, 255), alpha * layers[1] + (1 - alpha) * below[1]


def with_atlas(images: TrainingImages, fold: int, lungs: NDArray[np.bool_]) -> TrainingImages:
    """The odds of the evidence map times how much likelier than elsewhere air lies there.

    The atlas is the mean of all masks outside the fold and of their mirror images, each put on a
    grid over the box of both lungs, (n, size, size).
    """
    evidence = _evidence(images)
    boxes = [_box(plane) for plane in lungs]
    learned = np.flatnonzero((images.folds != fold) & images.positive)
    grid = np.zeros((ATLAS, ATLAS))
    for row in learned:
        one = _onto(images.masks[row] / 255, boxes[row], (ATLAS, ATLAS))
        grid += one + one[:, ::-1]
    grid = ndimage.gaussian_filter(grid / (2 * len(learned)), ATLAS_BLUR)
    factor = np.log(np.maximum(grid / grid.mean(), LEAST_SHARE))
    changed = np.zeros_like(evidence)
    for row, (top, bottom, left, right) in enumerate(boxes):
        part = evidence[row, top:bottom, left:right].astype(np.float64)
        box = (0, ATLAS, 0, ATLAS)
        odds = logit(np.clip(part / 255, 1e-3, 1 - 1e-3)) + _onto(factor, box, part.shape)
        changed[row, top:bottom, left:right] = np.rint(255 * expit(odds) * (part > 0))
    return replace(images, evidence=changed)


def cropped_to_lungs(
    images: TrainingImages, lungs: NDArray[np.bool_], size: int
) -> tuple[TrainingImages, list[Box]]:
    """The square around both lungs alone, so the same pixels show more of them; and its box."""
    boxes = [_squared(_box(plane)) for plane in lungs]
    layers = [
        np.array([_shrunk(picture, box, size) for picture, box in zip(layer, boxes, strict=True)])
        for layer in (images.images, images.masks, _evidence(images))
    ]
    return replace(images, images=layers[0], masks=layers[1], evidence=layers[2]), boxes


def put_back(square: Picture, box: Box, size: int) -> Picture:
    """A map of such a square in the whole picture, 0 outside."""
    top, bottom, left, right = box
    # Where each pixel of the picture lies in the square.
    down, across = (
        (np.arange(size) + 0.5 - first) * len(square) / (last - first) - 0.5
        for first, last in ((top, bottom), (left, right))
    )
    places = np.meshgrid(down, across, indexing="ij")
    return ndimage.map_coordinates(square, places, order=1, mode="constant")


def _squared(box: Box) -> Box:
    """The square about the middle of a box, with a margin on each side."""
    top, bottom, left, right = box
    half = (0.5 + MARGIN) * max(bottom - top, right - left)
    return (
        round((top + bottom) / 2 - half),
        round((top + bottom) / 2 + half),
        round((left + right) / 2 - half),
        round((left + right) / 2 + half),
    )


def _shrunk(picture: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """A box of a picture, resampled to a square; black outside the picture."""
    factor = (box[1] - box[0]) / size
    smooth = ndimage.gaussian_filter(picture.astype(np.float32), 0.4 * max(factor - 1, 0))
    return np.rint(_onto(smooth, box, (size, size), "constant")).astype(np.uint8)


def _evidence(images: TrainingImages) -> NDArray[np.uint8]:
    if images.evidence is None:
        raise ValueError("these images have no evidence map")
    return np.asarray(images.evidence)


def _box(plane: NDArray[np.bool_]) -> Box:
    """First row and column of what is set, and those after the last; all of an empty plane."""
    rows, columns = (np.flatnonzero(plane.any(axis)) for axis in (1, 0))
    if not rows.size:
        return 0, plane.shape[0], 0, plane.shape[1]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _onto(
    values: NDArray[np.floating], box: Box, shape: tuple[int, ...], mode: str = "nearest"
) -> NDArray[np.float64]:
    """A box of a picture, interpolated onto a grid."""
    top, bottom, left, right = box
    down, across = (
        first + (np.arange(count) + 0.5) * (last - first) / count - 0.5
        for first, last, count in ((top, bottom, shape[0]), (left, right, shape[1]))
    )
    places = np.meshgrid(down, across, indexing="ij")
    return ndimage.map_coordinates(np.asarray(values, np.float64), places, order=1, mode=mode)
