"""Copies of phantoms as the quality gate learns from them, called by what they really lack.

A phantom's lungs are known, so a cut counts as one only if it takes lung away: a third of a picture
that ends far below the diaphragm can be spared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from features.phantom.radiograph import phantom
from features.phantom.streams import child
from features.pixels import regions
from features.quality.copies import CUTS, Picture, copies, cut_at
from features.quality.gate import GOOD, MIRRORED

SIZE = 256  # pixels a side of the phantoms
SHARES = (0.1, 0.45)  # least and greatest share of the picture that is cut off
ROUNDS = 2  # cuts at each side
LOST = 0.03  # share of the lungs' area that a cut takes away at least
SPARED = 0.01  # a cut that takes less than this share leaves a good picture
# A picture that keeps the shape of a cut from these shares on is a cut one whatever it lacks, and
# up to these ones may be a good picture: its shape tells.
ODD_SHAPE, ORDINARY_SHAPE = 0.27, 0.2

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Copy:
    """A picture to learn from.

    Parameters
    ----------
    picture : (h, w) array of float32 in [0, 1]
    kinds : tuple of (str, float)
        What it is called at each ratio of height to width that it may come in.
    """

    picture: Picture
    kinds: tuple[tuple[str, float], ...]


def of_phantom(number: int, seed: int) -> Iterator[Copy]:
    """A phantom as good, turned, inverted and mirrored, and with cuts at each side."""
    rng = np.random.default_rng(child(seed, 1, number))
    image = phantom(child(seed, 2, number), size=SIZE)
    picture, lungs = _framed(
        image.pixels.astype(np.float32) / 255, image.right_lung | image.left_lung, rng
    )
    picture, lungs = _moved(picture, lungs, rng)
    for kind, copy in copies(picture):
        if kind not in CUTS:
            # The heart's side is told by other means.
            name = GOOD if kind == MIRRORED else kind
            yield Copy(copy, ((name, copy.shape[0] / copy.shape[1]),))
    for _ in range(ROUNDS):
        for kind in CUTS:
            share = float(rng.uniform(*SHARES))
            kept = cut_at(kind, picture, share)
            lost = 1 - cut_at(kind, lungs, share).sum() / lungs.sum()
            ratios = kept.shape[0] / kept.shape[1], picture.shape[0] / picture.shape[1]
            names = name_as_it_comes(kind, share, lost), name_stretched(kind, lost)
            yield Copy(
                kept,
                tuple((name, ratio) for name, ratio in zip(names, ratios, strict=True) if name),
            )


def name_stretched(kind: str, lost: float) -> str | None:
    """What a cut picture is called that was stretched to its old shape; None for neither."""
    if lost > LOST:
        return kind
    # Lungs that end just above the lower border look as those that go on below it.
    return GOOD if lost < SPARED and kind != "cut at the bottom" else None


def name_as_it_comes(kind: str, share: float, lost: float) -> str | None:
    """What a cut picture is called that has kept its scale; None for neither."""
    name = name_stretched(kind, lost)
    if (name == GOOD and share >= ORDINARY_SHAPE) or name is None:
        return kind if share >= ODD_SHAPE else None
    return name


def _framed(
    picture: NDArray[np.floating], lungs: Mask, rng: np.random.Generator
) -> tuple[NDArray[np.floating], Mask]:
    """The picture cut to another ratio of its sides, never into the lungs."""
    ratio = np.exp(rng.normal(0.03, 0.13))
    axis = 1 if ratio > 1 else 0
    side = picture.shape[axis]
    box = regions.box(lungs, 2)[axis]
    start, stop = box.start, min(box.stop, side)
    kept = max(round(side * min(ratio, 1 / ratio)), stop - start)
    first = int(rng.integers(max(stop - kept, 0), min(start, side - kept) + 1))
    place = np.arange(first, first + kept)
    return np.take(picture, place, axis), np.take(lungs, place, axis)


def _moved(
    picture: NDArray[np.floating], lungs: Mask, rng: np.random.Generator
) -> tuple[Picture, Mask]:
    """The picture tilted, stretched and shifted a little, with another tone curve."""
    angle, scale = rng.normal(0, 0.05), np.exp(rng.normal(0, [0.06, 0.06]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn * scale[:, None]
    middle = (np.array(picture.shape) - 1) / 2
    offset = middle + rng.normal(0, 0.025, 2) * picture.shape - matrix @ middle
    moved, fields = (
        ndimage.affine_transform(part, matrix, offset, order=1, mode="nearest")
        for part in (picture, lungs.astype(np.float32))
    )
    curve = np.exp(rng.normal(0, 0.4))
    return (np.clip(moved, 0, 1) ** curve).astype(np.float32), fields > 0.5
