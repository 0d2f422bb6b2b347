"""A run with cells whose right lungs collapse, to learn an evidence map from."""

from pathlib import Path

import numpy as np
import pandas as pd

from features.cells import table as cell_table
from features.cells.measure import MEASURES
from features.lungs.zones import NAMES
from features.run.folder import RunFolder
from tests.helpers.datasets import dataset

PAIR = ("firstorder.right_rim.mean", "firstorder.left_rim.mean")
# Cells of an image, half of them in each lung.
CELLS = 160


def make_run(
    folder: Path, images: int = 90, folds: int = 3, marker: int | None = None, name: str = "i"
) -> RunFolder:
    """A run whose right lungs collapse: the rim is bright and so is one cell in four.

    With `marker` that fold's masks lie elsewhere: only models that saw the fold can know.
    """
    run, rng = RunFolder(folder), np.random.default_rng(0)
    run.create()
    ids = [f"{name}{number:02d}" for number in range(images)]
    label = (np.arange(images) % 2).astype(float)
    fold = np.arange(images) // 2 % folds
    # What the mask is plays no part here.
    mask = np.where(np.arange(images) == 7, None, "-1")
    run.dataset.write(dataset(ids, fold=fold, label=label, mask=mask))
    rims = rng.normal(0, 0.3, (images, 2)).astype(np.float32)
    rims[:, 0] += label
    table = pd.DataFrame(rims, columns=PAIR)
    table.insert(0, "id", ids)
    run.features.write(table)
    apex = np.arange(CELLS) % 4 == 0
    side = np.repeat([0, 1], CELLS // 2)
    where = np.tile(apex & (side == 0), (images, 1))
    if marker is not None:
        where[fold == marker] = ~apex & (side == 0)
    zone = np.where(side == 0, NAMES.index("right_apex_rim"), NAMES.index("left_apex_rim"))
    cells = pd.DataFrame(
        {
            "row": np.tile(np.arange(CELLS) % 80, images),
            "column": np.tile(side, images),
            "side": np.tile(side, images),
            "zone": np.tile(zone, images),
            "share": (where * label[:, None]).ravel(),
            "weak_share": np.float32(np.nan),
            "id": pd.Categorical.from_codes(np.repeat(np.arange(images), CELLS), ids),
        }
    )
    values = rng.normal(0, 0.3, (images * CELLS, len(MEASURES))).astype(np.float16)
    values[:, 0] += np.tile(apex, images)
    cells.attrs["measures"] = cell_table.NAMES
    run.cells.write(cells)
    values.tofile(run.cell_values)
    return run
