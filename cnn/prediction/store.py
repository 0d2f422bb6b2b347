"""Probability maps as `cnn.prediction.predict` writes them, read back part by part.

Apart from the networks, so that who only reads maps need not wait for JAX.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.run.files import UserError

# What reading a file that is no whole part may raise.
DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, ZlibError)


def part_path(folder: Path, part: int) -> Path:
    """The file of a part of the maps in `folder`."""
    return folder / f"part-{part:04d}.npz"


def is_made(folder: Path, part: int, digest: str) -> bool:
    """Whether a part is there, of this digest; a damaged one is none."""
    try:
        return str(_array(part_path(folder, part), "digest")) == digest
    except DAMAGED:
        return False


def _array(path: Path, name: str) -> NDArray[Any]:
    # Opened here, since a file that is no archive would be left open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
        return np.asarray(content[name])


def _read_part(folder: Path, part: int) -> NDArray[np.uint8]:
    """Maps of a part, (n, size, size), 255 for a probability of one."""
    path = part_path(folder, part)
    repair = f"delete {folder / 'index.csv'} and run make again"
    try:
        return _array(path, "maps")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {repair}.") from None
    except DAMAGED as error:
        raise UserError(
            f"{path}: damaged ({type(error).__name__}); delete it too, {repair}."
        ) from None


def stream_maps(run: Path, ids: Iterable[str]) -> Iterator[NDArray[np.float32]]:
    """Yield the map of each image, one part in memory at a time.

    Parameters
    ----------
    run : Path
        The run folder.
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
    folder = run / "cnn" / "maps"
    if not (folder / "index.csv").exists():
        raise UserError(
            f"{folder / 'index.csv'}: no such file; predict first (python -m cnn.prediction.predict --run "
            f"{run})."
        )
    places = _places(folder / "index.csv")
    held, maps = -1, np.zeros((0, 0, 0), np.uint8)
    for name in ids:
        if name not in places:
            raise UserError(
                f"{folder / 'index.csv'}: image {name!r} has no map; only images of a fold and "
                "test images get one."
            )
        part, row = places[name]
        if part != held:
            held, maps = part, _read_part(folder, part)
        yield maps[row].astype(np.float32) / 255


def _places(path: Path) -> dict[str, tuple[int, int]]:
    """Part and row of each image's map, as an index says."""
    index = _index(path)
    return dict(zip(index["id"], zip(index["part"], index["row"], strict=True), strict=True))


def judges_of(run: Path) -> dict[str, int]:
    """By id the fold whose network drew an image's map, -1 for all networks; {} without maps."""
    path = run / "cnn" / "maps" / "index.csv"
    if not path.exists():
        return {}
    index = _index(path)
    return dict(zip(index["id"], index["fold"], strict=True))


def _index(path: Path) -> pd.DataFrame:
    kinds = {"id": str, "fold": int, "part": int, "row": int}
    try:
        return pd.read_csv(path, dtype=kinds, usecols=list(kinds), keep_default_na=False)
    except ValueError as error:  # empty, of other columns, or with words for numbers
        raise UserError(
            f"{path}: no index of maps ({error}); delete it and predict again (python -m "
            "cnn.prediction.predict)."
        ) from error
