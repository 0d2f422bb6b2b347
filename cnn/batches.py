"""The X-rays that teach as one block of bytes, and the order in which a fold's training meets them.

Two kinds teach: those whose mask is known, and those of which only the probability of a
pneumothorax is (weak labels). Images are decoded once a size and kept beside the run
(`RUN/cnn/images-<size>.npy`), so that the folds, and a run that goes on, do not decode them again.
The order of an epoch is a function of seed, fold and epoch alone, so that a run that goes on meets
the images as it would have.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.inputs import PLANES, read_pair
from features import parallel, rle
from features.files import UserError, atomic, read_json, read_table, write_json

Number = TypeVar("Number", bound=np.number)

# Below this many images starting the worker processes takes longer than the decoding.
FEW = 60


@dataclass(frozen=True)
class TrainingSet:
    """Images that teach, those with a known mask first.

    Parameters
    ----------
    ids : tuple of str
    folds : (n,) array of int
        The fold each image belongs to.
    drawn : (n,) array of bool
        Whether the image's mask is known.
    target : (n,) array of float32
        Probability of a lesion: 0 or 1 where the mask is known, else the weak label.
    images : (n, size, size, PLANES) array of uint8
        X-rays as the network sees them, see `cnn.inputs`.
    masks : (n, size, size) array of uint8
        Share of the pixel covered, 255 for all of it; 0 where the mask is not known.
    digest : str
        Fingerprint of all but the pixels: two equal ones mean the same training set.
    """

    ids: tuple[str, ...]
    folds: NDArray[np.int64]
    drawn: NDArray[np.bool_]
    target: NDArray[np.float32]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    digest: str

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether an image has a known lesion, (n,)."""
        return self.drawn & (self.target == 1)

    @property
    def fold_count(self) -> int:
        """Number of folds, counted from 0 to the largest."""
        return int(self.folds.max()) + 1


def training_set(run: Path, size: int) -> TrainingSet:
    """Load every image with a known mask or a weak label, decoding it unless a former run has.

    Parameters
    ----------
    run : Path
        The run folder; `dataset.parquet` in it is read, `cnn/` written.
    size : int
        Side of the square that the network sees.

    Raises
    ------
    UserError
        If there is no image with a known mask, or an image cannot be read.
    """
    table = read_table(run / "dataset.parquet")
    table = table[table["fold"] >= 0]
    drawn = (table["split"] == "train") & table["mask"].notna()
    if not drawn.any():
        raise UserError(
            f"{run / 'dataset.parquet'}: no training image has a known mask, and without one the "
            "network cannot learn to draw; add annotations to the dataset."
        )
    table = pd.concat([table[drawn], table[~drawn & table["weak"].notna()]])
    known = np.arange(len(table)) < drawn.sum()
    # A mask that is not to be learned from, such as a test image's, must not be met by chance.
    codes = table["mask"].where(known, rle.EMPTY)
    folds = table["fold"].to_numpy(np.int64)
    target = np.where(known, codes != rle.EMPTY, table["weak"]).astype(np.float32)
    images, masks = _cached(run / "cnn", table["path"], codes, size)
    return TrainingSet(
        ids=tuple(table["id"]),
        folds=folds,
        drawn=known,
        target=target,
        images=images,
        masks=masks,
        digest=fingerprint(table["id"], codes, pd.Series(target), table["fold"]),
    )


