"""The X-rays that a network learns from, with their masks.

Of some images the mask is known, of others only a weak mask, as another model drew it. The network
learns from both, but it is scored on known masks alone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.learning.training_rows import has_trusted_weak_mask
from cnn.data import mask_squares, planes
from cnn.data.fingerprint import fingerprint, of_pixels
from features.reading import rle
from features.run.files import UserError
from features.run.folder import RunFolder
from features.squares.store import ChosenSquares, load_squares


@dataclass(frozen=True)
class TrainingImages:
    """Images to learn from, those of known mask first.

    Parameters
    ----------
    ids : tuple of str
    folds : (n,) array of int
        The fold each image belongs to.
    known : (n,) array of bool
        Whether the image's mask is known, and not weak.
    positive : (n,) array of bool
        Whether the mask is not empty.
    images, masks : (n, size, size) arrays of uint8
        X-rays, air dark; masks as share of the pixel covered, 255 for all of it. Both are read from
        the disk where they are asked for.
    digest : str
        Fingerprint of ids, folds, masks, pixels and evidence: two equal ones mean the same training
        set.
    table : DataFrame
        The images' rows of the dataset.
    fold_count : int
        Number of the dataset's folds. A fold may hold none of these images, but others to predict.
    evidence : (n, size, size) array of uint8, optional
        The evidence map as one fold's network sees it (see `cnn.data.planes`).
    """

    ids: tuple[str, ...]
    folds: NDArray[np.int64]
    known: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    images: NDArray[np.uint8] | ChosenSquares
    masks: NDArray[np.uint8]
    digest: str
    table: pd.DataFrame
    fold_count: int
    evidence: NDArray[np.uint8] | None = None

    def inputs(self, rows: NDArray[np.integer], evidence: bool = True) -> NDArray[np.uint8]:
        """What a network sees of some images, with the evidence or without: (n, size, size, c)."""
        evidence_planes = [] if self.evidence is None or not evidence else [self.evidence[rows]]
        return np.stack([self.images[rows], *evidence_planes], axis=-1)


def read(run: RunFolder, size: int, evidence: bool = False, weak: bool = False) -> TrainingImages:
    """Load every image to learn from, decoding it unless a stage before has.

    Parameters
    ----------
    run : RunFolder
        The dataset is read, masks are written, and squares where they are missing.
    size : int
        Side of the square that the network sees.
    evidence : bool
        Whether the network sees the evidence map too. The map then counts as a part of the data;
        its planes are made later, for each fold.
    weak : bool
        Whether to load images with a weak mask too; those whose weak label contradicts it are left
        out.

    Raises
    ------
    UserError
        If there is no such image, an image cannot be read or has changed, or there is no evidence.
    """
    table, known, codes = _select(run, weak)
    positive = (codes != rle.EMPTY).to_numpy(bool)
    images = load_squares(run, size).of(table["id"])
    masks = mask_squares.load(run, table.assign(mask=codes), size)
    examples = fingerprint(table["id"], codes, table["fold"], pd.Series(positive))
    return TrainingImages(
        ids=tuple(table["id"]),
        folds=table["fold"].to_numpy(np.int64),
        known=known,
        positive=positive,
        images=images,
        masks=masks,
        digest=examples + of_pixels(images) + (planes.digest(run) if evidence else ""),
        table=table,
        fold_count=int(run.images()["fold"].max()) + 1,
    )


def count_lesions(run: RunFolder, weak: bool) -> int:
    """Number of images with a lesion to learn from, see `read`.

    Raises
    ------
    UserError
        If no image has a known mask.
    """
    return int((_select(run, weak)[2] != rle.EMPTY).sum())


def _select(run: RunFolder, weak: bool) -> tuple[pd.DataFrame, NDArray[np.bool_], pd.Series]:
    """Rows of the images to learn from, which of them have a known mask, and the code of each.

    Raises
    ------
    UserError
        If no image has a known mask.
    """
    dataset = run.images()
    table = dataset[dataset["fold"].notna()]
    has_mask = (table["split"] == "train") & table["mask"].notna()
    if not has_mask.any():
        raise UserError(
            f"{run.dataset.path}: no training image has a known mask, and the network cannot learn "
            "to draw without one; add annotations to the dataset."
        )
    kinds = [table[has_mask]]
    if weak:
        kinds.append(table[~has_mask & has_trusted_weak_mask(table)])
    table = pd.concat(kinds)
    known = np.arange(len(table)) < len(kinds[0])
    # A mask that is not to be learned from, such as a test image's, must not get in by chance.
    return table, known, table["mask"].where(known, table["weak_mask"])
