"""Cells of implants and of real pneumothoraces, for the benchmarks that compare them.

An implant is measured as it is, in 8-bit grey levels, without a file in between: so nothing but
the implant differs from the measures of its source.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cells import measure, table
from features.implant.chest_wall import pitch_of
from features.implant.draw import implant
from features.implant.write import CLEAR, Planned, generator, plan
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


def _measured(seed: int, planned: Planned) -> list[ImageCells]:
    """The implants of one image; none where its lungs are not clear."""
    _, pixels = images.read(Path(planned.path))
    fields = segment(working_size(pixels))
    if fields.quality < CLEAR:
        return []
    pitch = pitch_of(fields) * SIDE / max(pixels.shape)
    implants = []
    for number in range(planned.count):
        rng = generator(seed, planned.id, number)
        drawn = implant(pixels, fields, rng)
        # Real masks are what readers drew.
        outlined = annotate(drawn.mask, pitch, rng)
        cells = measure.measure(prepare((np.rint(255 * drawn.pixels) / 255).astype(np.float32)))
        values = cells.values.astype(np.float16).astype(np.float32)
        shares = measure.shares_of(outlined, cells.rows, cells.columns)
        implants.append(ImageCells(planned.id, planned.patient, values, shares, cells.sides))
    return implants


def implanted(rows: pd.DataFrame, count: int, seed: int) -> list[ImageCells]:
    """The cells of `count` implants, spread over some images of a dataset."""
    planned = plan(rows.sample(frac=1, random_state=seed), count)
    done = parallel.stream(partial(_measured, seed), planned, "implants")
    return [one for of_image in done for one in of_image]


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
