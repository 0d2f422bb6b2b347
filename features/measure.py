"""Features and cells of all images: ``python -m features.measure --run RUN``.

Each file is decoded once, also for the U-Net, whose small squares are kept, and its lungs are found
once. Images are measured in parallel and written in parts, see `features.measuring.parts`. The
quality gate looks at each image too: what it says is a table of its own, and changes no feature.
`features.one_pass` reads a dataset and measures it, decoding each file once for both.
"""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from features.families import registry
from features.measuring.one_image import Choice, items_of, measure_image
from features.measuring.parts import Parts, gaps, key_of, mark_of
from features.quality import table as quality_table
from features.run import command, files, parallel
from features.run.files import UserError
from features.run.folder import RunFolder, measured


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


def choice_of(settings: Settings) -> Choice:
    """What the settings ask to measure.

    Raises
    ------
    UserError
        If a family is unknown.
    """
    if settings.only_cells:
        return Choice(families=())
    registry.check(settings.families)
    return Choice(settings.families, settings.squares)


def measure_all(settings: Settings) -> RunFolder:
    """Measure the images of a fold and the test images into the run folder, and return it.

    Raises
    ------
    UserError
        If a family is unknown, the dataset is missing or an image is gone.
    """
    run = RunFolder(settings.run).check()
    choice = choice_of(settings)
    rows = measured(run.dataset.read())
    if rows.empty:
        raise UserError(
            f"{run.dataset.path}: no image to measure; {run.quarantine.path} says which files "
            "cannot be used, and why."
        )
    ids, items = rows["id"].tolist(), items_of(rows)
    stamps = files.stamps(rows["path"]).tolist()
    keys = [
        key_of(mark_of(item.path, stamp), item.size)
        for item, stamp in zip(items, stamps, strict=True)
    ]
    parts = Parts(run, choice)
    placed = parts.placed(keys)
    pending = list(gaps(placed, len(rows)))
    wanted = [item for start, stop in pending for item in items[start:stop]]
    work = partial(measure_image, choice=choice)
    stream = parallel.stream(work, wanted, "measuring", settings.jobs, settings.scheduler)
    for start, stop in pending:
        # The images of a part come next in the stream, in order.
        results = [next(stream) for _ in range(start, stop)]
        placed[start, stop] = parts.write(ids[start:stop], keys[start:stop], results)
    if pending:
        next(stream, None)  # lets the progress bar see its end
    parts.join(rows, placed, settings.strict, settings.jobs)
    shutil.rmtree(run.parts)
    return run


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
