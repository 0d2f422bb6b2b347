"""Masks at the network's size, made once for each size and kept beside the run."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.data.fingerprint import fingerprint
from features.reading import rle
from features.run import parallel
from features.run.files import atomic, open_array, read_record, write_record
from features.run.folder import RunFolder
from features.squares.geometry import square_bytes

Square = NDArray[np.uint8]
Item = tuple[str, tuple[int, int], int]


@dataclass(frozen=True)
class _Source:
    """What masks come from, as kept beside them.

    Parameters
    ----------
    masks : str
        Fingerprint of ids, codes and sizes.
    """

    masks: str


def load(run: RunFolder, table: pd.DataFrame, size: int) -> Square:
    """Load the masks of some images, drawing them unless a former call has.

    Parameters
    ----------
    run : RunFolder
    table : DataFrame
        id, mask, rows and columns of the n images.
    size : int
        Side of the square in pixels.

    Returns
    -------
    (n, size, size) array of uint8
        Memory-mapped; 255 where lesion covers the whole pixel.
    """
    columns = [table[name] for name in ("id", "mask", "rows", "columns")]
    source = _Source(fingerprint(*columns))
    marker, path = run.masks_from(size), run.masks_to_learn(size)
    kept = read_record(marker, _Source) if marker.exists() and path.exists() else None
    if kept != source:
        marker.unlink(missing_ok=True)
        items = [
            (code, (rows, across), size) for _, code, rows, across in zip(*columns, strict=True)
        ]
        with atomic(path) as temporary:
            array = open_array(temporary, (len(items), size, size), np.uint8)
            for row, mask in enumerate(_drawn(items)):
                array[row] = mask
            array.flush()
        write_record(marker, source)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _drawn(items: list[Item]) -> Iterator[Square]:
    return parallel.stream(draw, items, "masks", least=parallel.FEW)


def draw(item: Item) -> Square:
    """The share of each pixel of the square that a mask covers, 255 for all of it.

    Parameters
    ----------
    item : (code, shape, size)
        Run-length code, rows and columns of the image that it is of, side of the square.
    """
    code, shape, size = item
    if code == rle.EMPTY:
        return np.zeros((size, size), np.uint8)
    return square_bytes(rle.decode(code, shape).astype(np.float32), size)
