"""Every X-ray at the size that a network sees, decoded once and kept in the run folder.

`features.measure` writes them on its way, since it decodes every file. A network of another size
than it was asked for has the files decoded once more.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.reading import images
from features.run import parallel
from features.run.files import atomic, open_array, read_record, stamps, write_record
from features.run.folder import RunFolder, measured
from features.squares.geometry import square_bytes

Square = NDArray[np.uint8]
Item = tuple[str, tuple[int, int]]


@dataclass(frozen=True)
class ChosenSquares:
    """Some X-rays of a run at one size, read from the disk where they are asked for.

    Parameters
    ----------
    pixels : (n, size, size) array of uint8
        Memory-mapped squares of all images; 0 for air to 255.
    places : (m,) array of int
        Which of them these are.
    """

    pixels: Square
    places: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: int | np.integer | slice | NDArray[np.integer]) -> Square:
        return np.asarray(self.pixels[self.places[rows]])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of images, and the two sides."""
        return len(self), *self.pixels.shape[1:]

    @property
    def size(self) -> int:
        """Number of pixels of all."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Squares:
    """The X-rays of a run at one size.

    Parameters
    ----------
    pixels : (n, size, size) array of uint8
        Memory-mapped; 0 for air to 255.
    ids : Index
        Of the n images.
    """

    pixels: Square
    ids: pd.Index

    def of(self, ids: Iterable[str]) -> ChosenSquares:
        """Those of some images.

        Raises
        ------
        KeyError
            If one is not among the n.
        """
        chosen = pd.Index(ids)
        places = self.ids.get_indexer(chosen)
        if (places < 0).any():
            raise KeyError(f"no square of {chosen[int(places.argmin())]}")
        return ChosenSquares(self.pixels, places)


@dataclass(frozen=True)
class _Source:
    """What squares come from, as kept beside them.

    Parameters
    ----------
    files : str
        Fingerprint of the images, their files and when these were last changed.
    """

    files: str


def write_squares(
    run: RunFolder, table: pd.DataFrame, size: int, squares: Iterable[Square]
) -> None:
    """Keep the squares of a run, streamed, so that never all of them are held.

    Parameters
    ----------
    run : RunFolder
    table : DataFrame
        id, path and the like of all images that are measured.
    size : int
    squares : iterable of (size, size) arrays of uint8
        One a row of the table.
    """
    marker = run.squares_from(size)
    marker.unlink(missing_ok=True)
    with atomic(run.squares(size)) as path:
        array = open_array(path, (len(table), size, size), np.uint8)
        for row, square in enumerate(squares):
            array[row] = square
        array.flush()
    write_record(marker, _source(table))


def load_squares(run: RunFolder, size: int, scheduler: str | None = None) -> Squares:
    """Load the squares of all images that are measured, decoding them unless a stage before has.

    Parameters
    ----------
    run : RunFolder
    size : int
        Side of a square in pixels.
    scheduler : str, optional
        As for `parallel.stream`.

    Raises
    ------
    UserError
        If an image is gone, cannot be read or has another size now.
    """
    table = measured(run.dataset.read())
    marker, path = run.squares_from(size), run.squares(size)
    kept = read_record(marker, _Source) if marker.exists() and path.exists() else None
    if kept != _source(table):
        shapes = zip(table["rows"].astype(int), table["columns"].astype(int), strict=True)
        items = list(zip(table["path"], shapes, strict=True))
        work = partial(read_square, size=size)
        squares = parallel.stream(work, items, "decode", scheduler=scheduler, least=parallel.FEW)
        write_squares(run, table, size, squares)
    return Squares(np.load(path, mmap_mode="r", allow_pickle=False), pd.Index(table["id"]))


def read_square(item: Item, size: int) -> Square:
    """Read one X-ray, of the size that the dataset has for it: (size, size), 0 for air to 255.

    Raises
    ------
    UserError
        If the file cannot be read, or is of another size now.
    """
    path, shape = item
    return square_bytes(images.read_as(path, shape)[1], size)


def _source(table: pd.DataFrame) -> _Source:
    digest = hashlib.sha256()
    for row in zip(table["id"], table["path"], stamps(table["path"]), strict=True):
        digest.update(repr(row).encode())
    return _Source(digest.hexdigest()[:16])
