"""The images that a gate is chosen on, scored on or used for: predictions beside size and mask."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.learning import predictions
from baseline.learning.training_rows import has_trusted_weak_mask
from features.run.files import UserError
from features.run.folder import RunFolder
from features.run.tables import Table


def sized(run: RunFolder, predicted: Table) -> pd.DataFrame:
    """Rows of a table of predictions with the size and the known mask of each image.

    Parameters
    ----------
    run : RunFolder
    predicted : Table
        `run.oof` or `run.test`.

    Raises
    ------
    UserError
        If either table is missing, or an image of the predictions is not in the dataset.
    """
    rows = predicted.read()
    dataset = run.images()[["id", "rows", "columns", "mask"]]
    unknown = rows["id"][~rows["id"].isin(dataset["id"])]
    if len(unknown):
        raise UserError(
            f"{predicted.path}: {unknown.iloc[0]} is no image of {run.dataset.path} "
            f"({len(unknown)} such ids); the classifier was trained on another dataset, so run "
            f"`make {predicted.maker}` again."
        )
    return rows.merge(dataset, on="id", validate="one_to_one")


def labelled(run: RunFolder) -> pd.DataFrame:
    """Out-of-fold predictions of the images with a known mask; `fold` is int64.

    Raises
    ------
    UserError
        If they are missing, or all in one fold.
    """
    rows = sized(run, run.oof)
    rows = rows[rows["mask"].notna()].reset_index(drop=True).astype({"fold": "int64"})
    folds = rows["fold"].nunique()
    if folds < 2:
        raise UserError(
            f"{run.dataset.path}: {len(rows)} images with a known mask in {folds} folds; a rule is "
            "scored on another fold than it was chosen on, so give more labelled images or other "
            "FOLDS."
        )
    return rows


def with_weak_masks(run: RunFolder) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """The images that a rule is chosen by: those of `labelled`, then those with a weak mask.

    A weak mask that the weak label contradicts does not count, see `has_trusted_weak_mask`.

    Returns
    -------
    rows : DataFrame
        As of `labelled`; `mask` is the one that the rule is chosen by.
    known : (n,) array of bool
        Which of them have a known mask. The others are never scored.

    Raises
    ------
    UserError
        As of `labelled`.
    """
    rows, others = labelled(run), sized(run, run.oof)
    others = others.merge(run.images()[["id", "weak_mask"]], on="id")
    others = others[others["mask"].isna() & has_trusted_weak_mask(others)]
    weak = others.assign(mask=others["weak_mask"])[rows.columns].astype({"fold": "int64"})
    known = np.arange(len(rows) + len(weak)) < len(rows)
    return pd.concat([rows, weak], ignore_index=True), known


def tested(run: RunFolder) -> tuple[pd.DataFrame, int]:
    """Test images of known truth and unseen patients, and how many of other patients are left out.

    Raises
    ------
    UserError
        If predictions or truth are missing.
    """
    rows, truth = sized(run, run.test).drop(columns="mask"), run.truth.read()
    scored = predictions.with_truth(rows, truth, sized(run, run.oof)["patient"])
    return scored, int(rows["id"].isin(truth["id"]).sum()) - len(scored)
