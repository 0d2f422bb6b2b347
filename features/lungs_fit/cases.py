"""X-rays with known lungs: the collections JSRT and Montgomery, and phantoms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.io import imread

from features.lungs.frames import Array, Mask
from features.phantom.radiograph import phantom
from features.run import parallel
from features.run.files import UserError


@dataclass(frozen=True)
class Case:
    """An X-ray (h, w) with its two lungs."""

    name: str
    pixels: Array
    right: Mask
    left: Mask


def read_cases(folder: Path) -> list[Case]:
    """X-rays of one collection, `images`, and their lungs, `labels`.

    Parameters
    ----------
    folder : Path
        `JSRT` (label 1 is the left lung, 2 the right) or another collection (above 127 is lung).

    Raises
    ------
    UserError
        If a mask is missing, or there is no image.
    """
    cases = []
    for path in sorted((folder / "images").glob("*.png")):
        label_path = folder / "labels" / path.name
        if not label_path.is_file():
            raise UserError(f"{label_path} is missing: each image needs a mask of its own name.")
        labels = imread(label_path)
        pixels = imread(path).astype(np.float32) / 255
        split = _by_label if folder.name == "JSRT" else _by_midline
        cases.append(Case(path.stem, pixels, *split(labels)))
    if not cases:
        raise UserError(f"{folder} holds no images/*.png: give --data the lung-masks folder.")
    return cases


def phantom_cases(count: int) -> list[Case]:
    """Phantoms, three in ten with a pneumothorax, and their lung fields."""
    phantoms = parallel.stream(partial(phantom, size=512), list(range(count)), "phantoms")
    return [
        Case(str(number), image.pixels.astype(np.float32) / 255, image.right_lung, image.left_lung)
        for number, image in enumerate(phantoms)
    ]


def _by_label(labels: NDArray[np.uint8]) -> tuple[Mask, Mask]:
    """Right and left lung, from labels that differ between them."""
    return labels == 2, labels == 1


def _by_midline(labels: NDArray[np.uint8]) -> tuple[Mask, Mask]:
    """Right and left lung of a mask of both: each piece belongs to the side of its centroid."""
    parts, count = ndimage.label(labels > 127)
    sizes = np.bincount(parts.ravel())[1:]
    centres = np.array(
        [c[1] for c in ndimage.center_of_mass(parts > 0, parts, range(1, count + 1))]
    )
    middle = centres[np.argsort(sizes)[-2:]].mean()
    is_right = np.concatenate([[False], centres < middle])
    return is_right[parts] & (parts > 0), ~is_right[parts] & (parts > 0)
