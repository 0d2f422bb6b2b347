"""One pass over the images: ``python -m features.measure --run RUN`` measures features and cells.

Each file is decoded once, also for the U-Net, whose small squares are kept, and its lungs are found
once. Images are measured in parallel and written
in parts, so that memory does not grow with their number and a killed run goes on with the part it
was at. Parts belong to one set of images, settings and code: their folder is named by a hash of all
three. The quality gate looks at each image too: what it says is a table of its own, and changes no
feature.
"""

import hashlib
import shutil
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.cells import measure as cell_measures
from features.cells import table as cell_table
from features.families import registry
from features.families import table as feature_table
from features.lungs.prepared import prepare
from features.quality import gate
from features.quality import table as quality_table
from features.reading import images, rle
from features.run import command, files, parallel
from features.run.files import UserError
from features.run.folder import RunFolder, measured
from features.run.tables import Table
from features.squares.geometry import square_bytes
from features.squares.store import write_squares

PART_ROWS = 64
PARTS_A_GROUP = 16
MASKS, SHARES = ("mask", "weak_mask"), ("shares", "weak_shares")


@dataclass(frozen=True)
class Settings:
    """Measure the features and the cells of every image of RUN/dataset.parquet."""

    run: Path
    """Run folder."""
    families: tuple[str, ...] = registry.DEFAULT
    """Feature families to measure; by default all but glrlm."""
    strict: bool = False
    """Set images that may be no whole, upright frontal chest X-rays aside: nothing is learned from
    them, and the submission leaves them without a mask. Otherwise they are kept, and reported."""
    only_cells: bool = False
    """Measure the cells alone, as for auxiliary phantoms, whose features nobody needs."""
    squares: int = 128
    """Side in pixels of the squares that are kept for the U-Net: 128 for the profiles demo and
    lite, 512 for full, 0 for none. A network of another size has the files decoded again."""
    jobs: int = -1
    """Processes; -1 for one a core."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers do the work; they
    need this project and must find the images under the same paths."""


@dataclass(frozen=True)
class Item:
    """An image to measure.

    Parameters
    ----------
    path : str
    mask, weak_mask : str, optional
        Run-length codes of its pneumothorax, if it is known, and as another model drew it.
    size : (int, int)
        Rows and columns.
    """

    path: str
    mask: str | None
    weak_mask: str | None
    size: tuple[int, int]


@dataclass(frozen=True)
class Measured:
    """What was measured of an image.

    Parameters
    ----------
    features : dict
        By name.
    quality : Quality
        Whether it is a frontal chest X-ray.
    cells : Cells
        With values of float16.
    shares, weak_shares : (n,) arrays of float32
        Share of each cell that is pneumothorax by the mask, and by the weak mask; NaN without one.
    square : (size, size) array of uint8, optional
        What the U-Net sees; only where features are measured.
    """

    features: dict[str, float]
    quality: gate.Quality
    cells: cell_measures.Cells
    shares: NDArray[np.float32]
    weak_shares: NDArray[np.float32]
    square: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Part:
    """Some images in a row, and where their measures are kept until all are joined.

    Parameters
    ----------
    rows : DataFrame
        Of the dataset.
    cells : Table
    cell_values : Path
    features, quality : Table, optional
    squares : Path, optional
        These three are missing where only cells are measured.
    """

    rows: pd.DataFrame
    cells: Table
    cell_values: Path
    features: Table | None = None
    quality: Table | None = None
    squares: Path | None = None

    def exists(self) -> bool:
        """Whether all of its files are there."""
        tables = (self.cells, self.features, self.quality)
        paths = [self.cell_values, *(table.path for table in tables if table)]
        return all(path.exists() for path in [*paths, self.squares] if path)


def measure_image(
    item: Item, families: tuple[str, ...] = registry.DEFAULT, side: int = 0
) -> Measured:
    """Features and cells of an image, and its square; no features if no family is named.

    Parameters
    ----------
    item : Item
    families : tuple of str
    side : int
        Of the square in pixels; 0 for none.

    Raises
    ------
    UnreadableImage
        If the image cannot be read.
    UserError
        If it has another size than the item says.
    """
    study, pixels = images.read_as(item.path, item.size)
    image = prepare(pixels)
    features = registry.measure(image, study, families)
    finite = np.isfinite(np.fromiter(features.values(), float, len(features)))
    if not finite.all():
        name = list(features)[finite.argmin()]
        raise ArithmeticError(f"{item.path}: feature {name} is not finite")
    cells = cell_measures.measure(image)
    shares, weak_shares = (
        cell_measures.shares_of(cells, None if code is None else rle.decode(code, item.size))
        for code in (item.mask, item.weak_mask)
    )
    quality = gate.examine(study, pixels, image.lungs)
    # As they are kept on the disk: half as much for a worker to hand on.
    cells = replace(cells, values=cells.values.astype(np.float16))
    square = square_bytes(pixels, side) if side else None
    return Measured(features, quality, cells, shares, weak_shares, square)


