"""The X-rays that teach as one block of bytes, and the order in which a fold meets them.

Two kinds teach: those whose mask is known, and those of which only the probability of a
pneumothorax is (weak labels). Where that is above one half, the evidence map stands in for a mask.
Images are decoded once a size and kept beside the run (`RUN/cnn/images-<size>.npy`), so that the
folds, and a run that goes on, do not decode them again. The order of an epoch is a function of
seed, fold and epoch alone, so that a run that goes on meets the images as it would have.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.data import planes
from cnn.data.geometry import read_pair
from features.reading import rle
from features.run import parallel
from features.run.files import (
    UserError,
    atomic,
    open_array,
    read_json,
    read_table,
    stamps,
    write_json,
)

Number = TypeVar("Number", bound=np.number)

# Below this many images starting the worker processes takes longer than the decoding.
FEW = 300


class EpochPlan(NamedTuple):
    """How many images an epoch meets, and of which kinds."""

    steps: int
    """Number of batches."""
    batch: int
    """Images a batch."""
    positive_share: float
    """Share of images with a lesion among each kind, in [0, 1]; all of them if there are no
    others."""
    weak_share: float = 0.0
    """Share of weakly labelled images."""


@dataclass(frozen=True)
class TrainingImages:
    """Images to learn from, those of known mask first.

    Parameters
    ----------
    ids : tuple of str
    folds : (n,) array of int
        The fold each image belongs to.
    known : (n,) array of bool
        Whether the image's mask is known.
    positive : (n,) array of bool
        Whether the mask is not empty; where it is not known, whether the weak label says so.
    images, masks : (n, size, size) arrays of uint8
        X-rays, air dark; masks as share of the pixel covered, 255 for all of it, 0 if not known.
    digest : str
        Fingerprint of ids, folds, masks, pixels, weak labels and evidence: two equal ones mean the
        same training set.
    table : DataFrame
        The images' rows of the dataset.
    fold_count : int
        Number of the dataset's folds; one may hold none of these images, but others to be judged.
    evidence : (n, size, size) array of uint8, optional
        The evidence map as one fold's network sees it (see `cnn.data.planes`).
    """

    ids: tuple[str, ...]
    folds: NDArray[np.int64]
    known: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    digest: str
    table: pd.DataFrame
    fold_count: int
    evidence: NDArray[np.uint8] | None = None

    def seen(self, rows: NDArray[np.integer], evidence: bool = True) -> NDArray[np.uint8]:
        """What a network sees of some images, with the evidence or without: (n, size, size, c)."""
        shown = [] if self.evidence is None or not evidence else [self.evidence[rows]]
        return np.stack([self.images[rows], *shown], axis=-1)

    def target(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """What a network should draw: the mask, or the evidence map of a weakly positive image."""
        drawn = self.masks[rows]
        weak = np.flatnonzero(self.positive[rows] & ~self.known[rows])
        if weak.size:
            assert self.evidence is not None
            drawn[weak] = self.evidence[rows[weak]]
        return drawn


def labelled(run: Path, size: int, evidence: bool = False, weak: bool = False) -> TrainingImages:
    """Load every image to learn from, decoding it unless a former run has.

    Parameters
    ----------
    run : Path
        The run folder; `dataset.parquet` in it is read, `cnn/` written.
    size : int
        Side of the square that the network sees.
    evidence : bool
        Whether the network sees the evidence map too, which then counts as a part of the data. The
        planes themselves are a fold's own affair.
    weak : bool
        Whether weakly labelled images belong to it too; they need the evidence.

    Raises
    ------
    UserError
        If there is no such image, an image cannot be read or has changed, or there is no evidence.
    """
    check_folder(run)
    table = read_table(run / "dataset.parquet")
    table = table[table["fold"] >= 0]
    drawn = (table["split"] == "train") & table["mask"].notna()
    if not drawn.any():
        raise UserError(
            f"{run / 'dataset.parquet'}: no training image has a known mask, and the network "
            "cannot learn to draw without one; add annotations to the dataset."
        )
    fold_count = int(table["fold"].to_numpy().max()) + 1
    parts = [table[drawn]]
    if weak and evidence and "weak" in table:
        parts.append(table[~drawn & table["weak"].notna()])
    table = pd.concat(parts)
    known = np.arange(len(table)) < len(parts[0])
    # A mask that is not to be learned from, such as a test image's, must not be met by chance.
    codes = table["mask"].where(known, rle.EMPTY)
    label = table["weak"] if len(parts) > 1 else pd.Series(np.nan, table.index)
    positive = np.where(known, codes != rle.EMPTY, label > 0.5)
    images, masks, pixels = _cached(run / "cnn", table.assign(mask=codes), size)
    found = fingerprint(table["id"], codes, table["fold"], pd.Series(positive)) + pixels
    return TrainingImages(
        ids=tuple(table["id"]),
        folds=table["fold"].to_numpy(np.int64),
        known=known,
        positive=positive,
        images=images,
        masks=masks,
        digest=found + (planes.digest(run) if evidence else ""),
        table=table,
        fold_count=fold_count,
    )


def check_folder(run: Path) -> None:
    """Refuse a run that is a file, or whose networks would go into one."""
    for path in (run, run / "cnn"):
        if path.exists() and not path.is_dir():
            raise UserError(
                f"{path}: is a file where a folder belongs; give another --run, or move it away."
            )


def fingerprint(*columns: pd.Series) -> str:
    """Hash of some columns of a table, row by row."""
    lines = "\n".join("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _cached(
    folder: Path, table: pd.DataFrame, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Decoded images and masks, memory-mapped, and a fingerprint of the images' pixels.

    A marker says of which files and codes they are.
    """
    columns = [table[name] for name in ("path", "mask", "rows", "columns")]
    content = fingerprint(*columns, stamps(table["path"]))
    marker = folder / f"images-{size}.json"
    paths = [folder / f"images-{size}.npy", folder / f"masks-{size}.npy"]
    held = read_json(marker) if marker.exists() else {}
    if held.get("content") != content or not all(path.exists() for path in paths):
        marker.unlink(missing_ok=True)
        items = [
            (path, code, (rows, across), size)
            for path, code, rows, across in zip(*columns, strict=True)
        ]
        pairs = parallel.stream(read_pair, items, "decode", jobs=-1 if len(items) > FEW else 1)
        pixels = _write_pairs(paths, pairs, (len(items), size, size))
        held = {"content": content, "pixels": pixels}
        write_json(marker, held)
    images, masks = (np.load(path, mmap_mode="r", allow_pickle=False) for path in paths)
    return images, masks, str(held["pixels"])


