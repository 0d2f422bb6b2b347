"""The cells of all images: their index in a table, and the values of their measures beside it.

A row of ``cells/index.parquet`` and a row of ``cells/values.f16`` are one cell. The values are not
in the table, so that they can stay on the disk while a few rows of them are read.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cells.measure import MEASURES, Cells, shares_of
from features.reading import rle
from features.run import files, parallel
from features.run.folder import RunFolder
from features.run.tables import Table

# Fewer parts than these are looked at in this process.
FEW = 5
NAMES = [measure.name for measure in MEASURES]
# Columns of the index, and the masks of the dataset that they come from.
SHARES = {"share": "mask", "weak_share": "weak_mask"}


@dataclass(frozen=True)
class CellValues:
    """The measures of all cells, left on the disk; ``values[rows]`` reads some of them.

    The file is open only while it is read, so that nothing of it stays in memory. What is read is
    checked then: to look through all of a large run at once would take longer than what most
    readers want of it.

    Parameters
    ----------
    index : Table
        The index beside them.
    path : Path
        Their file: float16, cell after cell.
    shape : (int, int)
        Cells and measures.
    """

    index: Table
    path: Path
    shape: tuple[int, int]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> NDArray[np.float16]:
        """The measures of some cells, (n, measures).

        Raises
        ------
        UserError
            If one of them is no number.
        """
        stored = np.memmap(self.path, np.float16, "r", shape=self.shape)
        values = np.array(stored[rows])
        if not np.isfinite(values).all():
            raise self.index.refused("values.f16 beside it holds a value that is no number")
        return values


def places_of(ids: Sequence[str], cells: Sequence[Cells]) -> pd.DataFrame:
    """Where the cells of some images lie: rows of the index without shares, in their order.

    Parameters
    ----------
    ids : sequence of str
        Of the images.
    cells : sequence of Cells
        Those of each image.
    """
    counts = [len(of_image.rows) for of_image in cells]
    return pd.DataFrame(
        {
            "row": np.concatenate([of_image.rows for of_image in cells]),
            "column": np.concatenate([of_image.columns for of_image in cells]),
            "side": np.concatenate([of_image.sides for of_image in cells]),
            "zone": np.concatenate([of_image.zones for of_image in cells]),
            "id": pd.Categorical.from_codes(
                np.repeat(np.arange(len(ids)), counts), pd.Index(list(ids))
            ),
        }
    )


def write_values(path: Path, cells: Iterable[Cells]) -> None:
    """Write the values of the measures of some images' cells: float16, cell after cell.

    Raises
    ------
    ArithmeticError
        If one is no number in half precision.
    """
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        for of_image in cells:
            values = of_image.values.astype(np.float16)
            if not np.isfinite(values).all():
                raise ArithmeticError(f"{path}: a measure of a cell is not finite")
            values.tofile(file)


@dataclass(frozen=True)
class CellPart:
    """The cells of some images in a row.

    Parameters
    ----------
    places : Table
        Where they lie, see `places_of`.
    values : Path
        Their measures.
    images : DataFrame
        Of the dataset, for the images that they are of: id, masks, rows and columns.
    """

    places: Table
    values: Path
    images: pd.DataFrame


def join(run: RunFolder, parts: Sequence[CellPart], at_once: int, jobs: int = -1) -> None:
    """Join parts into the run's index and values; so many parts at once are in memory.

    Masks are looked at now: they say how much of each cell is pneumothorax.

    Parameters
    ----------
    run : RunFolder
    parts : sequence of CellPart
    at_once : int
    jobs : int
        As for `parallel.stream`.
    """
    with files.atomic(run.cell_values) as temporary, temporary.open("wb") as file:
        for part in parts:
            with part.values.open("rb") as values:
                shutil.copyfileobj(values, file)
    run.cells.write_groups(_joined(parts, at_once, jobs))


def _joined(parts: Sequence[CellPart], at_once: int, jobs: int) -> Iterator[pd.DataFrame]:
    # All groups name the same images, or their ids could not be joined.
    ids = pd.CategoricalDtype(pd.Index([name for part in parts for name in part.images["id"]]))
    stream = parallel.stream(shares_in, parts, "masks of cells", jobs, unit="parts", least=FEW)
    for start in range(0, len(parts), at_once):
        group = parts[start : start + at_once]
        tables = [part.places.read().astype({"id": ids}) for part in group]
        index = pd.concat(tables, ignore_index=True)
        shares = zip(*(next(stream) for _ in group), strict=True)
        for name, of_parts in zip(SHARES, shares, strict=True):  # before the last column, the id
            index.insert(index.shape[1] - 1, name, np.concatenate(of_parts))
        index.attrs["measures"] = NAMES
        yield index
    next(stream, None)  # lets the progress bar see its end


def shares_in(part: CellPart) -> tuple[NDArray[np.float32], ...]:
    """Share of each cell that each of the masks of `SHARES` covers, (n,); NaN without one."""
    places = part.places.read()
    cells = {
        places["id"].iloc[span.start]: span
        for span in (spans(places["id"].cat.codes.to_numpy()) if len(places) else ())
    }
    rows, columns = places["row"].to_numpy(), places["column"].to_numpy()
    shares = np.full((len(SHARES), len(places)), np.nan, np.float32)
    for of_kind, name in zip(shares, SHARES.values(), strict=True):
        known = part.images[part.images[name].notna()]
        for image, code, *size in known[["id", name, "rows", "columns"]].itertuples(index=False):
            span = cells.get(image, slice(0))  # lungs too small for a cell have none
            if code == rle.EMPTY:
                of_kind[span] = 0
            else:
                of_kind[span] = shares_of(rle.decode(code, tuple(size)), rows[span], columns[span])
    return tuple(shares)


def read(run: RunFolder) -> tuple[pd.DataFrame, CellValues]:
    """The cells of a run: their index, and their measures.

    Raises
    ------
    UserError
        If they are missing, do not belong together, or are of another version's measures.
    """
    index = run.cells.read()
    if index.attrs.get("measures") != NAMES:
        raise run.cells.refused("its measures are others")
    path, shape = run.cell_values, (len(index), len(NAMES))
    if not path.exists() or path.stat().st_size != 2 * shape[0] * shape[1]:
        raise run.cells.refused(f"{path.name} beside it does not hold its measures")
    return index, CellValues(run.cells, path, shape)


def spans(*keys: NDArray[np.integer]) -> Iterator[slice]:
    """Where neighbours with equal keys stand, one slice after the other, e.g. the cells of images.

    Parameters
    ----------
    keys : (n,) arrays of int
    """
    edges = [np.flatnonzero(np.diff(of_one)) + 1 for of_one in keys]
    places = np.unique(np.concatenate([[0, len(keys[0])], *edges]))
    for start, stop in pairwise(places.tolist()):
        yield slice(int(start), int(stop))