def items_of(rows: pd.DataFrame) -> list[Item]:
    """The images of some rows of the dataset."""
    return [
        Item(str(path), mask, weak_mask, (int(height), int(width)))
        for path, mask, weak_mask, height, width in zip(
            rows["path"],
            *(rows[name].astype(object).where(rows[name].notna(), None) for name in MASKS),
            rows["rows"],
            rows["columns"],
            strict=True,
        )
    ]


def measure_all(settings: Settings) -> RunFolder:
    """Measure the images of a fold and the test images into the run folder, and return it.

    Raises
    ------
    UserError
        If a family is unknown, the dataset is missing or an image is gone.
    """
    run = RunFolder(settings.run).check()
    families = () if settings.only_cells else settings.families
    if not settings.only_cells:
        registry.check(families)
    rows = measured(run.dataset.read())
    if rows.empty:
        raise UserError(
            f"{run.dataset.path}: no image to measure; {run.quarantine.path} says which files "
            "cannot be used, and why."
        )
    side = 0 if settings.only_cells else settings.squares
    parts = _parts(run, rows, families, side)
    pending = [part for part in parts if not part.exists()]
    items = [item for part in pending for item in items_of(part.rows)]
    work = partial(measure_image, families=families, side=side)
    stream = parallel.stream(work, items, "measuring", settings.jobs, settings.scheduler)
    for part in pending:
        # The images of a part come next in the stream, in order.
        _write(part, [next(stream) for _ in range(len(part.rows))])
    next(stream, None)  # lets the progress bar see its end
    _join(run, parts, settings)
    shutil.rmtree(run.parts)
    return run


def _parts(run: RunFolder, rows: pd.DataFrame, families: tuple[str, ...], side: int) -> list[Part]:
    folder = run.parts / _digest(rows, families, side)
    parts = []
    for start in range(0, len(rows), PART_ROWS):
        name = f"{start // PART_ROWS:05d}"
        cells = replace(run.cells, path=folder / f"cells-{name}.parquet")
        part = Part(rows[start : start + PART_ROWS], cells, folder / f"values-{name}.f16")
        if families:
            features = replace(run.features, path=folder / f"features-{name}.parquet")
            quality = replace(run.quality, path=folder / f"quality-{name}.parquet")
            squares = folder / f"squares-{name}.npy" if side else None
            part = replace(part, features=features, quality=quality, squares=squares)
        parts.append(part)
    return parts


def _digest(rows: pd.DataFrame, families: tuple[str, ...], side: int) -> str:
    """Hash of what decides the measures: the images, the settings and the code that measures.

    Raises
    ------
    UserError
        If an image is gone.
    """
    content = (items_of(rows), files.stamps(rows["path"]).tolist(), families, side)
    digest = hashlib.sha256(repr(content).encode())
    package = Path(__file__).parent
    for source in sorted([*package.rglob("*.py"), *package.rglob("*.npz")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _write(part: Part, results: list[Measured]) -> None:
    ids = part.rows["id"].tolist()
    cells = [result.cells for result in results]
    cell_table.write_values(part.cell_values, cells)
    shares, weak_shares = ([getattr(result, name) for result in results] for name in SHARES)
    part.cells.write(cell_table.index_of(ids, cells, shares, weak_shares))
    if part.squares:
        with files.atomic(part.squares) as path:
            np.save(path, np.array([result.square for result in results]))
    if part.quality:
        part.quality.write(quality_table.rows_of(ids, [result.quality for result in results]))
    if part.features:
        part.features.write(feature_table.rows_of(ids, [result.features for result in results]))


def _join(run: RunFolder, parts: list[Part], settings: Settings) -> None:
    """Write the run's tables from the parts; the features last, which `make` asks for."""
    groups = [parts[start : start + PARTS_A_GROUP] for start in range(0, len(parts), PARTS_A_GROUP)]
    ids = [name for part in parts for name in part.rows["id"]]
    # Written last: the mark that all are there.
    (run.features if parts[0].features else run.cells).path.unlink(missing_ok=True)
    indices = ([part.cells for part in group] for group in groups)
    cell_table.join(run, ids, indices, (part.cell_values for part in parts))
    if parts[0].features:
        verdicts = [part.quality.read() for part in parts if part.quality]
        quality_table.join(run, verdicts, settings.strict)
    if parts[0].squares:
        rows = pd.concat([part.rows for part in parts])
        kept = (np.load(part.squares, allow_pickle=False) for part in parts if part.squares)
        write_squares(run, rows, settings.squares, chain.from_iterable(kept))
    if parts[0].features:
        tables = ([part.features for part in group if part.features] for group in groups)
        feature_table.join(run, tables)


def main(settings: Settings) -> None:
    """Write features.parquet, quality.parquet, cells/index.parquet, cells/values.f16, squares/."""
    run = measure_all(settings)
    if not settings.only_cells:
        table = pq.read_metadata(run.features.path)
        print(f"{table.num_rows} images, {table.num_columns - 1} features: {run.features.path}")
        print(quality_table.summary(run.quality.read()))
    count = pq.read_metadata(run.cells.path).num_rows
    size = sum(path.stat().st_size for path in (run.cells.path, run.cell_values)) / 1e6
    print(f"{count} cells: {run.cell_values.parent} ({size:.0f} MB)")


if __name__ == "__main__":
    command.run(main)
