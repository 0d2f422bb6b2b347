"""Rows of the dataset that the models learn from and are scored on, checked before any training."""

import sys

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.learning import feature_table
from baseline.learning.feature_table import FeatureTable
from features.reading import rle
from features.run.files import UserError
from features.run.folder import RunFolder

# Most constant features that are named in the message; the others are counted.
NAMED = 3


def training_rows(dataset: pd.DataFrame) -> pd.DataFrame:
    """Rows that belong to a fold, with their `target`: the true label, or else the weak one.

    Where weak label and weak mask contradict each other, neither is to be believed much, so the
    target is their mean.

    Returns
    -------
    DataFrame
        The columns of the dataset and target; fold is int64, since none is missing.

    Raises
    ------
    UserError
        If no image is labelled, or the truly labelled images are of one class only.
    """
    rows = dataset[dataset["fold"].notna()].astype({"fold": np.int64})
    if rows.empty:
        raise UserError(
            "dataset.parquet: no image has a label, so these can only be predicted, by a run that "
            "was trained on others: python -m baseline.report.study_page."
        )
    by_mask = (rows["weak_mask"] != rle.EMPTY).astype("Float64").to_numpy(float, na_value=np.nan)
    contradicts = (rows["weak"] > 0.5) != (by_mask == 1)
    weak = rows["weak"].where(np.isnan(by_mask) | ~contradicts, (rows["weak"] + by_mask) / 2)
    rows["target"] = rows["label"].fillna(weak)
    if rows["label"].nunique() < 2:
        raise UserError(
            "dataset.parquet: the labelled images are all of one class; training and scoring need "
            "images with and without pneumothorax."
        )
    return rows


def has_trusted_weak_mask(dataset: pd.DataFrame) -> NDArray[np.bool_]:
    """Which images have a weak mask that their weak label agrees with, shape (n,)."""
    agrees = (dataset["weak_mask"] != rle.EMPTY) == (dataset["weak"] > 0.5)
    return (dataset["weak_mask"].notna() & agrees.fillna(False)).to_numpy(bool)


def read_checked(run: RunFolder, evidence: bool = False) -> tuple[pd.DataFrame, FeatureTable]:
    """The dataset and the features of a run, fit to be learned from.

    Parameters
    ----------
    run : RunFolder
    evidence : bool
        Whether to read the evidence by zone as well.

    Returns
    -------
    dataset : DataFrame
        Rows of dataset.parquet.
    table : FeatureTable
        Features of all measured images. Constant features are named in a message and kept: no tree
        can split by them.

    Raises
    ------
    UserError
        If labels, folds, ids or features break a rule.
    """
    dataset = run.images()
    check_dataset(dataset, run)
    table = feature_table.read(run, evidence)
    ids = dataset.loc[dataset["fold"].notna(), "id"]
    missing = ids[~ids.isin(table.index)]
    if len(missing):
        raise UserError(
            f"{run.features.path}: {missing.iloc[0]} is missing ({len(missing)} such images); it "
            "was measured for another dataset; delete the file and run `make measure` again."
        )
    _name_constants(table.measured.loc[ids])
    return dataset, table


def check_dataset(dataset: pd.DataFrame, run: RunFolder) -> None:
    """Refuse labels and folds from which no model can learn.

    Raises
    ------
    UserError
    """
    path, repair = run.dataset.path, "; run `make dataset` again."
    repeated = dataset["id"][dataset["id"].duplicated()]
    if len(repeated):
        raise UserError(
            f"{path}: {repeated.iloc[0]} is there twice ({len(repeated)} such rows); an image has "
            f"one row{repair}"
        )
    rows = training_rows(dataset)
    wrong = ~rows["label"].isin((0, 1)) & rows["label"].notna()
    wrong |= rows["target"].isna() | (rows["target"] < 0) | (rows["target"] > 1)
    if wrong.any():
        raise UserError(
            f"{path}: {rows['id'][wrong].iloc[0]} has the label {rows['target'][wrong].iloc[0]}; "
            f"an image of a fold needs a true label, 0 or 1, or a weak one from 0 to 1{repair}"
        )
    folds, patients = rows["fold"].max() + 1, rows["patient"].nunique()
    if patients < folds or folds < 2:
        raise UserError(
            f"{path}: {folds} folds of {patients} patients; there must be at least 2 folds, and as "
            "many patients; use other FOLDS, or more patients (see patients.csv)."
        )
    folds_of_patient = rows.groupby("patient")["fold"].nunique()
    if (folds_of_patient > 1).any():
        raise UserError(
            f"{path}: patient {folds_of_patient.idxmax()} is in {folds_of_patient.max()} folds; "
            f"all images of a patient must be in one{repair}"
        )
    for fold in range(folds):
        _check_without(fold, rows, run)


def _check_without(fold: int, rows: pd.DataFrame, run: RunFolder) -> None:
    """Refuse an empty fold, and one without which the other images are of one class."""
    outside = rows["fold"] != fold
    targets = rows["target"][outside] > 0.5
    if len(targets) == len(rows):
        raise UserError(
            f"{run.dataset.path}: fold {fold} is empty; every fold needs images; make the dataset "
            "again."
        )
    if targets.nunique() < 2 or rows["label"][outside].dropna().nunique() < 2:
        raise UserError(
            f"{run.dataset.path}: without fold {fold} all images are of one class, or all with a "
            "true label; every fold's model, and its calibration, needs both; use other FOLDS or "
            "more images."
        )


def constants(table: pd.DataFrame) -> NDArray[np.object_]:
    """Names of the features that have the same value on all images."""
    values = table.to_numpy()
    return table.columns.to_numpy(object)[(values == values[:1]).all(axis=0)]


def _name_constants(table: pd.DataFrame) -> None:
    constant = constants(table)
    if len(constant):
        names = ", ".join(constant[:NAMED]) + (" ..." if len(constant) > NAMED else "")
        print(
            f"{len(constant)} of {table.shape[1]} features are the same on all training images and "
            f"are ignored: {names}",
            file=sys.stderr,
        )
