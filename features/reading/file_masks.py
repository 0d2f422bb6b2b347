"""Masks come with the files and go back to them: run-length codes on another grid than the picture.

A run holds all masks on the grid of the picture, whose pixels are square. Here they are brought
from the grid of the file, as annotations have it, and back to it, as a submission wants it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.reading import layouts, rle
from features.reading.square_pixels import resample_mask
from features.reading.study import Study


class Sizes(NamedTuple):
    """Rows and columns of an image's file, and of its picture: the same for square pixels."""

    file: tuple[int, int]
    picture: tuple[int, int]

    @classmethod
    def of_study(cls, study: Study) -> "Sizes":
        """The sizes of a study."""
        return cls(study.file_size, (study.rows, study.columns))


def sizes(dataset: pd.DataFrame) -> dict[str, Sizes]:
    """The sizes of the images of a dataset, by id."""
    rows, columns = dataset["rows"], dataset["columns"]
    stored = (
        dataset["stored_rows"].fillna(rows).astype(int),
        dataset["stored_columns"].fillna(columns).astype(int),
    )
    files = zip(*(side.tolist() for side in stored), strict=True)
    pictures = zip(rows.tolist(), columns.tolist(), strict=True)
    return dict(zip(dataset["id"], map(Sizes, files, pictures), strict=True))


def read(path: Path, of: Mapping[str, Sizes]) -> dict[str, str]:
    """Read an annotation csv as `layouts.read_annotations` does: codes of the pictures, by id."""
    codes = layouts.read_annotations(path, {name: sizes.file for name, sizes in of.items()})
    return on_pictures(codes, of)


def on_pictures(codes: Mapping[str, str], of: Mapping[str, Sizes]) -> dict[str, str]:
    """Codes on the files' grids, by id, brought to the pictures' grids."""
    return {name: _on_picture(code, of[name]) for name, code in codes.items()}


def _on_picture(code: str, sizes: Sizes) -> str:
    if sizes.file == sizes.picture or code == rle.EMPTY:
        return code
    return rle.encode(resample_mask(rle.decode(code, sizes.file), sizes.picture))


def in_file(code: str, sizes: Sizes) -> str:
    """A code on the picture's grid brought to the file's."""
    if sizes.file == sizes.picture or code == rle.EMPTY:
        return code
    return encode(rle.decode(code, sizes.picture), sizes)


def encode(mask: NDArray[np.bool_], sizes: Sizes) -> str:
    """The code on the file's grid of a mask (h, w) on the picture's."""
    return rle.encode(resample_mask(mask, sizes.file))
