"""The evidence map as a plane beside the X-ray, as each fold's network may see it.

The network of fold k is scored on images whose map comes from the evidence model of fold k, which
has seen none of them. It learns from images of other folds m, whose map comes from the evidence
model that saw neither fold k nor fold m. So the map is as often wrong in training as it will be
later, and nothing of fold k reaches the network.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numba import vectorize
from numpy.typing import NDArray

from baseline.evidence_map import maps
from baseline.evidence_map.maps import EvidenceMap
from features.run.files import UserError, atomic, open_array
from features.run.folder import RunFolder
from features.squares.geometry import centres

# The evidence map is a product of two probabilities and seldom near one; its odds are raised by
# this factor, so that it spreads over the grey levels. No ranking changes.
EVIDENCE_ODDS = np.float32(8)
FULL, ONE = np.float32(255), np.float32(1)


@vectorize(["uint8(float32)"], cache=True)
def to_bytes(evidence):  # type: ignore[no-untyped-def]
    """An evidence map in [0, 1] as levels of 1/255, its odds raised by `EVIDENCE_ODDS`."""
    raised = EVIDENCE_ODDS * evidence
    return np.uint8(np.rint(FULL * raised / (ONE - evidence + raised)))


def digest(run: RunFolder) -> str:
    """Fingerprint of a run's evidence.

    Raises
    ------
    UserError
        If it was not learned yet.
    """
    content = hashlib.sha256()
    for path in (run.evidence_map.path, run.evidence_pairs.path):
        if not path.exists():
            raise UserError(
                f"{path}: no such file; run `make evidence` first, or train without the evidence "
                "map (--no-evidence)."
            )
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def draw(
    evidence_maps: dict[str, EvidenceMap], rows: pd.DataFrame, size: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the plane of each image.

    Parameters
    ----------
    evidence_maps : dict of str to EvidenceMap
        Maps by id; an image without one has lungs too small for a cell.
    rows : DataFrame
        id, rows and columns of the images.
    size : int
        Side of the network's square.

    Yields
    ------
    (size, size) array of uint8
        The evidence as of `to_bytes`, in the geometry of `geometry.to_square`.
    """
    for name, height, width in rows[["id", "rows", "columns"]].itertuples(index=False):
        evidence_map = maps.of_one_lung(evidence_maps.get(name, maps.EMPTY))
        down, across = centres(height, width, size)
        yield to_bytes(maps.paint_at(evidence_map, (height, width), down, across))


def write(
    path: Path, run: RunFolder, fold: int, rows: pd.DataFrame, size: int
) -> NDArray[np.uint8]:
    """Write the planes of the training images as the network of a fold sees them.

    Parameters
    ----------
    path : Path
        The .npy file to write.
    run : RunFolder
    fold : int
        The fold that the network is scored on.
    rows : DataFrame
        id, rows and columns of the images.
    size : int
        Side of the network's square.

    Returns
    -------
    (n, size, size) array of uint8
        Memory-mapped from the file.
    """
    learned_from = maps.read_for_fold(run, fold, pairs=True)
    evidence_maps = learned_from | maps.read_for_fold(run, fold)
    with atomic(path) as temporary:
        planes = open_array(temporary, (len(rows), size, size), np.uint8)
        for row, plane in enumerate(draw(evidence_maps, rows, size)):
            planes[row] = plane
        planes.flush()
    return np.load(path, mmap_mode="r", allow_pickle=False)