def fingerprint(*columns: pd.Series) -> str:
    """Hash of some columns of a table, row by row."""
    lines = "\n".join("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _cached(
    folder: Path, paths: pd.Series, codes: pd.Series, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Decoded images and masks, memory-mapped; the marker says of which files they are."""
    marker = folder / f"images-{size}.json"
    files = [folder / f"images-{size}.npy", folder / f"masks-{size}.npy"]
    content = {"content": fingerprint(paths, codes), "planes": PLANES}
    found = marker.exists() and read_json(marker) == content
    if not (found and all(path.exists() for path in files)):
        marker.unlink(missing_ok=True)
        items = [(path, code, size) for path, code in zip(paths, codes, strict=True)]
        pairs = parallel.stream(read_pair, items, "decode", jobs=-1 if len(items) > FEW else 1)
        _write_pairs(files, pairs, len(items), size)
        write_json(marker, content)
    images, masks = (np.load(path, mmap_mode="r", allow_pickle=False) for path in files)
    return images, masks


def _write_pairs(
    paths: list[Path],
    pairs: Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    count: int,
    size: int,
) -> None:
    """Stream image and mask of each pair into two .npy files, never holding all of them."""
    with atomic(paths[0]) as first, atomic(paths[1]) as second:
        images, masks = (
            np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
            for path, shape in (
                (first, (count, size, size, PLANES)),
                (second, (count, size, size)),
            )
        )
        for row, (image, mask) in enumerate(pairs):
            images[row], masks[row] = image, mask
        images.flush()
        masks.flush()


def training_order(
    data: TrainingSet,
    fold: int,
    epoch: int,
    counts: Sequence[tuple[int, int, int]],
    steps: int,
    seed: int,
) -> NDArray[np.int32]:
    """Draw an epoch's batches from the images outside a fold.

    Known positives, known negatives and weakly labelled images each come in permutations of all of
    them, one after the other and on from the epoch before, so that none is met twice before the
    others once. The known ones of an epoch are then shuffled together; each batch ends with its
    weakly labelled ones.

    Parameters
    ----------
    data : TrainingSet
        The images.
    fold : int
        The fold to leave out.
    epoch : int
        The epoch, from 0.
    counts : sequence of (int, int, int)
        Known positives, known negatives and weakly labelled images in each epoch up to this one;
        the sum of the first two, and the third, are multiples of `steps`.
    steps : int
        Number of batches.
    seed : int
        Starts the random numbers.

    Returns
    -------
    (steps, batch) array of int32
        Positions in `data`.
    """
    outside = data.folds != fold
    pools = (
        np.flatnonzero(outside & data.positive),
        np.flatnonzero(outside & data.drawn & ~data.positive),
        np.flatnonzero(outside & ~data.drawn),
    )
    met = np.sum(counts[:epoch], axis=0, dtype=int) if epoch else np.zeros(3, int)
    positives, negatives, weak = (
        _endless(pool, int(start), count, (seed, fold, kind))
        for kind, (pool, start, count) in enumerate(zip(pools, met, counts[epoch], strict=True))
    )
    known = np.random.default_rng((seed, fold, 3, epoch)).permutation(
        np.concatenate([positives, negatives])
    )
    order = np.concatenate([known.reshape(steps, -1), weak.reshape(steps, -1)], axis=1)
    return order.astype(np.int32)


def epoch_counts(
    data: TrainingSet, fold: int, known: int, weak: int, positive_shares: Sequence[float]
) -> list[tuple[int, int, int]]:
    """Known positives, known negatives and weakly labelled images that each epoch is to meet.

    Parameters
    ----------
    data : TrainingSet
    fold : int
        The fold to leave out.
    known, weak : int
        Images of an epoch with a known mask and with a weak label. Where there are no weak labels,
        known ones take their place; where there are no negatives, positives do.
    positive_shares : sequence of float
        Of each epoch, the share of positives among the images with a known mask.

    Raises
    ------
    UserError
        If no image outside the fold has a known lesion.
    """
    outside = data.folds != fold
    if not (outside & data.positive).any():
        raise UserError(
            f"fold {fold}: none of the {int((outside & data.drawn).sum())} images outside it has a "
            "lesion to learn from; use fewer folds or a dataset with more positives."
        )
    if not (outside & ~data.drawn).any():
        known, weak = known + weak, 0
    if not (outside & data.drawn & ~data.positive).any():
        positive_shares = [1.0] * len(positive_shares)
    positives = [round(known * share) for share in positive_shares]
    return [(count, known - count, weak) for count in positives]


def _endless(
    pool: NDArray[np.int64], start: int, count: int, key: tuple[int, ...]
) -> NDArray[np.int64]:
    """Members `start` to `start + count` of an endless row of permutations of `pool`."""
    if not count:
        return pool[:0]
    first, last = start // pool.size, (start + count - 1) // pool.size
    rounds = [
        np.random.default_rng((*key, number)).permutation(pool) for number in range(first, last + 1)
    ]
    offset = start - first * pool.size
    return np.concatenate(rounds)[offset : offset + count]


def chunks(count: int, length: int) -> Iterator[slice]:
    """Cut range(count) into slices of `length`, the last one shorter."""
    for start in range(0, count, length):
        yield slice(start, min(start + length, count))


def padded(array: NDArray[Number], length: int) -> NDArray[Number]:
    """Repeat the last item until the first axis is `length`, so that one compiled shape serves."""
    return np.concatenate([array, np.repeat(array[-1:], length - len(array), axis=0)])
