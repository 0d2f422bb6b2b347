"""The cells of all images and their measures: ``python -m features.cells.table --run RUN``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cells.measure import MEASURES, Cells, blocks, measure
from features.lungs.prepared import prepare, working_size
from features.reading import images, rle
from features.run import command, files, parallel

NAMES = [each.name for each in MEASURES]


@dataclass(frozen=True)
class Settings:
    """Measure the cells of every image of RUN/dataset.parquet into RUN/cells/."""

    run: Path
    """Run folder."""
    jobs: int = -1
    """Processes; -1 for one a core."""


def read_cells(item: tuple[str, str | None, tuple[int, int]]) -> tuple[Cells, NDArray[np.float32]]:
    """Cells of an image given by path, mask (run-length code or None) and size.

    Returns
    -------
    Cells
    (n,) array of float32
        Share of each cell that is pneumothorax; NaN where no mask is known.
    """
    path, mask, size = item
    image = prepare(images.read(path)[1])
    cells = measure(image)
    if mask is None:
        return cells, np.full(len(cells.rows), np.nan, np.float32)
    truth = working_size(rle.decode(mask, size).astype(np.float32))
    return cells, blocks(truth).mean(axis=-1)[cells.rows, cells.columns]


def write(settings: Settings) -> Path:
    """Measure all images that carry a fold or are test images; return the folder.

    ``index.parquet`` has a row a cell: id, row, column, side, zone, share; ``values.f16`` the
    measures of the same cells, float16, cell after cell, streamed to the disk.
    """
    dataset = files.read_table(settings.run / "dataset.parquet")
    dataset = dataset[(dataset["fold"] >= 0) | (dataset["split"] == "test")]
    items = [
        (row.path, row.mask if isinstance(row.mask, str) else None, (row.rows, row.columns))
        for row in dataset.itertuples()
    ]
    folder, pieces = settings.run / "cells", []
    found = parallel.stream(read_cells, items, "measuring cells", settings.jobs)
    with files.atomic(folder / "values.f16") as temporary, temporary.open("wb") as file:
        for number, (cells, shares) in enumerate(found):
            cells.values.astype(np.float16).tofile(file)
            piece = {"row": cells.rows, "column": cells.columns, "side": cells.sides}
            piece |= {"zone": cells.zones, "share": shares, "id": number}
            pieces.append(pd.DataFrame(piece))
    index = pd.concat(pieces, ignore_index=True)
    codes = index["id"].to_numpy(np.int64)
    index["id"] = pd.Categorical.from_codes(codes, pd.Index(dataset["id"].tolist()))
    index.attrs["measures"] = NAMES
    files.write_table(folder / "index.parquet", index)
    return folder


def read(run: Path) -> tuple[pd.DataFrame, NDArray[np.float16]]:
    """The cells of a run: their index, and their measures (cells, measures), left on the disk.

    Raises
    ------
    UserError
        If they are missing, do not belong together, or are of another version's measures.
    """
    index = files.read_table(run / "cells" / "index.parquet")
    path = run / "cells" / "values.f16"
    shape = (len(index), len(NAMES))
    if index.attrs.get("measures") != NAMES:
        raise files.UserError(
            f"{path}: its measures are those of another version; delete {path.parent} and run make "
            "again."
        )
    if not path.exists() or path.stat().st_size != 2 * shape[0] * shape[1]:
        raise files.UserError(
            f"{path}: its measures are not those of index.parquet; delete it and run make again."
        )
    return index, np.memmap(path, np.float16, "r", shape=shape)


def main(settings: Settings) -> None:
    """Write cells/index.parquet and cells/values.f16."""
    folder = write(settings)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    print(f"{len(files.read_table(folder / 'index.parquet'))} cells: {folder} ({size:.0f} MB)")


if __name__ == "__main__":
    command.run(main)
