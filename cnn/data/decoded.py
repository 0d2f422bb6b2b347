"""X-rays and masks decoded once for each size and kept beside the run as two arrays.

So neither the folds nor a run that goes on decode them again.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.data.geometry import read_pair
from features.run import parallel
from features.run.files import atomic, open_array, read_record, stamps, write_record
from features.run.folder import RunFolder

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Decoded(NamedTuple):
    """Decoded X-rays with their masks."""

    images: NDArray[np.uint8]
    """(n, size, size), memory-mapped; air is dark."""
    masks: NDArray[np.uint8]
    """(n, size, size), memory-mapped; 255 where lesion covers the whole pixel."""
    pixels: str
    """Fingerprint of the images."""


@dataclass(frozen=True)
class _Source:
    """What decoded images come from, as kept beside them.

    Parameters
    ----------
    content : str
        Fingerprint of files and masks.
    pixels : str
        Fingerprint of the images.
    files : tuple of str
        What each image is of, see `file_keys`.
    """

    content: str
    pixels: str
    files: tuple[str, ...]


def fingerprint(*columns: pd.Series) -> str:
    """Hash of some columns of a table, row by row."""
    lines = "\n".join("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def file_keys(paths: pd.Series) -> list[str]:
    """A short hash of each file's path and of when it was last changed."""
    rows = zip(paths, stamps(paths), strict=True)
    return [hashlib.sha256(f"{path}\t{stamp}".encode()).hexdigest()[:16] for path, stamp in rows]


def known_squares(run: RunFolder, size: int) -> dict[str, NDArray[np.uint8]]:
    """The X-rays that a training has decoded, as `geometry.read_square` gives them, by `file_keys`.

    None where no training of this size has decoded any.
    """
    marker, path = run.decoded_from(size), run.decoded_images(size)
    if not marker.exists() or not path.exists():
        return {}
    files = read_record(marker, _Source).files
    images = np.load(path, mmap_mode="r", allow_pickle=False)
    return dict(zip(files, images, strict=True))


def load(run: RunFolder, table: pd.DataFrame, size: int) -> Decoded:
    """Load decoded images and masks, decoding them unless a former call has.

    Parameters
    ----------
    run : RunFolder
    table : DataFrame
        path, mask, rows and columns of the images.
    size : int
        Side of the square in pixels.

    Raises
    ------
    UserError
        If an image is gone, cannot be read or has another size now.
    """
    columns = [table[name] for name in ("path", "mask", "rows", "columns")]
    content = fingerprint(*columns, stamps(table["path"]))
    marker = run.decoded_from(size)
    paths = run.decoded_images(size), run.decoded_masks(size)
    kept = read_record(marker, _Source) if marker.exists() else None
    if kept is None or kept.content != content or not all(path.exists() for path in paths):
        marker.unlink(missing_ok=True)
        items = [
            (path, code, (rows, across), size)
            for path, code, rows, across in zip(*columns, strict=True)
        ]
        pairs = parallel.stream(read_pair, items, "decode", least=parallel.FEW)
        pixels = _write_pairs(paths, pairs, (len(items), size, size))
        kept = _Source(content, pixels, tuple(file_keys(table["path"])))
        write_record(marker, kept)
    images, masks = (np.load(path, mmap_mode="r", allow_pickle=False) for path in paths)
    return Decoded(images, masks, kept.pixels)


def _write_pairs(
    paths: tuple[Path, Path], pairs: Iterator[Pair], shape: tuple[int, int, int]
) -> str:
    """Stream image and mask of each pair into two .npy files, never holding all of them.

    Returns
    -------
    A fingerprint of the images.
    """
    digest = hashlib.sha256()
    with atomic(paths[0]) as first, atomic(paths[1]) as second:
        images, masks = (open_array(path, shape, np.uint8) for path in (first, second))
        for row, (image, mask) in enumerate(pairs):
            images[row], masks[row] = image, mask
            digest.update(image.tobytes())
        images.flush()
        masks.flush()
    return digest.hexdigest()[:16]
