"""The cells of all images: their index in a table, and the values of their measures beside it.

A row of ``cells/index.parquet`` and a row of ``cells/values.f16`` are one cell. The values are not
in the table, so that they can stay on the disk while a few rows of them are read.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cells.measure import MEASURES, Cells
from features.run import files
from features.run.folder import RunFolder
from features.run.tables import Table

NAMES = [measure.name for measure in MEASURES]
# Rows of the values that are looked through at once.
ROWS = 2**16


def index_of(
    ids: Sequence[str],
    cells: Sequence[Cells],
    shares: Sequence[NDArray[np.float32]],
    weak_shares: Sequence[NDArray[np.float32]],
) -> pd.DataFrame:
    """Rows of the index for the cells of some images, in their order.

    Parameters
    ----------
    ids : sequence of str
        Of the images.
    cells : sequence of Cells
        Those of each image.
    shares : sequence of (n,) arrays of float32
        Share of each cell that is pneumothorax; NaN where no mask is known.
    weak_shares : sequence of (n,) arrays of float32
        The same by the weak masks.
    """
    counts = [len(of_image.rows) for of_image in cells]
    return pd.DataFrame(
        {
            "row": np.concatenate([of_image.rows for of_image in cells]),
            "column": np.concatenate([of_image.columns for of_image in cells]),
            "side": np.concatenate([of_image.sides for of_image in cells]),
            "zone": np.concatenate([of_image.zones for of_image in cells]),
            "share": np.concatenate(shares),
            "weak_share": np.concatenate(weak_shares),
            "id": pd.Categorical.from_codes(
                np.repeat(np.arange(len(ids)), counts), pd.Index(list(ids))
            ),
        }
    )


def write_values(path: Path, cells: Iterable[Cells]) -> None:
    """Write the values of the measures of some images' cells: float16, cell after cell."""
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        for of_image in cells:
            of_image.values.astype(np.float16).tofile(file)


def join(
    run: RunFolder, ids: Sequence[str], parts: Iterable[list[Table]], values: Iterable[Path]
) -> None:
    """Join parts into the run's index and values; a group of parts is in memory at a time.

    Parameters
    ----------
    run : RunFolder
    ids : sequence of str
        Of all images.
    parts : iterable of lists of Table
        The parts of the index, group by group.
    values : iterable of Path
        The values of the same parts.
    """
    with files.atomic(run.cell_values) as temporary, temporary.open("wb") as file:
        for path in values:
            with path.open("rb") as part:
                shutil.copyfileobj(part, file)
    # All groups name the same images, or their ids could not be joined.
    images = pd.CategoricalDtype(pd.Index(list(ids)))
    run.cells.write_groups(_joined(group, images) for group in parts)


def _joined(group: list[Table], images: pd.CategoricalDtype) -> pd.DataFrame:
    index = pd.concat([part.read().astype({"id": images}) for part in group], ignore_index=True)
    index.attrs["measures"] = NAMES
    return index


def read(run: RunFolder) -> tuple[pd.DataFrame, NDArray[np.float16]]:
    """The cells of a run: their index, and their measures (cells, measures), left on the disk.

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
    values = np.memmap(path, np.float16, "r", shape=shape)
    for start in range(0, len(values), ROWS):
        if not np.isfinite(values[start : start + ROWS]).all():
            raise run.cells.refused(f"{path.name} beside it holds a value that is no number")
    return index, values
