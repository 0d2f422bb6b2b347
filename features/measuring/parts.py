"""Measures of some images in a row, kept on the disk until those of all are joined.

So memory does not grow with the number of images, and a killed run goes on with the part it was at.
Parts are good for one choice of measures and one state of the code, whose hash their folder is
named by, and for files that have not changed since. Masks and folds do not matter to them: they may
be measured before those are known.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from features.cells import table as cell_table
from features.cells.table import CellPart
from features.families import table as feature_table
from features.measuring.one_image import Choice, Measured
from features.quality import table as quality_table
from features.reading.study import Study
from features.run import files
from features.run.folder import RunFolder
from features.run.schemas import CELL_PLACES
from features.run.tables import Table
from features.squares.store import write_squares

Span = tuple[int, int]

PART_ROWS = 64
PARTS_A_GROUP = 16


@dataclass(frozen=True)
class Part:
    """Where the measures of some images in a row are.

    Parameters
    ----------
    cells, features, quality : Table
        The last two are there only where features are measured.
    cell_values, squares : Path
        The second is there only where squares are kept.
    record : Path
        Which images they are; written last.
    """

    cells: Table
    features: Table
    quality: Table
    cell_values: Path
    squares: Path
    record: Path


@dataclass(frozen=True)
class PartRecord:
    """Which images a part holds.

    Parameters
    ----------
    keys : list of str
        See `key_of`.
    """

    keys: list[str]


class Parts:
    """The parts of a run for one choice of measures.

    Parameters
    ----------
    run : RunFolder
    choice : Choice
    """

    def __init__(self, run: RunFolder, choice: Choice) -> None:
        self.run, self.choice = run, choice
        self.folder = run.parts / _digest(choice)

    def at(self, name: str) -> Part:
        """The part of a name, which may not be there yet."""
        folder = self.folder
        return Part(
            Table(folder / f"cells-{name}.parquet", CELL_PLACES, self.run.cells.maker),
            replace(self.run.features, path=folder / f"features-{name}.parquet"),
            replace(self.run.quality, path=folder / f"quality-{name}.parquet"),
            folder / f"values-{name}.f16",
            folder / f"squares-{name}.npy",
            folder / f"{name}.json",
        )

    def write(self, ids: Sequence[str], keys: Sequence[str], results: Sequence[Measured]) -> Part:
        """Write the part of some images.

        Parameters
        ----------
        ids, keys : sequences of str
            Of the images, in their order; see `key_of`.
        results : sequence of Measured
            One an image.
        """
        part = self.at(hashlib.sha256(repr(list(keys)).encode()).hexdigest()[:16])
        cells = [result.cells for result in results]
        cell_table.write_values(part.cell_values, cells)
        part.cells.write(cell_table.places_of(ids, cells))
        if self.choice.side:
            with files.atomic(part.squares) as path:
                np.save(path, np.array([result.square for result in results]))
        if self.choice.families:
            part.quality.write(quality_table.rows_of(ids, [result.quality for result in results]))
            part.features.write(feature_table.rows_of(ids, [result.features for result in results]))
        files.write_record(part.record, PartRecord(list(keys)))
        return part

    def existing(self) -> dict[tuple[str, ...], Part]:
        """The parts that are there, by the keys of their images."""
        return {
            tuple(files.read_record(record, PartRecord).keys): self.at(record.stem)
            for record in self.folder.glob("[!.]*.json")  # not what a killed writer left
        }

    def placed(self, keys: Sequence[str]) -> dict[Span, Part]:
        """The parts that are there and whose images stand in a row among some images.

        Parameters
        ----------
        keys : sequence of str
            Of all images that are wanted, in their order.

        Returns
        -------
        dict of (int, int) to Part
            Where the images of each part begin and end; in their order, and none overlaps another.
        """
        places = {key: place for place, key in enumerate(keys)}
        fitting: dict[Span, Part] = {}
        for of_part, part in self.existing().items():
            start = places.get(of_part[0])
            if start is not None and tuple(keys[start : start + len(of_part)]) == of_part:
                fitting[start, start + len(of_part)] = part
        placed: dict[Span, Part] = {}
        end = 0
        for start, stop in sorted(fitting):
            if start >= end:
                placed[start, stop] = fitting[start, stop]
                end = stop
        return placed

    def join(
        self, rows: pd.DataFrame, placed: Mapping[Span, Part], strict: bool, jobs: int = -1
    ) -> None:
        """Write the run's tables from all parts.

        The table that make asks for, of features or else of cells, is written last: the mark that
        all are there.

        Parameters
        ----------
        rows : DataFrame
            Of the dataset, for all images in their order.
        placed : dict of (int, int) to Part
            Where the images of each part begin and end; all images are in one.
        strict : bool
            Whether images that may be no chest X-rays are set aside.
        jobs : int
            As for `parallel.stream`.
        """
        run = self.run
        (run.features if self.choice.families else run.cells).path.unlink(missing_ok=True)
        parts = [placed[span] for span in sorted(placed)]
        of_cells = [
            CellPart(part.cells, part.cell_values, rows[start:stop])
            for part, (start, stop) in zip(parts, sorted(placed), strict=True)
        ]
        cell_table.join(run, of_cells, PARTS_A_GROUP, jobs)
        if self.choice.families:
            quality_table.join(run, [part.quality.read() for part in parts], strict)
        if self.choice.side:
            kept = (np.load(part.squares, allow_pickle=False) for part in parts)
            write_squares(run, rows, self.choice.side, chain.from_iterable(kept))
        if self.choice.families:
            groups = (parts[at : at + PARTS_A_GROUP] for at in range(0, len(parts), PARTS_A_GROUP))
            feature_table.join(run, ([part.features for part in group] for group in groups))


class NewPart:
    """Images in a row that become a part.

    Parameters
    ----------
    parts : Parts
        Of which it becomes one.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._images: list[tuple[str, str, Measured]] = []

    @property
    def is_full(self) -> bool:
        """Whether it has as many images as a part takes."""
        return len(self._images) == PART_ROWS

    def add(self, study: Study, mark: str, measured: Measured) -> None:
        """Add an image; `mark` is its file's, see `mark_of`."""
        key = key_of(mark, (study.rows, study.columns))
        self._images.append((study.id, key, measured))

    def write(self) -> None:
        """Write the images that were added since, if any."""
        if self._images:
            ids, keys, results = zip(*self._images, strict=True)
            self._parts.write(ids, keys, results)
            self._images.clear()


def mark_of(path: Path | str, stamp: int) -> str:
    """What tells a file from others, and from what it held before; see `files.stamps`."""
    return f"{stamp} {path}"


def key_of(mark: str, size: tuple[int, int]) -> str:
    """What tells an image from others: the mark of its file, and its rows and columns."""
    return f"{mark} {size[0]}x{size[1]}"


def mark_in(key: str) -> str:
    """The mark of the file in the key of an image."""
    return key.rpartition(" ")[0]


def gaps(spans: Iterable[Span], count: int) -> Iterator[Span]:
    """What spans in a row leave out of 0 to `count`, cut into pieces of `PART_ROWS` at most."""
    end = 0
    for start, stop in [*spans, (count, count)]:
        for at in range(end, start, PART_ROWS):
            yield at, min(at + PART_ROWS, start)
        end = stop


def _digest(choice: Choice) -> str:
    """Hash of what decides the measures beside the files: the choice and the code that measures."""
    digest = hashlib.sha256(repr(choice).encode())
    package = Path(__file__).parents[1]
    for source in sorted([*package.rglob("*.py"), *package.rglob("*.npz")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
