"""Implants in the images of a run, measured cell by cell for the evidence map to learn from.

``python -m features.implant.measure --run RUN --count 300`` puts pneumothorax into images of RUN
that have none, and writes their cells into ``RUN/implants/cells``. The pictures are not kept: each
is measured as an 8-bit file would hold it, so nothing but the implant differs from its source. The
id ``<source>-implant`` says whose patient, and so whose fold, an implant belongs to.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.cells import measure, table
from features.cells.measure import Cells
from features.implant.chest_wall import pitch_of
from features.implant.draw import implant
from features.implant.sources import without_pneumothorax
from features.implant.write import CLEAR, Planned, generator, name_of, plan
from features.lungs.fields import segment
from features.lungs.prepared import SIDE, prepare, working_size
from features.phantom.annotator import annotate
from features.reading import images
from features.run import command, parallel
from features.run.files import UserError
from features.run.folder import RunFolder

FOLDER = "implants"  # in the run folder


@dataclass(frozen=True)
class Settings:
    """Measure implants in RUN's images without pneumothorax, into RUN/implants/cells."""

    run: Path
    """Run folder with dataset.parquet; its images can still be read."""
    count: int = 300
    """Number of implants, spread evenly over these images."""
    weak_below: float = 0.1
    """An image without a true label is taken if its weak probability is below this; 0 for none."""
    seed: int = 0
    """Seed of all random numbers."""
    jobs: int = -1
    """Processes; -1 for one a core."""


@dataclass(frozen=True)
class Measured:
    """The cells of an implant, and the share of each that is air as a reader would outline it."""

    id: str
    cells: Cells
    shares: NDArray[np.float32]


def folder_of(run: RunFolder) -> RunFolder:
    """Where the cells of a run's implants lie."""
    return RunFolder(run.root / FOLDER)


def measured(seed: int, planned: Planned) -> list[Measured]:
    """The implants of one image; none where its lungs are not clear."""
    _, pixels = images.read(Path(planned.path))
    fields = segment(working_size(pixels))
    if fields.quality < CLEAR:
        return []
    pitch = pitch_of(fields) * SIDE / max(pixels.shape)
    found = []
    for number in range(planned.count):
        rng = generator(seed, planned.id, number)
        drawn = implant(pixels, fields, rng)
        # Real masks are what readers drew.
        outlined = annotate(drawn.mask, pitch, rng)
        cells = measure.measure(prepare((np.rint(255 * drawn.pixels) / 255).astype(np.float32)))
        name = name_of(planned.id, number)
        found.append(Measured(name, cells, measure.shares_of(cells, outlined)))
    return found


def main(settings: Settings) -> None:
    """Write the cells of the implants."""
    if settings.count < 1:
        raise UserError(f"--count {settings.count}: a number of implants; give 1 or more.")
    if not 0 <= settings.weak_below <= 1:
        raise UserError(
            f"--weak-below {settings.weak_below}: a probability; give a number from 0 to 1."
        )
    run = RunFolder(settings.run).check()
    rows = run.images()
    rows = without_pneumothorax(rows[rows["fold"].notna()], settings.weak_below)
    if rows.empty:
        raise UserError(
            f"{run.dataset.path}: no image of a fold is known to be without pneumothorax, so there "
            "is none to put one into; do without implants."
        )
    work = partial(measured, settings.seed)
    planned = plan(rows, settings.count)
    found = [
        one
        for of_image in parallel.stream(work, planned, "implants", settings.jobs)
        for one in of_image
    ]
    if not found:
        raise UserError(
            f"{run.dataset.path}: in none of {len(planned)} images without pneumothorax are the "
            "lungs clear enough; do without implants."
        )
    target = folder_of(run)
    target.create()
    cells, shares = [one.cells for one in found], [one.shares for one in found]
    table.write_values(target.cell_values, cells)
    index = table.index_of([one.id for one in found], cells, shares, [s * np.nan for s in shares])
    index.attrs["measures"] = table.NAMES
    target.cells.write(index)
    print(f"{len(found)} implants in {len(planned)} images: {target.cells.path.parent}")


if __name__ == "__main__":
    command.run(main)
