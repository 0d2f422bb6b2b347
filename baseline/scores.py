"""Scores with their uncertainty: AUC, calibration and the challenge's Dice.

Every interval is a percentile bootstrap over patients, since images of one patient are not
independent (Efron and Tibshirani 1993).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

Floats = NDArray[np.float64]
REPLICATES = 1000


@dataclass(frozen=True)
class Estimate:
    """A score and its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks: 1 where both are empty, 0 where one is.

    Parameters
    ----------
    mask, truth : (h, w) arrays of bool
    """
    total = int(mask.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2 * int((mask & truth).sum()) / total


def auc(labels: Floats, scores: Floats) -> float:
    """Area under the ROC curve; NaN where only one class is present."""
    if len(np.unique(labels)) < 2:
        return float("nan")
    return float(roc_auc_score(labels, scores))


def bootstrap(
    score: Callable[[NDArray[np.intp]], float],
    patients: NDArray[np.object_],
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Estimate:
    """Score all images, and the 95% percentile interval over resampled patients.

    Parameters
    ----------
    score : callable
        Score of the images at the given indices (which may repeat); NaN if it cannot be judged.
    patients : (n,) array of str
        Patient of each image.
    replicates : int
        Number of resamples.
    seed : int
        Seed of the resampling.
    """
    codes = np.unique(patients.astype(str), return_inverse=True)[1]
    groups = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    rng = np.random.default_rng(seed)
    values = np.empty(replicates)
    for number in range(replicates):
        chosen = rng.integers(0, len(groups), len(groups))
        values[number] = score(np.concatenate([groups[index] for index in chosen]))
    if np.isnan(values).all():
        return Estimate(score(np.arange(len(patients))), float("nan"), float("nan"))
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return Estimate(score(np.arange(len(patients))), float(low), float(high))


def mean(values: Floats, patients: NDArray[np.object_]) -> Estimate:
    """Mean of one value an image, with its interval over resampled patients."""
    return bootstrap(lambda rows: float(values[rows].mean()), patients)


def verdict(
    labels: Floats, probabilities: Floats, patients: NDArray[np.object_]
) -> dict[str, Estimate]:
    """All scores of a verdict against true labels.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    probabilities : (n,) array in [0, 1]
    patients : (n,) array of str

    Returns
    -------
    dict of str to Estimate
        AUC, average precision and Brier score.
    """
    measures: dict[str, Callable[[Floats, Floats], float]] = {
        "auc": auc,
        "average_precision": lambda y, p: (
            float(average_precision_score(y, p)) if y.any() else float("nan")
        ),
        "brier": lambda y, p: float(brier_score_loss(y, p)),
    }

    def estimate(measure: Callable[[Floats, Floats], float]) -> Estimate:
        return bootstrap(lambda rows: measure(labels[rows], probabilities[rows]), patients)

    return {name: estimate(measure) for name, measure in measures.items()}
