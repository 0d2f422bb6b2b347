"""Operating points and triage, scored out of fold on the true labels.

Thresholds are chosen on the other folds. 95% intervals by bootstrap over patients.
"""

from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evaluation.results import OperatingPoint, Triage
from baseline.learning import conformal
from baseline.learning.scores import Estimate, share

Floats = NDArray[np.float64]

RATES = ("specificity", "sensitivity")
# Levels at which a rate is kept.
KEPT_AT = (0.80, 0.90, 0.95)


def threshold(labels: Floats, raw: Floats, specificity: float) -> float:
    """The least threshold that keeps this specificity, if what is above it is called positive."""
    negative = np.sort(raw[labels <= 0.5])
    # So many negatives must lie at the threshold or below it.
    needed = int(np.ceil(round(specificity * len(negative), 9)))
    return float(negative[max(needed, 1) - 1])


def called(
    labels: Floats, raw: Floats, fold: NDArray[np.integer], kept: str, level: float
) -> NDArray[np.bool_]:
    """Which images are called positive, by the threshold that keeps a rate on the other folds.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    raw : (n,) array
        Out-of-fold log-odds.
    fold : (n,) array of int
    kept : {"specificity", "sensitivity"}
        The rate to keep.
    level : float
        What to keep it at, in [0, 1].
    """
    positive = np.zeros(len(raw), bool)
    for number in np.unique(fold):
        inside, others = fold == number, fold != number
        if kept == "specificity":
            positive[inside] = raw[inside] > threshold(labels[others], raw[others], level)
        else:  # the classes change places
            positive[inside] = -raw[inside] <= threshold(1 - labels[others], -raw[others], level)
    return positive


def operating_points(rows: pd.DataFrame) -> list[OperatingPoint]:
    """Sensitivity and specificity at thresholds that are to keep one of them at a level.

    The thresholds are chosen on the other folds, so the rate is kept only approximately.

    Parameters
    ----------
    rows : DataFrame
        label, raw, fold and patient.
    """
    labels, raw = rows["label"].to_numpy(float), rows["raw"].to_numpy(float)
    fold, patients = rows["fold"].to_numpy(), rows["patient"].to_numpy(object)
    positive = labels > 0.5
    points = []
    for kept, level in product(RATES, KEPT_AT):
        correct = (called(labels, raw, fold, kept, level) == positive).astype(float)
        points.append(
            OperatingPoint(
                kept,
                level,
                sensitivity=share(correct[positive], patients[positive]),
                specificity=share(correct[~positive], patients[~positive]),
            )
        )
    return points


def triage(rows: pd.DataFrame) -> Triage:
    """How often triage errs, checked out of fold, and how many images it decides.

    Parameters
    ----------
    rows : DataFrame
        label, raw, fold, patient and flagged (by the quality gate).
    """
    labels, patients = rows["label"].to_numpy(float), rows["patient"].to_numpy(object)
    decision = conformal.cross_triage(
        labels,
        rows["raw"].to_numpy(float),
        rows["fold"].to_numpy(),
        conformal.ALPHA,
        rows["flagged"].to_numpy(bool),
    )
    every = np.ones(len(rows), bool)

    def rate(decided: int, among: NDArray[np.bool_]) -> Estimate:
        return share((decision[among] == decided).astype(float), patients[among])

    return Triage(
        conformal.ALPHA,
        positives_ruled_out=rate(conformal.RULE_OUT, labels > 0.5),
        negatives_ruled_in=rate(conformal.RULE_IN, labels <= 0.5),
        ruled_out=rate(conformal.RULE_OUT, every),
        referred=rate(conformal.REFER, every),
        ruled_in=rate(conformal.RULE_IN, every),
    )
