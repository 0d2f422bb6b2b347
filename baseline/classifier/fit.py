"""Fits the classifier: one model a fold, on the images of the other folds."""

from dataclasses import asdict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.classifier.settings import TrainingSettings, training_settings
from baseline.learning.estimator import Classifier
from baseline.learning.feature_table import FeatureTable
from features.run import command


def fit_model(
    table: pd.DataFrame, rows: pd.DataFrame, settings: TrainingSettings, seed: int
) -> Classifier:
    """Fit one model.

    Parameters
    ----------
    table : (n, m) DataFrame
        Features, in the rows' order.
    rows : (n, ...) DataFrame
        label, target and patient of the training images.
    settings : TrainingSettings
    seed : int
    """
    chosen = asdict(training_settings(settings))
    weights = np.where(rows["label"].notna(), 1.0, chosen.pop("weak_weight"))
    target, patients = rows["target"].to_numpy(float), rows["patient"].to_numpy(object)
    return Classifier(**chosen, seed=seed).fit(table, target, weights, patients)


def fit_folds(
    table: FeatureTable, rows: pd.DataFrame, settings: TrainingSettings, seed: int
) -> list[Classifier]:
    """Fit one model a fold, on the other folds' images, each with its own evidence by zone.

    Parameters
    ----------
    table : FeatureTable
    rows : DataFrame
        Of `training_rows`.
    settings : TrainingSettings
    seed : int
        Seed of the first fold's model.
    """
    folds = range(rows["fold"].max() + 1)
    return [
        fit_fold(fold, table, rows, settings, seed)
        for fold in command.progress(folds, "training the classifier", unit="folds")
    ]


def fit_fold(
    fold: int, table: FeatureTable, rows: pd.DataFrame, settings: TrainingSettings, seed: int
) -> Classifier:
    """Fit the model of one fold; see `fit_folds`."""
    part = rows[rows["fold"] != fold]
    return fit_model(table.for_model(part["id"], fold), part, settings, seed + fold)


def out_of_fold(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    fold: NDArray[np.integer],
    seed: int,
    settings: TrainingSettings | None = None,
) -> NDArray[np.float64]:
    """Log-odds of every training image from the model that saw neither it nor its patient.

    Parameters
    ----------
    table : (n, m) DataFrame
        Features, in the rows' order.
    rows : (n, ...) DataFrame
        id, label, target and patient.
    fold : (n,) array of int
        Any split by patient.
    seed : int
        Seed of the first fold's booster.
    settings : TrainingSettings, optional
        The defaults if missing.
    """
    raw = np.empty(len(rows))
    for k in range(fold.max() + 1):
        part = fold != k
        model = fit_model(table[part], rows[part], settings or TrainingSettings(), seed + k)
        raw[~part] = model.decision_function(table[~part])
    return raw


def has_splits(model: Classifier) -> bool:
    """Whether any tree of a model splits, so that its predictions differ between images."""
    return bool(model.booster_.feature_importance("split").any())
