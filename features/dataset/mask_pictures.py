"""Annotations that are pictures: for each image one of its size, bright where the air lies."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.reading import picture, rle
from features.run import parallel
from features.run.files import UserError
from features.storage import kinds
from features.storage.names import shown

# Endings of a mask's name that its image's has not.
_ENDINGS = ("_mask", "-mask")


def by_image(masks: Mapping[str, Path], ids: Iterable[str]) -> dict[str, Path]:
    """The mask of each image: under its own name, or that with "_mask" at the end."""
    known = set(ids)
    found = {}
    for name, path in masks.items():
        ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
        found[name if name in known else name.removesuffix(ending)] = path
    return found


def read_codes(
    masks: Mapping[str, Path], sizes: Mapping[str, tuple[int, int]], jobs: int = -1
) -> dict[str, str]:
    """Read the masks of some images as run-length codes.

    Parameters
    ----------
    masks : mapping of str to Path
        The mask of each image.
    sizes : mapping
        Rows and columns of the images that could be read; masks of others are left out.
    jobs : int
        Processes; -1 for one a core.

    Returns
    -------
    dict
        Run-length code of each image, "-1" where it has no pneumothorax.

    Raises
    ------
    UserError
        If a mask cannot be read, or is of another size than its image.
    """
    items = [(path, sizes[name]) for name, path in masks.items() if name in sizes]
    codes = parallel.stream(_code, items, "reading masks", jobs)
    return dict(zip((name for name in masks if name in sizes), codes, strict=True))


def _code(item: tuple[Path, tuple[int, int]]) -> str:
    path, size = item
    kind = kinds.of_file(path)
    if kind in {None, kinds.DICOM}:
        raise UserError(
            f"{shown(path)}: no PNG, JPEG or TIFF picture; a folder of masks has these."
        )
    levels = picture.read_levels(path, kind)
    if levels.shape != size:
        raise UserError(
            f"{path}: a mask of {levels.shape[0]}x{levels.shape[1]} pixels, but its image has "
            f"{size[0]}x{size[1]}; give both in the same size."
        )
    return rle.encode(_bright(levels))


def _bright(levels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a mask is bright: 1 as well as 255 beside 0; of more levels, as JPEG has, the upper."""
    low, high = levels.min(), levels.max()
    if levels.dtype.kind == "u" and low == 0 and ((levels == 0) | (levels == high)).all():
        return levels > 0
    middle = np.iinfo(levels.dtype).max // 2 if levels.dtype.kind == "u" else (low + high) / 2
    return levels > middle
