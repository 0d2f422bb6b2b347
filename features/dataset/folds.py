"""Patient-disjoint, stratified folds: the one split that the classifier and the U-Net share.

Knowing only how many images a patient has predicts pneumothorax in SIIM-ACR with an AUC of 0.84,
so all images of a patient must be in one fold.

scikit-learn's StratifiedGroupKFold assigns large groups first, whatever its seed. So its splits are
alike, and a mean over seeds hides how much a score depends on the split. Here groups come in random
order, each goes to the fold that has least of what the group brings, and the best balanced of many
such draws is taken: two seeds have no more in common than by chance.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.run.files import UserError

# Random draws of which the best balanced one is taken.
DRAWS = 100


def assign(
    strata: NDArray[np.integer], patients: NDArray[np.object_], k: int, seed: int
) -> NDArray[np.int64]:
    """Assign images to folds so that each patient is in one fold and strata are spread evenly.

    Parameters
    ----------
    strata : (n,) array of int
        Class of each image to be spread evenly, e.g. the label.
    patients : (n,) array of str
        Group key of each image.
    k : int
        Number of folds, at least 2.
    seed : int
        Seed of the draws; every seed gives a split of its own.

    Returns
    -------
    (n,) array of int in 0 .. k - 1
        No fold is empty.

    Raises
    ------
    UserError
        If there are fewer patients than folds, no class has `k` images, or `k` is below 2.
    """
    check_count(k)
    names, group = np.unique(patients, return_inverse=True)
    if len(names) < k:
        raise UserError(
            f"folds = {k}: there must be at least as many patients as folds ({len(names)} patients "
            "found); use fewer folds, or more patients (see patients.csv)."
        )
    classes, stratum = np.unique(strata, return_inverse=True)
    most = int(np.bincount(stratum).max())
    if most < k:
        raise UserError(
            f"folds = {k}: no class of labels has as many images (the largest has {most}); use "
            "fewer folds, or more images."
        )
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (group, stratum), 1)
    # All images together are spread evenly as well, as if they were one more class.
    totals = np.column_stack([counts, counts.sum(axis=1)])
    return _best_draw(totals / totals.sum(axis=0), k, np.random.default_rng(seed))[group]


def check_count(k: int) -> None:
    """Check a number of folds.

    Raises
    ------
    UserError
        If it is below 2.
    """
    if k < 2:
        raise UserError(f"folds = {k}: there must be at least 2 folds; give more.")


def by_fold(fold: pd.Series) -> Iterator[tuple[int | None, NDArray[np.intp]]]:
    """Positions of the images of each fold, and of those that belong to none.

    Parameters
    ----------
    fold : (n,) Series of Int64
        Fold of each image; missing where it belongs to none.

    Yields
    ------
    fold : int or None
        In rising order; None, last, only where an image belongs to no fold.
    positions : (k,) array of int
    """
    number = fold.astype("Int64")
    for k in sorted(number.dropna().unique()):
        yield int(k), np.flatnonzero((number == k).fillna(False))
    if number.isna().any():
        yield None, np.flatnonzero(number.isna())


def strata(rows: pd.DataFrame) -> NDArray[np.int64]:
    """What folds are to spread evenly: true or weak label, positive or negative; (n,)."""
    positive = rows["label"].fillna(rows["weak"]) > 0.5
    return np.asarray(2 * rows["label"].notna() + positive, np.int64)


def _best_draw(
    shares: NDArray[np.float64], k: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Assign groups in random orders, all draws at once, and take the most even one.

    Parameters
    ----------
    shares : (groups, classes) array
        Each group's share of each class; columns sum to 1, and the last one is nowhere 0.
    k : int
    generator : numpy.random.Generator

    Returns
    -------
    (groups,) array of int
        The fold of each group.
    """
    draws = np.arange(DRAWS)
    orders = generator.permuted(np.tile(np.arange(len(shares)), (DRAWS, 1)), axis=1)
    held = np.zeros((DRAWS, k, shares.shape[1]))
    fold = np.empty(orders.shape, np.int64)
    for groups in orders.T:
        # Where a group adds least to the sum of squares, which is least where all folds are alike.
        overlap = np.einsum("dkc,dc->dk", held, shares[groups])
        ties = 1e-12 * generator.random(overlap.shape)
        chosen = (overlap + ties).argmin(axis=1)
        held[draws, chosen] += shares[groups]
        fold[draws, groups] = chosen
    return fold[np.square(held).sum(axis=(1, 2)).argmin()]
