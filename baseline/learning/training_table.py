"""What the models are taught from and judged on: rows and features, checked before any training.

Every model, whether it learns, judges or is explained, gets its features from `for_model`.

The evidence map belongs to the folds of the dataset: each model has its own (see
`baseline.evidence_map.train`). Whoever splits the images otherwise, as `baseline.classifier.ablation` does, must do
without.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from features.families import map_summary
from features.families.table import read as read_features
from features.run import files
from features.run.files import UserError

# Stands between the name of a learned column and the fold of the model it is for.
AT = "@"
# Names of constant features that are told one by one.
TOLD = 3


def with_evidence(run: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Add what the evidence map says of each image, once for each model of the verdict.

    Parameters
    ----------
    run : Path
        Run folder with evidence/columns.parquet.
    table : (n, m) DataFrame
        Features, indexed by image id.

    Returns
    -------
    (n, m + folds k) DataFrame
        Columns are named "evidence.zone.measure@fold"; only `for_model` and `own` read them.

    Raises
    ------
    UserError
        If the evidence is missing, or is of other images or of another version.
    """
    path = run / "evidence" / "columns.parquet"
    found = files.read_table(path)
    names = list(map_summary.names())
    again = "; delete the file and run make again."
    if list(found.columns) != ["judge", "id", *names]:
        raise UserError(f"{path}: its columns are those of another version{again}")
    parts = [table]
    for fold, rows in found.groupby("judge"):
        part = rows.set_index("id")[names].reindex(table.index)
        if part.isna().to_numpy().any():
            missing = part.index[part.isna().any(axis=1)][0]
            raise UserError(f"{path}: {missing} is missing for the model of fold {fold}{again}")
        parts.append(part.add_suffix(f"{AT}{fold}"))
    return pd.concat(parts, axis=1)


def one_row(name: str, found: Mapping[str, float], columns: Sequence[str]) -> pd.DataFrame:
    """The features of one image as a (1, m) table of float32, in the order of a run's columns."""
    values = np.array([[found[column] for column in columns]], np.float32)
    return pd.DataFrame(values, index=[name], columns=list(columns))


def for_model(table: pd.DataFrame, ids: pd.Series | pd.Index, fold: int) -> pd.DataFrame:
    """Features of some images as the model of one fold sees them.

    Parameters
    ----------
    table : DataFrame
        Feature table of the run, indexed by image id, with or without evidence.
    ids : (n,) Series or Index of str
        Images, also of the fold that the model has not seen.
    fold : int
        The fold that is held out from the model; -1 for the mean over all models.

    Returns
    -------
    (n, m) DataFrame
        Indexed by image id.
    """
    rows = table.loc[ids]
    learned = [name for name in rows.columns if AT in name]
    if not learned:
        return rows
    folds = sorted({name.split(AT)[1] for name in learned}) if fold < 0 else [str(fold)]
    names = [name.split(AT)[0] for name in learned if name.endswith(f"{AT}{folds[0]}")]
    views = [rows[[f"{name}{AT}{one}" for name in names]].to_numpy() for one in folds]
    seen = pd.DataFrame(np.mean(views, axis=0, dtype=np.float32), rows.index, names)
    return pd.concat((rows.drop(columns=learned), seen), axis=1)


def own(table: pd.DataFrame, folds: NDArray[np.integer]) -> pd.DataFrame:
    """Each image as the model sees it that judges it; -1 for the mean over all models."""
    ids = table.index
    parts = [for_model(table, ids[folds == fold], int(fold)) for fold in np.unique(folds)]
    return pd.concat(parts).loc[ids]


def training_rows(dataset: pd.DataFrame) -> pd.DataFrame:
    """Rows that belong to a fold, with their `target`: the true label, or else the weak one.

    Raises
    ------
    UserError
        If the truly labelled images are of one class only.
    """
    rows = dataset[dataset["fold"] >= 0].copy()
    rows["target"] = rows["label"].fillna(rows["weak"])
    if rows["label"].nunique() < 2:
        raise UserError(
            "dataset.parquet: the labelled images are all of one class; training and scoring need "
            "images with and without pneumothorax."
        )
    return rows


