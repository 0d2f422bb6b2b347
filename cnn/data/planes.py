"""The evidence map as a plane beside the X-ray, as each fold's network may see it.

The network of fold k is scored on images seen through the judge of fold k, which knows none of
them. It learns from images of another fold m seen through the judge that saw neither k nor m, so
that the map misleads it in training as often as it will later, and nothing of fold k reaches it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import maps
from cnn.data.geometry import centres
from features.run.files import UserError, atomic, open_array


# The evidence map is a product of two probabilities and seldom near one; its odds are raised by
# this factor, so that it spreads over the grey levels. No ranking changes.
EVIDENCE_ODDS = 8.0


def to_bytes(evidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An evidence map in [0, 1] as levels of 1/255, its odds raised by `EVIDENCE_ODDS`."""
    raised = EVIDENCE_ODDS * evidence
    return np.rint(255 * raised / (1 - evidence + raised)).astype(np.uint8)


def digest(run: Path) -> str:
    """Fingerprint of a run's evidence.

    Raises
    ------
    UserError
        If it was not learned yet.
    """
    content = hashlib.sha256()
    for name in ("map.parquet", "pairs.parquet"):
        path = run / "evidence" / name
        if not path.exists():
            raise UserError(
                f"{path}: no such file; learn the evidence first (python -m baseline.evidence_map.train "
                f"--run {run}), or train without it (--no-evidence)."
            )
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def draw(heats: dict[str, maps.EvidenceMap], rows: pd.DataFrame, size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the plane of each image.

    Parameters
    ----------
    heats : dict of str to Heat
        Maps by id; an image without one has lungs too small for a cell.
    rows : DataFrame
        id, rows and columns of the images.
    size : int
        Side of the network's square.

    Yields
    ------
    (size, size) array of uint8
        Levels of evidence in the geometry of `geometry.to_square`.
    """
    for name, *shape in rows[["id", "rows", "columns"]].itertuples(index=False):
        drawn = maps.of_one_lung(heats.get(name, maps.EMPTY))
        grid = centres(shape[0], shape[1], size)
        yield to_bytes(maps.paint_at(drawn, (shape[0], shape[1]), *grid))


def write(path: Path, run: Path, fold: int, rows: pd.DataFrame, size: int) -> NDArray[np.uint8]:
    """Planes of the labelled images as the network of `fold` sees them, memory-mapped at `path`.

    Parameters
    ----------
    path : Path
        The .npy file to write.
    run : Path
    fold : int
    rows : DataFrame
        id, rows, columns and fold of the images.
    size : int

    Returns
    -------
    (n, size, size) array of uint8
    """
    heats = maps.read_for_fold(run, fold, pairs=True) | maps.read_for_fold(run, fold)
    with atomic(path) as temporary:
        planes = open_array(temporary, (len(rows), size, size), np.uint8)
        for row, plane in enumerate(draw(heats, rows, size)):
            planes[row] = plane
        planes.flush()
    return np.load(path, mmap_mode="r", allow_pickle=False)
