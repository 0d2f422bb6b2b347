"""Masks come with the files and go back to them: run-length codes on another grid than the picture.

A run holds all masks on the grid of the picture. Here they are brought from the grid of the file,
as annotations have it, and back to it, as a submission wants it (see `placement`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.dataset import layouts
from features.reading import rle
from features.reading.placement import Placement
from features.reading.study import Study

# Columns of the dataset that say where the picture lies, missing where it is just the file's.
COLUMNS = ("stored_rows", "stored_columns", "square_rows", "square_columns", "top", "left")


def to_row(study: Study) -> dict[str, int | None]:
    """What the dataset's table says of a study's placement, by `COLUMNS`."""
    place = study.placement
    values = (
        (None,) * len(COLUMNS) if place is None else (*place.file, *place.square, *place.corner)
    )
    return dict(zip(COLUMNS, values, strict=True))


def placements(dataset: pd.DataFrame) -> dict[str, Placement]:
    """The placements of the images of a dataset, by id."""
    pictures = zip(dataset["rows"].tolist(), dataset["columns"].tolist(), strict=True)
    rows = dataset[list(COLUMNS)].itertuples(index=False, name=None)
    return {
        name: _placement(row, picture)
        for name, picture, row in zip(dataset["id"], pictures, rows, strict=True)
    }


def _placement(row: tuple[Any, ...], picture: tuple[int, int]) -> Placement:
    """The placement that the values of `COLUMNS` describe."""
    if pd.isna(row[0]):
        return Placement.whole(picture, picture)
    rows, columns, square_rows, square_columns, top, left = map(int, row)
    return Placement((rows, columns), (square_rows, square_columns), (top, left), picture)


def read(path: Path, of: Mapping[str, Placement]) -> dict[str, str]:
    """Read an annotation csv as `layouts.read_annotations` does: codes of the pictures, by id."""
    codes = layouts.read_annotations(path, {name: place.file for name, place in of.items()})
    return on_pictures(codes, of)


def on_pictures(codes: Mapping[str, str], of: Mapping[str, Placement]) -> dict[str, str]:
    """Codes on the files' grids, by id, brought to the pictures' grids."""
    return {name: _on_picture(code, of[name]) for name, code in codes.items()}


def _on_picture(code: str, place: Placement) -> str:
    if place.is_file or code == rle.EMPTY:
        return code
    return rle.encode(place.to_picture(rle.decode(code, place.file)))


def in_file(code: str, place: Placement) -> str:
    """A code on the picture's grid brought to the file's."""
    if place.is_file or code == rle.EMPTY:
        return code
    return encode(rle.decode(code, place.picture), place)


def encode(mask: NDArray[np.bool_], place: Placement) -> str:
    """The code on the file's grid of a mask (h, w) on the picture's."""
    return rle.encode(place.to_file(mask))
