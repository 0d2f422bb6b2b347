"""Studies become the feature table: one row an image, one column a feature.

Rows are measured in parallel and written in parts, so that memory does not grow with the number of
images and a killed run goes on with the part it was at. Parts belong to one set of images, settings
and code: their folder is named by a hash of all three.
"""

import hashlib
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.families import registry
from features.lungs.prepared import prepare
from features.reading import images
from features.run import command, files, parallel
from features.run.files import UserError

PART_ROWS = 64
PARTS_A_GROUP = 16


@dataclass(frozen=True)
class Settings:
    """Measure every image of RUN/dataset.parquet into RUN/features.parquet."""

    run: Path
    """Run folder."""
    families: tuple[str, ...] = registry.DEFAULT
    """Feature families to measure; all but glrlm unless told otherwise."""
    jobs: int = -1
    """Processes; -1 for one a core."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers do the work; they
    need this project and must find the images under the same paths."""


def row(path: str, families: tuple[str, ...] = registry.DEFAULT) -> dict[str, float]:
    """Features of the image at `path` by name.

    Raises
    ------
    UnreadableImage
        If the image cannot be read.
    """
    study, pixels = images.read(path)
    found = registry.measure(prepare(pixels), study, families)
    finite = np.isfinite(np.fromiter(found.values(), float, len(found)))
    if not finite.all():
        raise ArithmeticError(f"{path}: feature {list(found)[finite.argmin()]} is not finite")
    return found


def _digest(paths: pd.Series, families: tuple[str, ...]) -> str:
    """Hash of what decides the rows: the images, the families and the code that measures.

    Raises
    ------
    UserError
        If an image is gone.
    """
    content = (paths.tolist(), files.stamps(paths).tolist(), families)
    digest = hashlib.sha256(repr(content).encode())
    package = Path(__file__).parents[1]
    for source in sorted([*package.rglob("*.py"), *package.rglob("*.npz")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def write(settings: Settings) -> Path:
    """Measure all images that carry a fold or are test images; return the table's path.

    Raises
    ------
    UserError
        If a family is unknown or the dataset is missing.
    """
    registry.check(settings.families)
    dataset = files.read_table(settings.run / "dataset.parquet")
    dataset = dataset[(dataset["fold"] >= 0) | (dataset["split"] == "test")]
    parts = settings.run / "features.parts" / _digest(dataset["path"], settings.families)
    chunks = [dataset[start : start + PART_ROWS] for start in range(0, len(dataset), PART_ROWS)]
    names = [parts / f"part-{number:05d}.parquet" for number in range(len(chunks))]
    todo = [(name, chunk) for name, chunk in zip(names, chunks, strict=True) if not name.exists()]
    pending = pd.concat([chunk for _, chunk in todo]) if todo else dataset[:0]
    work = partial(row, families=settings.families)
    paths = list(pending["path"])
    rows = parallel.stream(work, paths, "measuring features", settings.jobs, settings.scheduler)
    for name, chunk in todo:
        # The rows of a part come next in the stream, in order.
        table = pd.DataFrame([next(rows) for _ in range(len(chunk))]).astype(np.float32)
        table.insert(0, "id", chunk["id"].to_numpy())
        files.write_table(name, table)
    next(rows, None)  # lets the progress bar see its end
    target = settings.run / "features.parquet"
    _join(names, target)
    shutil.rmtree(settings.run / "features.parts")
    return target


def _join(names: list[Path], target: Path) -> None:
    """Join parts into one parquet file, a few in memory at a time.

    Row groups of many parts and no statistics: what Parquet notes of every column of every group
    stays in memory until the file is closed.
    """
    with files.atomic(target) as temporary:
        writer = None
        for start in range(0, len(names), PARTS_A_GROUP):
            group = names[start : start + PARTS_A_GROUP]
            part = pa.concat_tables([pq.read_table(name) for name in group])
            writer = writer or pq.ParquetWriter(temporary, part.schema, write_statistics=False)
            writer.write_table(part)
        if writer is None:
            raise UserError(
                f"{target}: no image to measure; see dataset.parquet and quarantine.csv."
            )
        writer.close()


def read(run: Path) -> pd.DataFrame:
    """The feature table of a run, indexed by image id; float32.

    Raises
    ------
    UserError
        If it is missing, or was measured by another version of the toolkit.
    """
    table = files.read_table(run / "features.parquet").set_index("id")
    for name in table.columns:
        try:
            registry.describe(name)
        except (KeyError, ValueError):
            raise UserError(
                f"{run / 'features.parquet'}: feature {name!r} is unknown to this version; delete "
                "the file and run make again."
            ) from None
    return table


def main(settings: Settings) -> None:
    """Write features.parquet."""
    target = write(settings)
    schema = pq.read_schema(target)
    count = pq.read_metadata(target).num_rows
    print(f"{count} images, {len(schema.names) - 1} features: {target}")


if __name__ == "__main__":
    command.run(main)
