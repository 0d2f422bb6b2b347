"""Where masks may come from: the U-Net's map, the handcrafted evidence map, or both.

All are brought to the X-ray's own size as levels of 1/255, so that one gate serves them alike.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline import heat
from cnn import masks
from cnn.maps import stream_maps

SOURCES = {
    "unet": "U-Net's masks",
    "evidence": "Handcrafted masks",
    "joint": "Masks of both maps",
}
# The evidence is a product of two probabilities and seldom near one; its odds are raised by this
# factor, so that it spreads over the gate's levels. No ranking changes.
EVIDENCE_ODDS = 8.0

Levels = NDArray[np.uint8]


def stream(run: Path, rows: pd.DataFrame) -> Iterator[dict[str, Levels]]:
    """Yield the maps of each image by source, one image in memory at a time.

    Parameters
    ----------
    run : Path
        Run folder with the U-Net's and the evidence maps.
    rows : DataFrame
        id, rows and columns of the images; fastest in the order of the dataset.

    Yields
    ------
    dict of (rows, columns) arrays of uint8
        One for each of `SOURCES`.
    """
    heats = heat.read(run)
    ids = rows["id"].tolist()
    shapes = zip(rows["rows"].tolist(), rows["columns"].tolist(), strict=True)
    for name, shape, square in zip(ids, shapes, stream_maps(run, ids), strict=True):
        unet = masks.to_original(square, shape)
        handcrafted = to_levels(heat.paint(heats.get(name, heat.NONE), shape))
        yield {"unet": unet, "evidence": handcrafted, "joint": join(unet, handcrafted)}


def to_levels(evidence: NDArray[np.float32]) -> Levels:
    """Evidence in [0, 1] as levels, its odds raised by `EVIDENCE_ODDS`."""
    raised = EVIDENCE_ODDS * evidence
    return np.rint(255 * raised / (1 - evidence + raised)).astype(np.uint8)


def join(unet: Levels, evidence: Levels) -> Levels:
    """The mean of both maps."""
    return ((unet.astype(np.uint16) + evidence + 1) // 2).astype(np.uint8)
