"""The labelled X-rays as one block of bytes, and the order in which a fold's training meets them.

Images are decoded once a size and kept beside the run (`RUN/cnn/images-<size>.npy`), so that the
folds, and a run that goes on, do not decode them again. The order of an epoch is a function of
seed, fold and epoch alone, so that a run that goes on meets the images as it would have.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn import planes
from cnn.geometry import read_pair
from features import parallel
from features.files import UserError, atomic, open_array, read_json, read_table, write_json

Number = TypeVar("Number", bound=np.number)

# Below this many images starting the worker processes takes longer than the decoding.
FEW = 300


@dataclass(frozen=True)
class Labelled:
    """Training images whose masks are known.

    Parameters
    ----------
    ids : tuple of str
    folds : (n,) array of int
        The fold each image belongs to.
    positive : (n,) array of bool
        Whether the image's mask is not empty.
    images, masks : (n, size, size) arrays of uint8
        X-rays, air dark; masks as share of the pixel covered, 255 for all of it.
    digest : str
        Fingerprint of ids, folds, masks and evidence: two equal ones mean the same training set.
    table : DataFrame
        The images' rows of the dataset.
    evidence : (n, size, size) array of uint8, optional
        The evidence map as one fold's network sees it (see `cnn.planes`).
    """

    ids: tuple[str, ...]
    folds: NDArray[np.int64]
    positive: NDArray[np.bool_]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    digest: str
    table: pd.DataFrame
    evidence: NDArray[np.uint8] | None = None

    def seen(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """What the network sees of some images, (n, size, size, planes)."""
        planes = [self.images[rows]] + ([] if self.evidence is None else [self.evidence[rows]])
        return np.stack(planes, axis=-1)

    @property
    def fold_count(self) -> int:
        """Number of folds, counted from 0 to the largest."""
        return int(self.folds.max()) + 1


def labelled(run: Path, size: int, evidence: bool = False) -> Labelled:
    """Load every training image with a known mask, decoding it unless a former run has.

    Parameters
    ----------
    run : Path
        The run folder; `dataset.parquet` in it is read, `cnn/` written.
    size : int
        Side of the square that the network sees.
    evidence : bool
        Whether the network sees the evidence map too, which then counts as a part of the data. The
        planes themselves are a fold's own affair.

    Raises
    ------
    UserError
        If there is no such image, an image cannot be read, or there is no evidence.
    """
    table = read_table(run / "dataset.parquet")
    table = table[(table["split"] == "train") & table["mask"].notna() & (table["fold"] >= 0)]
    if table.empty:
        raise UserError(
            f"{run / 'dataset.parquet'}: no training image has a known mask, and the network "
            "learns from nothing else; add annotations to the dataset."
        )
    folds = table["fold"].to_numpy(np.int64)
    content = fingerprint(table["id"], table["path"], table["mask"])
    known = planes.digest(run) if evidence else ""
    images, masks = _cached(run / "cnn", table, size, content)
    return Labelled(
        ids=tuple(table["id"]),
        folds=folds,
        positive=(table["mask"] != "-1").to_numpy(bool),
        images=images,
        masks=masks,
        digest=fingerprint(table["id"], table["mask"], table["fold"]) + known,
        table=table,
    )


def fingerprint(*columns: pd.Series) -> str:
    """Hash of some columns of a table, row by row."""
    lines = "\n".join("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _cached(
    folder: Path, table: pd.DataFrame, size: int, content: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Decoded images and masks of `table`, memory-mapped; `content` says if the files are its."""
    marker = folder / f"images-{size}.json"
    paths = [folder / f"images-{size}.npy", folder / f"masks-{size}.npy"]
    found = marker.exists() and read_json(marker) == {"content": content}
    if not (found and all(path.exists() for path in paths)):
        marker.unlink(missing_ok=True)
        items = [
            (path, code, size) for path, code in zip(table["path"], table["mask"], strict=True)
        ]
        pairs = parallel.stream(read_pair, items, "decode", jobs=-1 if len(items) > FEW else 1)
        _write_pairs(paths, pairs, (len(items), size, size))
        write_json(marker, {"content": content})
    images, masks = (np.load(path, mmap_mode="r", allow_pickle=False) for path in paths)
    return images, masks


def _write_pairs(
    paths: list[Path],
    pairs: Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    shape: tuple[int, int, int],
) -> None:
    """Stream image and mask of each pair into two .npy files, never holding all of them."""
    with atomic(paths[0]) as first, atomic(paths[1]) as second:
        images, masks = (open_array(path, shape, np.uint8) for path in (first, second))
        for row, (image, mask) in enumerate(pairs):
            images[row], masks[row] = image, mask
        images.flush()
        masks.flush()


def training_order(
    data: Labelled,
    without: tuple[int, ...],
    steps: int,
    batch: int,
    positive_share: float,
    key: tuple[int, ...],
) -> NDArray[np.int32]:
    """Draw an epoch's batches from the images outside some folds.

    Positives and negatives each come in permutations of all of them, one after the other, so that
    none is met twice before the others once; then all are shuffled together.

    Parameters
    ----------
    data : Labelled
        The images.
    without : tuple of int
        The folds to leave out.
    steps, batch : int
        Number of batches, and images in each.
    positive_share : float
        Share of images with a lesion, in [0, 1]; all of them if there are no others.
    key : tuple of int
        Everything the draw depends on, e.g. (seed, fold, epoch).

    Returns
    -------
    (steps, batch) array of int32
        Positions in `data`.

    Raises
    ------
    UserError
        If no image outside these folds has a lesion.
    """
    inside = ~np.isin(data.folds, without)
    positives = np.flatnonzero(inside & data.positive)
    negatives = np.flatnonzero(inside & ~data.positive)
    if not positives.size:
        raise UserError(
            f"fold {' and '.join(map(str, without))}: none of the {int(inside.sum())} images "
            "outside it has a lesion to learn from; use fewer folds or a dataset with more "
            "positives."
        )
    generator = np.random.default_rng(key)
    total = steps * batch
    count = round(total * positive_share) if negatives.size else total
    order = np.concatenate(
        [_cycle(generator, positives, count), _cycle(generator, negatives, total - count)]
    )
    return generator.permutation(order).reshape(steps, batch).astype(np.int32)


def _cycle(
    generator: np.random.Generator, pool: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Take `count` members of `pool`, permutation after permutation."""
    if not count:
        return pool[:0]
    rounds = -(-count // pool.size)
    return np.concatenate([generator.permutation(pool) for _ in range(rounds)])[:count]


def chunks(count: int, length: int) -> Iterator[slice]:
    """Cut range(count) into slices of `length`, the last one shorter."""
    for start in range(0, count, length):
        yield slice(start, min(start + length, count))


def padded(array: NDArray[Number], length: int) -> NDArray[Number]:
    """Repeat the last item until the first axis is `length`, so that one compiled shape serves."""
    return np.concatenate([array, np.repeat(array[-1:], length - len(array), axis=0)])
