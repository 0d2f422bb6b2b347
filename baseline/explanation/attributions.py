"""Exact SHAP values of the classifier in log-odds, and their sums by measure, family and zone.

SHAP values (Lundberg et al. 2020) share out the difference between an image's raw score and the
model's base value among the features, so that base + values = score to the last digit. An image is
explained by the very models that predict it: an out-of-fold image by the one fold model that has
seen neither it nor its patient, a deployed one by the mean over all fold models. That is exact too,
because the mean is taken in the same space as the score's.

References
----------
Lundberg et al., "From local explanations to global understanding with explainable AI for trees",
Nature Machine Intelligence 2, 2020.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.explanation import tree_shap
from baseline.learning.estimator import feature_names, in_order, raw_scores
from baseline.learning.feature_table import FeatureTable
from features.families import registry
from features.lungs.zones import NAMES, SIDES, ZONES

Floats = NDArray[np.float64]

# Where a contribution can lie: the zones of each lung, or "image" for what belongs to no zone.
PLACES = (*NAMES, "image")

# Largest difference between a raw score and base + values that rounding may explain.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Explanation:
    """SHAP values of some images.

    Parameters
    ----------
    ids : (n,) array of str
        Images.
    names : tuple of str
        Features, m of them.
    base : (n,) array
        Score before any feature is known, in log-odds: that of the models that predict the image.
    values : (n, m) array
        Contribution of each feature to the score, in log-odds.
    """

    ids: NDArray[np.object_]
    names: tuple[str, ...]
    base: Floats
    values: Floats

    @property
    def scores(self) -> Floats:
        """Raw scores that the values add up to, shape (n,)."""
        return self.base + self.values.sum(axis=1)


def shap_module() -> ModuleType:
    """The shap package; its import takes seconds, so it waits until it is needed.

    While it is imported, it calls a function that matplotlib will deprecate; that is no warning
    for our user.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap


def values_of(booster: lgb.Booster, table: pd.DataFrame) -> tuple[float, Floats]:
    """SHAP values of one booster.

    Parameters
    ----------
    booster : Booster
    table : (n, m) DataFrame, n > 0
        Features by name; their order is free.

    Returns
    -------
    base : float
    values : (n, m) array
        In the order of the booster's own features.

    Raises
    ------
    UserError
        If the table lacks a feature of the booster.
    ArithmeticError
        If base and values do not add up to the raw score.
    """
    scores = raw_scores(booster, table)
    base, values = tree_shap.shap_values(booster, in_order(booster, table))
    gap = np.abs(base + values.sum(axis=1) - scores).max()
    if not gap <= TOLERANCE:
        raise ArithmeticError(f"SHAP values miss the raw score by {gap:.3g}")
    return base, values


def explain_model(
    booster: lgb.Booster, table: FeatureTable, ids: pd.Index, fold: int
) -> Explanation:
    """Explain images by the model of one fold, whatever their own.

    Parameters
    ----------
    booster : Booster
    table : FeatureTable
    ids : (n,) Index of str
        The images.
    fold : int
        The fold that is held out from the booster.
    """
    base, values = values_of(booster, table.for_model(ids, fold))
    names = feature_names(booster)
    return Explanation(ids.to_numpy(object), names, np.full(len(ids), base), values)


def explain(boosters: Sequence[lgb.Booster], table: FeatureTable, fold: pd.Series) -> Explanation:
    """Explain images by the models that predict them.

    Parameters
    ----------
    boosters : sequence of Booster
        One a fold, all trained on the same features.
    table : FeatureTable
    fold : (n,) Series of Int64
        Fold of each image, indexed by image id; missing for an image of no fold, which is explained
        by the mean over the folds.
    """
    names = feature_names(boosters[0])
    base = np.zeros(len(fold))
    values = np.zeros((len(fold), len(names)))
    deployed = fold.isna().to_numpy(bool)
    for number, booster in enumerate(boosters):
        # All images of the booster at once, since its trees are then read once.
        rows = (fold == number).fillna(False).to_numpy(bool) | deployed
        if rows.any():
            weight = np.where(deployed[rows], 1 / len(boosters), 1.0)
            part = explain_model(booster, table, fold.index[rows], number)
            base[rows] += weight * part.base
            values[rows] += weight[:, None] * part.values
    return Explanation(fold.index.to_numpy(object), names, base, values)


def calibrated(explanation: Explanation, slopes: Floats, intercepts: Floats) -> Explanation:
    """The same in calibrated log-odds, so that what adds up is the printed probability.

    Parameters
    ----------
    explanation : Explanation
        In raw log-odds.
    slopes, intercepts : (n,) arrays
        Of each image's `calibrate.Calibration`.
    """
    base = slopes * explanation.base + intercepts
    return replace(explanation, base=base, values=slopes[:, None] * explanation.values)


def sums(explanation: Explanation, by: str) -> pd.DataFrame:
    """Sum SHAP values over groups of features; no feature is dropped or counted twice.

    Parameters
    ----------
    explanation : Explanation
    by : {"family", "zone", "measure"}
        Part of the feature's name. Zone "image" holds what belongs to no zone of the lung.

    Returns
    -------
    (n, k) DataFrame
        Indexed by image id, one column a group in order of first appearance.
    """
    keys = pd.Index([getattr(registry.describe(name), by) for name in explanation.names])
    codes, groups = pd.factorize(keys)
    member = np.zeros((len(keys), len(groups)))
    member[np.arange(len(keys)), codes] = 1.0
    return pd.DataFrame(explanation.values @ member, index=explanation.ids, columns=groups)


def importance(explanation: Explanation) -> pd.Series:
    """Mean absolute SHAP value of each feature, largest first."""
    mean = np.abs(explanation.values).mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    return pd.Series(mean[order], index=np.array(explanation.names, object)[order])


def parts(names: tuple[str, ...], right: Floats, place: str) -> Floats:
    """Which part of each feature lies in a place.

    Parameters
    ----------
    names : tuple of str
        Features, m of them.
    right : (..., m) array
        The right lung's shares, from `Reference.right_shares`.
    place : str
        One of `PLACES`.

    Returns
    -------
    (..., m) array in [0, 1]
        Over all places, the parts of a feature sum to 1.
    """
    zones = _zones_of(names)
    side, _, part = place.partition("_")
    if side not in SIDES:
        return np.broadcast_to(~np.isin(zones, (*NAMES, *ZONES)), right.shape).astype(float)
    one_sided = (zones == place).astype(float)
    return one_sided + (zones == part) * (right if side == SIDES[0] else 1 - right)


@cache
def _zones_of(names: tuple[str, ...]) -> NDArray[np.object_]:
    return np.array([registry.describe(name).zone for name in names], object)


def by_place(explanation: Explanation, right: Floats) -> pd.DataFrame:
    """SHAP values summed by place in the lungs, without loss.

    Parameters
    ----------
    explanation : Explanation
    right : (n, m) array
        The right lung's shares, from `Reference.right_shares`.

    Returns
    -------
    (n, places) DataFrame
        Log-odds, indexed by image id, one column each of `PLACES`.
    """
    columns = {
        place: (explanation.values * parts(explanation.names, right, place)).sum(axis=1)
        for place in PLACES
    }
    return pd.DataFrame(columns, index=explanation.ids)