def read(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The dataset and the feature table of a run, fit to be learned from.

    Returns
    -------
    dataset : DataFrame
        Rows of dataset.parquet.
    table : DataFrame
        Features of its images, indexed by image id. Constant features are told of and kept: no
        tree can split by them.

    Raises
    ------
    UserError
        If labels, folds, ids or features break a rule.
    """
    dataset = files.read_table(run / "dataset.parquet")
    check_dataset(dataset)
    table = read_features(run)
    check_features(table, dataset.loc[dataset["fold"] >= 0, "id"])
    return dataset, table


def check_dataset(dataset: pd.DataFrame) -> None:
    """Refuse labels and folds that nothing can be learned from.

    Raises
    ------
    UserError
    """
    again = "; make the dataset again."
    _need_unique(dataset["id"], "dataset.parquet")
    rows = training_rows(dataset)
    wrong = ~rows["label"].isin((0, 1)) & rows["label"].notna()
    wrong |= rows["target"].isna() | (rows["target"] < 0) | (rows["target"] > 1)
    if wrong.any():
        raise UserError(
            f"dataset.parquet: {rows['id'][wrong].iloc[0]} has the label "
            f"{rows['target'][wrong].iloc[0]}; an image of a fold needs a true label, 0 or 1, or a "
            f"weak one from 0 to 1{again}"
        )
    folds, patients = rows["fold"].max() + 1, rows["patient"].nunique()
    if patients < folds or folds < 2:
        raise UserError(
            f"dataset.parquet: {folds} folds of {patients} patients; there must be at least 2 "
            "folds, and as many patients; use other FOLDS, or more patients (see patients.csv)."
        )
    torn = rows.groupby("patient")["fold"].nunique()
    if (torn > 1).any():
        raise UserError(
            f"dataset.parquet: patient {torn.idxmax()} is in {torn.max()} folds; all images of a "
            f"patient must be in one{again}"
        )
    for fold in range(folds):
        others = rows["target"][rows["fold"] != fold] > 0.5
        if len(others) == len(rows):
            raise UserError(
                f"dataset.parquet: fold {fold} is empty; every fold needs images{again}"
            )
        true = rows["label"][(rows["fold"] != fold) & rows["label"].notna()]
        if others.nunique() < 2 or true.nunique() < 2:
            raise UserError(
                f"dataset.parquet: without fold {fold} all images are of one class, or all with a "
                "true label; every fold's model, and its calibration, needs both; use other FOLDS "
                "or more images."
            )


def check_features(table: pd.DataFrame, ids: pd.Series) -> None:
    """Refuse features that no model can learn from; tell which are constant.

    Parameters
    ----------
    table : DataFrame
        Features, indexed by image id.
    ids : Series of str
        Images that teach.

    Raises
    ------
    UserError
        If an image that teaches is missing or there twice, or a feature is no finite number.
    """
    again = "; delete the file and run make again."
    _need_unique(table.index.to_series(), "features.parquet")
    missing = ids[~ids.isin(table.index)]
    if len(missing):
        raise UserError(
            f"features.parquet: {missing.iloc[0]} is missing ({len(missing)} such images); it was "
            f"measured for another dataset{again}"
        )
    text = [name for name, kind in table.dtypes.items() if not is_numeric_dtype(kind)]
    if text:
        raise UserError(f"features.parquet: {text[0]} holds no numbers{again}")
    values = table.to_numpy()
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise UserError(
            f"features.parquet: {table.columns[column]} of {table.index[row]} is "
            f"{values[row, column]}; every feature must be a finite number{again}"
        )
    constant = constants(table.loc[ids])
    if len(constant):
        named = ", ".join(constant[:TOLD]) + (" ..." if len(constant) > TOLD else "")
        print(
            f"{len(constant)} of {table.shape[1]} features are the same for all images that teach "
            f"and are ignored: {named}",
            file=sys.stderr,
        )


def constants(table: pd.DataFrame) -> NDArray[np.object_]:
    """Names of the features that have the same value on all images."""
    values = table.to_numpy()
    return table.columns.to_numpy(object)[(values == values[:1]).all(axis=0)]


def _need_unique(ids: pd.Series, name: str) -> None:
    twice = ids[ids.duplicated()]
    if len(twice):
        raise UserError(
            f"{name}: {twice.iloc[0]} is there twice ({len(twice)} such rows); an image has one "
            "row; delete the file and run make again."
        )
