"""Probability maps as `cnn.prediction.predict` writes them, read back part by part.

This module imports no network, so that a stage that only reads maps need not wait for JAX.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.run.files import UserError, atomic
from features.run.folder import RunFolder

# What reading a file that is no whole part may raise.
DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, ZlibError)


def write_part(
    run: RunFolder, part: int, maps: NDArray[np.uint8], ids: pd.Series, digest: str
) -> None:
    """Write a part of the maps.

    Parameters
    ----------
    run : RunFolder
    part : int
        Number of the part.
    maps : (n, size, size) array of uint8
        255 for a probability of one.
    ids : (n,) Series of str
        Images of the maps.
    digest : str
        Fingerprint of what the maps depend on, see `is_made`.
    """
    with atomic(run.map_part(part)) as temporary:
        np.savez_compressed(
            temporary, maps=maps, ids=ids.to_numpy(np.str_), digest=np.array(digest)
        )


def is_made(run: RunFolder, part: int, digest: str) -> bool:
    """Whether a part is there and of this digest; a damaged one counts as missing."""
    try:
        return str(_array(run.map_part(part), "digest")) == digest
    except DAMAGED:
        return False


def _array(path: Path, name: str) -> NDArray[Any]:
    # Opened here, since a file that is no archive would be left open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
        return np.asarray(content[name])


def _read_part(run: RunFolder, part: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Maps of a part, (n, size, size), 255 for a probability of one, and their images' ids."""
    path, repair = run.map_part(part), f"delete {run.maps.path} and run `make cnn` again"
    try:
        maps, ids = (_array(path, name) for name in ("maps", "ids"))
        if maps.ndim != 3 or maps.dtype != np.uint8 or not 0 < maps.shape[1] == maps.shape[2]:
            raise ValueError("no maps")
        return maps, [str(name) for name in ids]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {repair}.") from None
    except DAMAGED as error:
        raise UserError(
            f"{path}: damaged ({type(error).__name__}); delete it too, {repair}."
        ) from None


def stream_maps(run: RunFolder, ids: Iterable[str]) -> Iterator[NDArray[np.float32]]:
    """Yield the map of each image, one part in memory at a time.

    Parameters
    ----------
    run : RunFolder
    ids : iterable of str
        Image ids; fastest in the order of the dataset.

    Yields
    ------
    (size, size) array of float32 in [0, 1]
        Probability of each pixel of the network's square (see `cnn.data.geometry.from_square`).

    Raises
    ------
    UserError
        If the maps are not complete or damaged, or an id has none.
    """
    index = run.maps.read()
    places = dict(zip(index["id"], zip(index["part"], index["row"], strict=True), strict=True))
    current, maps, held = None, np.zeros((0, 0, 0), np.uint8), list[str]()
    for name in ids:
        if name not in places:
            raise UserError(
                f"{run.maps.path}: image {name!r} has no map; only images of a fold and test "
                "images get one."
            )
        part, row = places[name]
        if part != current:
            current, (maps, held) = part, _read_part(run, part)
        if not 0 <= row < min(len(maps), len(held)) or held[row] != name:
            raise UserError(
                f"{run.map_part(part)}: does not hold the map of {name}, as {run.maps.path} says; "
                "delete both and run `make cnn` again."
            )
        yield maps[row].astype(np.float32) / 255


def folds_of_maps(run: RunFolder) -> dict[str, int | None]:
    """Fold of each image when its map was drawn, see `by_id`; {} without maps."""
    if not run.maps.exists():
        return {}
    index = run.maps.read()
    return by_id(index["id"], index["fold"])


def by_id(ids: pd.Series, folds: pd.Series) -> dict[str, int | None]:
    """Fold by image id, None for images of no fold."""
    numbers = (None if pd.isna(fold) else int(fold) for fold in folds)
    return dict(zip(ids.astype(str), numbers, strict=True))
