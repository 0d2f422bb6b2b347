"""The images that a gate is chosen on, scored on or used for: predictions beside size and mask."""

import pandas as pd

from baseline.learning import predictions
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


def tested(run: RunFolder) -> tuple[pd.DataFrame, int]:
    """Test images of known truth and unseen patients, and how many of other patients are left out.

    Raises
    ------
    UserError
        If predictions or truth are missing.
    """
    rows = sized(run, run.test).drop(columns="mask").merge(run.truth.read(), on="id")
    unseen = predictions.unseen_patients(rows, sized(run, run.oof)["patient"])
    return rows[unseen].reset_index(drop=True), int((~unseen).sum())
