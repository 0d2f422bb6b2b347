"""The classifier: LightGBM on named features, behind scikit-learn's estimator contract.

Labels may be soft (probabilities from another classifier), so the loss is the cross-entropy of a
probability. Every tree sees a small random part of the features, since many are nearly redundant.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from features.dataset import folds
from features.run import digests
from features.run.files import UserError

Floats = NDArray[np.float64]

# Parts of the training images on which early stopping counts the rounds.
INNER_FOLDS = 3


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What decides how a classifier is trained; `make tune` searches for better ones."""

    rounds: int = 1500
    """Number of boosted trees; with early stopping, the most."""
    patience: int = 0
    """Stop after so many rounds without gain on left-out patients of the training images; 0 for a
    fixed number of rounds."""
    learning_rate: float = 0.03
    """Shrinkage of each tree."""
    leaves: int = 8
    """Most leaves of a tree."""
    leaf_size: int = 20
    """Fewest images in a leaf."""
    feature_share: float = 0.03
    """Share of the features that each tree may use; it may always use as many as it has leaves."""
    row_share: float = 0.7
    """Share of the images that each tree sees."""
    l2: float = 5.0
    """L2 penalty on leaf values."""


class Classifier(ClassifierMixin, BaseEstimator):
    """LightGBM classifier of feature tables.

    Parameters
    ----------
    rounds, patience, learning_rate, leaves, leaf_size, feature_share, row_share, l2
        See `Parameters`.
    seed : int
        Seed of the sampling.
    """

    def __init__(
        self,
        rounds: int = Parameters.rounds,
        patience: int = Parameters.patience,
        learning_rate: float = Parameters.learning_rate,
        leaves: int = Parameters.leaves,
        leaf_size: int = Parameters.leaf_size,
        feature_share: float = Parameters.feature_share,
        row_share: float = Parameters.row_share,
        l2: float = Parameters.l2,
        seed: int = 0,
    ) -> None:
        self.rounds = rounds
        self.patience = patience
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.leaf_size = leaf_size
        self.feature_share = feature_share
        self.row_share = row_share
        self.l2 = l2
        self.seed = seed

    def fit(
        self,
        X: pd.DataFrame,
        y: Floats,
        sample_weight: Floats | None = None,
        groups: NDArray[np.object_] | None = None,
    ) -> Self:
        """Fit to a feature table.

        Parameters
        ----------
        X : (n, m) DataFrame
            Features named by the registry.
        y : (n,) array in [0, 1]
            Labels, hard or soft.
        sample_weight : (n,) array, optional
            Weight of each image.
        groups : (n,) array of str, optional
            Patient of each image, for early stopping; each image is its own if missing.

        Raises
        ------
        UserError
            If the labels are of one class only, or not in [0, 1].
        """
        labels = np.asarray(y, float)
        weights = (
            np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight, float)
        )
        if not ((labels >= 0) & (labels <= 1)).all():
            raise UserError("labels: every label must be a number from 0 to 1, and one is not.")
        if (labels > 0.5).all() or (labels <= 0.5).all():
            raise UserError(
                "labels: all images are of one class; a classifier needs images with and without "
                "pneumothorax in every training part, so add images or use fewer folds."
            )
        self.rounds_ = self.rounds
        if self.patience > 0:
            patients = np.arange(len(labels)).astype(object) if groups is None else groups
            self.rounds_ = self._count_rounds(X, labels, weights, patients)
        data = lgb.Dataset(X, label=labels, weight=weights, free_raw_data=True)
        self.booster_ = lgb.train(self._parameters(X), data, num_boost_round=self.rounds_)
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.classes_ = np.array([0, 1])
        return self

    def _parameters(self, X: pd.DataFrame) -> dict[str, object]:
        """The parameters under LightGBM's names."""
        # If there are few features, a small share would be one feature, and no tree could use two.
        least = min(1.0, self.leaves / max(X.shape[1], 1))
        return {
            "objective": "cross_entropy",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.leaf_size,
            "feature_fraction": max(self.feature_share, least),
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "max_bin": 63,
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }

    def _count_rounds(
        self, X: pd.DataFrame, labels: Floats, weights: Floats, patients: NDArray[np.object_]
    ) -> int:
        """Rounds after which the mean loss on left-out patients of the training images is least.

        The model is then fitted to all images with so many rounds.
        """
        fold = folds.assign((labels > 0.5).astype(int), patients, INNER_FOLDS, self.seed)
        parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(INNER_FOLDS)]
        history = lgb.cv(
            self._parameters(X),
            lgb.Dataset(X, label=labels, weight=weights),
            num_boost_round=self.rounds,
            folds=parts,
            callbacks=[lgb.early_stopping(self.patience, verbose=False)],
        )
        return len(history["valid cross_entropy-mean"])

    def decision_function(self, X: pd.DataFrame) -> Floats:
        """Log-odds of a pneumothorax, shape (n,)."""
        check_is_fitted(self)
        return raw_scores(self.booster_, X)

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Probabilities of no and of a pneumothorax, shape (n, 2); not calibrated."""
        positive = expit(self.decision_function(X))
        return np.stack((1 - positive, positive), axis=1)

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:
        """1 where a pneumothorax is more likely than not, shape (n,)."""
        return (self.decision_function(X) > 0).astype(np.int64)


def raw_scores(booster: lgb.Booster, table: pd.DataFrame) -> Floats:
    """Log-odds that a booster gives to a feature table.

    Raises
    ------
    UserError
        If the table lacks a feature that the booster was trained on.
    """
    # "cross_entropy" predicts probabilities; the raw score is their log-odds.
    return np.asarray(booster.predict(in_order(booster, table), raw_score=True), float)


def in_order(booster: lgb.Booster, table: pd.DataFrame) -> NDArray[np.floating]:
    """Columns of a feature table in the order of a booster's features.

    LightGBM checks the columns of a DataFrame one by one, which takes longer than to predict an
    image.

    Raises
    ------
    UserError
        If the table lacks a feature that the booster was trained on.
    """
    names = feature_names(booster)
    columns = table.columns.get_indexer(pd.Index(names))
    if (columns < 0).any():
        missing = min(np.array(names)[columns < 0])
        raise UserError(
            f"feature table: {str(missing)!r} is missing, which the model was trained on; measure "
            "the features again with the same families."
        )
    return table.to_numpy()[:, columns]


@lru_cache(maxsize=64)
def feature_names(booster: lgb.Booster) -> tuple[str, ...]:
    """Names of a booster's features; LightGBM copies them anew at each call."""
    return tuple(booster.feature_name())


def load(path: Path, maker: str = "classifier") -> lgb.Booster:
    """Read a booster from LightGBM's own text, if it is whole.

    Parameters
    ----------
    path : Path
    maker : str
        The make target that writes it.

    Raises
    ------
    UserError
        If the file is missing, or is not the one that was written: LightGBM would end the process.
    """
    return lgb.Booster(model_str=digests.read_text(path, maker))
