"""Cells of implants: pneumothorax put into images of the run itself that have none.

An implant shows its source's patient, so it belongs to the fold of the source: no model that leaves
this fold out may learn from it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baseline.evidence_map.training_data import (
    LabelledCells,
    TrainingData,
    hold_enough,
    labelled_cells,
    mask_areas_of,
)
from features.cells import table as cell_table
from features.run.folder import RunFolder

# Of so many cells of an implant one takes part: neighbours are much alike.
STEP = 3


def source_of(name: str) -> str:
    """Id of the image that an implant was put into."""
    return name.rpartition("-implant")[0]


def read_implants(folder: Path, data: TrainingData, training: NDArray[np.bool_]) -> LabelledCells:
    """Cells of the collapsed lungs of the implants in images to learn from.

    Parameters
    ----------
    folder : Path
        As `features.implant.measure` writes it.
    data : TrainingData
        Of the run.
    training : (n,) array of bool
        Which of the run's images may be learned from.

    Raises
    ------
    UserError
        If the cells are missing or not whole, or an implant's source is no image of the run.
    """
    run = RunFolder(folder).check()
    cells, values = cell_table.read(run)
    names = cells["id"].cat.categories
    may = dict(zip(data.rows["id"], training, strict=True))
    sources = [source_of(name) for name in names]
    if odd := [name for name, source in zip(names, sources, strict=True) if source not in may]:
        raise run.cells.refused(f"{odd[0]} is no implant in an image of this run")
    cells = cells.assign(image=cells["id"].cat.codes.to_numpy())
    lungs = hold_enough(mask_areas_of(cells, len(names), "share"))
    allowed = np.array([may[source] for source in sources], bool)
    return labelled_cells(cells, values, lungs & allowed[:, None], step=STEP)