def _write_pairs(
    paths: list[Path],
    pairs: Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    shape: tuple[int, int, int],
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


def training_order(
    data: TrainingImages,
    without: tuple[int, ...],
    counts: EpochPlan,
    key: tuple[int, ...],
) -> NDArray[np.int32]:
    """Draw an epoch's batches from the images outside some folds.

    Each kind of images comes in permutations of all of them, one after the other, so that none is
    met twice before the others once; then all are shuffled together.

    Parameters
    ----------
    data : Labelled
        The images.
    without : tuple of int
        The folds to leave out.
    counts : Counts
        Batches, images in each, and shares.
    key : tuple of int
        Everything the draw depends on, e.g. (seed, fold, epoch).

    Returns
    -------
    (steps, batch) array of int32
        Positions in `data`.

    Raises
    ------
    UserError
        If no image outside these folds has a known lesion.
    """
    outside = ~np.isin(data.folds, without)
    if not (outside & data.known & data.positive).any():
        raise UserError(
            f"fold {' and '.join(map(str, without))}: none of the "
            f"{int((outside & data.known).sum())} images outside it has a lesion to learn from; "
            "use fewer folds or a dataset with more positives."
        )
    generator = np.random.default_rng(key)
    total = counts.steps * counts.batch
    weak = round(total * counts.weak_share) if (outside & ~data.known).any() else 0
    order = []
    for of_kind, count in ((data.known, total - weak), (~data.known, weak)):
        positives = np.flatnonzero(outside & of_kind & data.positive)
        negatives = np.flatnonzero(outside & of_kind & ~data.positive)
        share = counts.positive_share if negatives.size else 1.0
        first = round(count * share) if positives.size else 0
        order += [_cycle(generator, positives, first), _cycle(generator, negatives, count - first)]
    mixed = generator.permutation(np.concatenate(order))
    return mixed.reshape(counts.steps, counts.batch).astype(np.int32)


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
