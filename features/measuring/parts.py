"""Measures of some images in a row, kept on the disk until those of all are joined.

So memory does not grow with the number of images, and a killed run goes on with the part it was at.
Parts are good for one choice of measures and one state of the code, whose hash their folder is
named by, and for files that have not changed since. Masks and folds do not matter to them: they may
be measured before those are known.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from features.cells import table as cell_table
from features.families import table as feature_table
from features.measuring.one_image import Choice, Measured
from features.quality import table as quality_table
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
class Images:
    """The images of a part, as its record names them.

    Parameters
    ----------
    keys : list of str
        See `keys_of`.
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

    def write(
        self, name: str, ids: Sequence[str], keys: Sequence[str], results: Sequence[Measured]
    ) -> None:
        """Write the part of some images, which may be none.

        Parameters
        ----------
        name : str
        ids, keys : sequences of str
            Of the images, in their order.
        results : sequence of Measured
            One an image.
        """
        part = self.at(name)
        if results:
            cells = [result.cells for result in results]
            cell_table.write_values(part.cell_values, cells)
            part.cells.write(cell_table.places_of(ids, cells))
            if self.choice.side:
                with files.atomic(part.squares) as path:
                    np.save(path, np.array([result.square for result in results]))
            if self.choice.families:
                qualities = [result.quality for result in results]
                part.quality.write(quality_table.rows_of(ids, qualities))
                features = [result.features for result in results]
                part.features.write(feature_table.rows_of(ids, features))
        files.write_record(part.record, Images(list(keys)))

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
        there: dict[Span, Part] = {}
        for record in self.folder.glob("*.json"):
            of_part = files.read_record(record, Images).keys
            start = places.get(of_part[0]) if of_part else None
            if start is not None and list(keys[start : start + len(of_part)]) == of_part:
                there[start, start + len(of_part)] = self.at(record.stem)
        placed: dict[Span, Part] = {}
        end = 0
        for start, stop in sorted(there):
            if start >= end:
                placed[start, stop] = there[start, stop]
                end = stop
        return placed

    def join(self, rows: pd.DataFrame, parts: Sequence[Part], strict: bool) -> None:
        """Write the run's tables from all parts; last the features, or else cells, make asks for.

        Parameters
        ----------
        rows : DataFrame
            Of the dataset, for all images of the parts in their order.
        parts : sequence of Part
        strict : bool
            Whether images that may be no chest X-rays are set aside.
        """
        run = self.run
        (run.features if self.choice.families else run.cells).path.unlink(missing_ok=True)
        groups = [parts[at : at + PARTS_A_GROUP] for at in range(0, len(parts), PARTS_A_GROUP)]
        places = ([part.cells for part in group] for group in groups)
        cell_table.join(run, rows, places, (part.cell_values for part in parts))
        if self.choice.families:
            quality_table.join(run, [part.quality.read() for part in parts], strict)
        if self.choice.side:
            kept = (np.load(part.squares, allow_pickle=False) for part in parts)
            write_squares(run, rows, self.choice.side, chain.from_iterable(kept))
        if self.choice.families:
            feature_table.join(run, ([part.features for part in group] for group in groups))


def keys_of(
    paths: Sequence[str | Path], sizes: Sequence[tuple[int, int]], stamps: Sequence[int]
) -> list[str]:
    """What tells images from one another, and from what their files held before.

    Parameters
    ----------
    paths : sequence of path
    sizes : sequence of (int, int)
        Rows and columns.
    stamps : sequence of int
        When each file was last changed, see `files.stamps`.
    """
    return [
        f"{stamp} {rows}x{columns} {path}"
        for path, (rows, columns), stamp in zip(paths, sizes, stamps, strict=True)
    ]


def gaps(spans: Iterable[Span], count: int) -> Iterator[Span]:
    """What spans in a row leave out of 0 to `count`, cut into pieces of `PART_ROWS` at most."""
    end = 0
    for start, stop in [*spans, (count, count)]:
        for at in range(end, start, PART_ROWS):
            yield at, min(at + PART_ROWS, start)
        end = stop


def name_of(texts: Sequence[str]) -> str:
    """A name for a part, made from what stands for its images."""
    return hashlib.sha256(repr(list(texts)).encode()).hexdigest()[:16]


def _digest(choice: Choice) -> str:
    """Hash of what decides the measures beside the files: the choice and the code that measures."""
    digest = hashlib.sha256(repr(choice).encode())
    package = Path(__file__).parents[1]
    for source in sorted([*package.rglob("*.py"), *package.rglob("*.npz")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
