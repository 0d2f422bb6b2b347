"""Outlines that readers draw on the page, kept in a csv that the pipeline reads as annotations.

Its columns are ``ImageId,EncodedPixels,reader,time``. Rows of one image by several readers are its
union, as in the challenge; a reader who outlines an image again replaces the former row.
"""

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn.page.shown import Shown
from features.dataset import file_masks
from features.dataset.layouts import ID, MASK
from features.reading import rle, square_pixels
from features.run import files
from features.run.files import UserError
from features.storage import csv_text
from features.storage.names import shown

COLUMNS = (ID, MASK, "reader", "time")
LONGEST_READER = 60


class OutlineError(UserError):
    """An outline that cannot be kept, in one sentence."""


@dataclass(frozen=True)
class Row:
    """One reader's outline of one image."""

    image: str
    code: str
    reader: str
    time: str


class Outlines:
    """The csv of a service.

    Parameters
    ----------
    path : Path
        It is made with the first outline.

    Raises
    ------
    UserError
        If there is a file already, and it is no such csv.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir() or path.suffix != ".csv":
            raise UserError(f"--outlines {path} is no csv file; give a name that ends in .csv.")
        self.rows()

    def rows(self) -> list[Row]:
        """All outlines so far.

        Raises
        ------
        UserError
            If the file is no such csv.
        """
        if not self.path.exists():
            return []
        rule = f"its header must be '{','.join(COLUMNS)}'"
        table = csv_text.read(self.path, rule)
        if tuple(table.columns) != COLUMNS:
            there = shown(",".join(table.columns))
            raise UserError(f"{self.path}: {rule}, and it is '{there}'; give another file.")
        return [Row(*values) for values in table.itertuples(index=False, name=None)]

    def add(self, study: Shown, code: str, grid: tuple[int, int], reader: str) -> Row:
        """Keep a reader's outline of a study.

        Parameters
        ----------
        study : Shown
        code : str
            Run-length code on the grid of xray.png; "-1" for no pneumothorax.
        grid : (int, int)
            Rows and columns that it was drawn on.
        reader : str

        Raises
        ------
        OutlineError
            If grid, code or name is none that can be, or another reader's row contradicts it.
        UserError
            If the file cannot be written.
        """
        reader = checked_name(reader)
        if grid != study.grid:
            (rows, columns), (there, across) = study.grid, grid
            raise OutlineError(
                f"The outline is on a grid of {there} rows and {across} columns, but xray.png has "
                f"{rows} and {columns}; draw it on that."
            )
        try:
            mask = rle.decode(code, study.grid)
        except UserError as error:
            raise OutlineError(error) from None
        image = study.answer.id
        others = [row for row in self.rows() if (row.image, row.reader) != (image, reader)]
        row = Row(
            image, on_file(mask, study), reader, datetime.now(UTC).isoformat(timespec="seconds")
        )
        for other in (other for other in others if other.image == image):
            if (other.code == rle.EMPTY) != (row.code == rle.EMPTY):
                has = "no pneumothorax" if other.code == rle.EMPTY else "an outline"
                raise OutlineError(
                    f"{shown(image)} has {has} by {other.reader} in {self.path.name}, which "
                    "contradicts this one; agree on one of them, and remove the other's row."
                )
        self._write([*others, row])
        return row

    def _write(self, rows: list[Row]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((row.image, row.code, row.reader, row.time) for row in rows)
        files.write_text(self.path, text.getvalue())


def on_file(mask: NDArray[np.bool_], study: Shown) -> str:
    """The code on the file's grid of a mask on the grid of xray.png."""
    return file_masks.encode(square_pixels.resample_mask(mask, study.place.picture), study.place)


def checked_name(reader: str) -> str:
    """A reader's name as it may stand in a csv, also in one that a spreadsheet opens.

    Raises
    ------
    OutlineError
        If it is none.
    """
    name = " ".join(reader.split())
    plain = all(letter.isalnum() or letter in " .'-" for letter in name)
    if not (name and plain and name[0].isalnum() and len(name) <= LONGEST_READER):
        raise OutlineError(
            f"The reader's name must begin with a letter or digit, and have at most "
            f"{LONGEST_READER} letters, digits, spaces, dots and hyphens; write it so."
        )
    return name
