"""Cells of implants and of real pneumothoraces, for the benchmarks that compare them.

An implant is measured as it is, in 8-bit grey levels, without a file in between: so nothing but
the implant differs from the measures of its source.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cells import table
from features.implant.measure import measured
from features.implant.write import plan
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


def implanted(rows: pd.DataFrame, count: int, seed: int) -> list[ImageCells]:
    """The cells of `count` implants, spread over some images of a dataset."""
    patients = dict(zip(rows["id"], rows["patient"], strict=True))
    planned = plan(rows.sample(frac=1, random_state=seed), count)
    done = parallel.stream(partial(measured, seed), planned, "implants")
    return [
        ImageCells(
            source.id,
            patients[source.id],
            one.cells.values.astype(np.float16).astype(np.float32),
            one.shares,
            one.cells.sides,
        )
        for source, of_image in zip(planned, done, strict=True)
        for one in of_image
    ]


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
