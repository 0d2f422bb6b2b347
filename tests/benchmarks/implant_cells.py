"""Cells of implants and of real pneumothoraces, for the benchmarks that compare them.

An implant is measured as it is, in 8-bit grey levels, without a file in between: so nothing but
the implant differs from the measures of its source.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cells import measure, table
from features.implant.chest_wall import pitch_of
from features.implant.draw import implant
from features.implant.write import CLEAR, generator
from features.lungs.fields import segment
from features.lungs.prepared import SIDE, prepare, working_size
from features.phantom.annotator import annotate
from features.reading import images
from features.run import parallel
from features.run.folder import RunFolder

COVERED = 0.5  # share of a cell from which on it counts as lying in the air


@dataclass(frozen=True)
class ImageCells:
    """The cells of one image: their measures (n, m), shares of air (n,) and sides (n,)."""

    id: str
    patient: str
    values: NDArray[np.float32]
    shares: NDArray[np.float32]
    sides: NDArray[np.int8]

    @property
    def air(self) -> NDArray[np.bool_]:
        """The cells that lie in the air."""
        return self.shares >= COVERED


def _implanted(item: tuple[str, str, str, int, int]) -> ImageCells | None:
    """An implant's cells; None where lungs are unclear."""
    name, path, patient, seed, number = item
    _, pixels = images.read(Path(path))
    fields = segment(working_size(pixels))
    if fields.quality < CLEAR:
        return None
    rng = generator(seed, name, number)
    drawn = implant(pixels, fields, rng)
    # Real masks are what readers drew.
    outlined = annotate(drawn.mask, pitch_of(fields) * SIDE / max(pixels.shape), rng)
    # As an 8-bit file holds it.
    stored = (np.rint(255 * drawn.pixels) / 255).astype(np.float32)
    cells = measure.measure(prepare(stored))
    values = cells.values.astype(np.float16).astype(np.float32)
    return ImageCells(name, patient, values, measure.shares_of(cells, outlined), cells.sides)


def implanted(rows: pd.DataFrame, count: int, seed: int) -> list[ImageCells]:
    """The cells of `count` implants in some images of a dataset, the images in turn."""
    order = np.random.default_rng(seed).permutation(len(rows))
    items = [
        (row.id, row.path, row.patient, seed, k // len(rows))
        for k in range(count)
        for row in [rows.iloc[order[k % len(rows)]]]
    ]
    return [cells for cells in parallel.stream(_implanted, items, "implants") if cells is not None]


def real(run: RunFolder, rows: pd.DataFrame, share: str) -> list[ImageCells]:
    """The cells of images that a run has measured; `share` is the column of what they hold."""
    index, values = table.read(run)
    begin = dict(index.groupby("id", observed=True).indices)
    return [
        ImageCells(
            row.id,
            row.patient,
            values[begin[row.id]].astype(np.float32),
            index[share].to_numpy(np.float32)[begin[row.id]],
            index["side"].to_numpy(np.int8)[begin[row.id]],
        )
        for row in rows.itertuples()
        if row.id in begin
    ]
