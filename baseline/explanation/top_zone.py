"""The zone that the classifier's reasons point at, as pixels: what a mask is compared with.

It is the zone with the largest sum of SHAP values for pneumothorax (`attributions.by_place`), of
the model that has seen neither the image nor its patient. Its place on the X-ray is that of its
cells, which were measured once (`features.cells.measure`), so no image is read again.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.explanation import trained_run
from baseline.explanation.case import Case
from features.cells.measure import Cells
from features.cells.table import spans
from features.lungs.prepared import CELL_SIDE, working_shape
from features.lungs.zones import NAMES, PARENTS
from features.run.folder import RunFolder


@dataclass(frozen=True)
class TopZone:
    """The cells of one image's top zone.

    Parameters
    ----------
    rows, columns : (n,) arrays of int
        Places on the grid of cells; none where the zone is too small for a cell.
    """

    rows: NDArray[np.integer]
    columns: NDArray[np.integer]


# An X-ray whose lungs are too small for a cell.
NONE = TopZone(*np.zeros((2, 0), np.intp))


def top(by_place: pd.DataFrame) -> pd.Series:
    """The zone with the largest contribution for pneumothorax.

    Parameters
    ----------
    by_place : (n, places) DataFrame
        Log-odds by place, indexed by image id, from `attributions.by_place`.

    Returns
    -------
    (n,) Series of int
        Index into `zones.NAMES`; the image as a whole is no zone.
    """
    return pd.Series(by_place[list(NAMES)].to_numpy().argmax(axis=1), by_place.index)


def read(run: RunFolder) -> dict[str, TopZone]:
    """Top zones of all predicted images of a run by id.

    Raises
    ------
    UserError
        If SHAP values or cells are missing, or are of other predictions.
    """
    zones = top(trained_run.read(run).by_place)
    by_id: dict[str, TopZone] = {}
    for group in run.cells.read_groups():
        names, images = group["id"].cat.categories.astype(str), group["id"].cat.codes.to_numpy()
        # -1, the last row of PARENTS, stands for images without a prediction, which are left out.
        numbers = zones.reindex(names).fillna(-1).astype(int).to_numpy()[images]
        inside = (numbers >= 0) & PARENTS[numbers, group["zone"].to_numpy()]
        images = images[inside]
        rows, columns = (group[name].to_numpy()[inside] for name in ("row", "column"))
        for cells in spans(images):
            name, zone = str(names[images[cells.start]]), TopZone(rows[cells], columns[cells])
            if name in by_id:  # the group before it ended amid its cells
                zone = _joined(by_id[name], zone)
            by_id[name] = zone
    return by_id


def _joined(one: TopZone, other: TopZone) -> TopZone:
    return TopZone(
        np.concatenate((one.rows, other.rows)), np.concatenate((one.columns, other.columns))
    )


def of_one_image(case: Case, cells: Cells) -> TopZone:
    """The top zone of an image that belongs to no run."""
    contributions = [float(case.within(name).sum()) for name in NAMES]
    inside = PARENTS[int(np.argmax(contributions)), cells.zones]
    return TopZone(cells.rows[inside], cells.columns[inside])


def paint(zone: TopZone, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A top zone at the X-ray's own size.

    Parameters
    ----------
    zone : TopZone
    shape : (int, int)
        Rows and columns of the X-ray.

    Returns
    -------
    (rows, columns) array of bool
    """
    working = working_shape(shape)
    # A remainder at the edge makes no cell, but has a place on the grid.
    grid = np.zeros([-(-side // CELL_SIDE) for side in working], bool)
    grid[zone.rows, zone.columns] = True
    down, across = (
        ((np.arange(size) + 0.5) * small / size / CELL_SIDE).astype(np.intp)
        for size, small in zip(shape, working, strict=True)
    )
    return np.take(grid[down], across, axis=1)
