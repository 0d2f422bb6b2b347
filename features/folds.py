"""Patient-disjoint, stratified folds: the one split that the verdict and the U-Net share.

Knowing only how many images a patient has predicts pneumothorax in SIIM-ACR with an AUC of 0.84,
so a patient must never stand on both sides of a split.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from features.files import UserError


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
        Seed of the shuffle.

    Returns
    -------
    (n,) array of int in 0 .. k - 1

    Raises
    ------
    UserError
        If there are fewer patients than folds, or `k` is below 2.
    """
    found = len(np.unique(patients))
    if k < 2 or found < k:
        raise UserError(
            f"folds = {k}: there must be at least 2 folds and at least as many patients as folds "
            f"({found} patients found); use fewer folds, or more patients (see patients.csv)."
        )
    most = int(np.unique(strata, return_counts=True)[1].max())
    if most < k:
        raise UserError(
            f"folds = {k}: no class of labels has as many images (the largest has {most}); use "
            "fewer folds, or more images."
        )
    folds = np.empty(len(strata), np.int64)
    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A stratum smaller than k cannot be in every fold; that is no fault of the split.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for fold, (_, held_out) in enumerate(splitter.split(strata, strata, patients)):
            folds[held_out] = fold
    return folds
