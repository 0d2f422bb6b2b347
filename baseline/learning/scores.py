"""Scores with their uncertainty: AUC, average precision, and the challenge's Dice.

Intervals are percentile bootstraps over patients, since images of one patient are not independent
(Efron and Tibshirani 1993); where no resample can differ, they are Wilson's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REPLICATES = 1000
# An image is called positive where a pneumothorax is at least as likely as not.
POSITIVE_FROM = 0.5
# 97.5% of a normal distribution lie below it.
Z95 = 1.959964


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
    """Area under the ROC curve: the share of pairs that are ordered rightly, ties counted by half.

    NaN where only one class is present. A hundred times faster than scikit-learn's, since a
    bootstrap computes it a thousand times.
    """
    positive, negative = scores[labels > 0.5], np.sort(scores[labels <= 0.5])
    if not len(positive) or not len(negative):
        return float("nan")
    below = np.searchsorted(negative, positive, "left").sum()
    upto = np.searchsorted(negative, positive, "right").sum()
    return float(below + upto) / (2 * len(positive) * len(negative))


def average_precision(labels: Floats, scores: Floats) -> float:
    """Mean precision over the positives, each at its own threshold; NaN without positives.

    As scikit-learn's, but fast enough for a bootstrap.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order] > 0.5)
    if not len(hits) or not hits[-1]:
        return float("nan")
    # Equal scores pass a threshold together.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(hits) - 1)
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / (last + 1)).sum() / hits[-1])


def resamples(
    patients: NDArray[np.object_], replicates: int = REPLICATES, seed: int = 0
) -> Iterator[NDArray[np.intp]]:
    """Yield the images of each bootstrap sample of patients, drawn with replacement."""
    codes = np.unique(patients.astype(str), return_inverse=True)[1]
    order, counts = np.argsort(codes, kind="stable"), np.bincount(codes, minlength=1)
    starts = np.cumsum(counts) - counts
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        chosen = rng.integers(0, len(counts), len(counts))
        drawn = counts[chosen]
        # A patient's images stand together in `order`.
        offset = starts[chosen] - (np.cumsum(drawn) - drawn)
        yield order[np.arange(drawn.sum()) + np.repeat(offset, drawn)]


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
        Score of the images at the given indices (which may repeat); NaN where there is none.
    patients : (n,) array of str
        Patient of each image.
    replicates : int
        Number of resamples.
    seed : int
        Seed of the resampling.
    """
    rows = resamples(patients, replicates, seed)
    values = np.array([score(chosen) for chosen in rows])
    if np.isnan(values).all():
        return Estimate(score(np.arange(len(patients))), float("nan"), float("nan"))
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return Estimate(score(np.arange(len(patients))), float(low), float(high))


def auc_estimate(labels: Floats, values: Floats, patients: NDArray[np.object_]) -> Estimate:
    """AUC of one value an image, with its interval over resampled patients."""
    return bootstrap(lambda rows: auc(labels[rows], values[rows]), patients)


def mean(values: Floats, patients: NDArray[np.object_]) -> Estimate:
    """Mean of one value an image, with its interval over resampled patients."""
    return bootstrap(lambda rows: float(values[rows].mean()), patients)


def wilson(share: Floats | float, count: Floats | int) -> tuple[Floats, Floats]:
    """Wilson's 95% interval of a share (JASA 22, 1927).

    Parameters
    ----------
    share : float or (n,) array in [0, 1]
        Observed share.
    count : int or (n,) array
        Number of independent draws.

    Returns
    -------
    low, high : floats or (n,) arrays in [0, 1]
    """
    scale = 1 + Z95**2 / count
    centre = (share + Z95**2 / (2 * count)) / scale
    half = Z95 * np.sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2)) / scale
    # The interval holds the share itself; rounding must not say otherwise.
    return np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)


def share(correct: Floats, patients: NDArray[np.object_]) -> Estimate:
    """Share of ones among 0 and 1, with its interval over patients.

    Where all images have the same value, so have all resamples, and the interval would have no
    width: there it is Wilson's, with one draw a patient.

    Parameters
    ----------
    correct : (n,) array of 0 and 1
    patients : (n,) array of str
    """
    estimate = mean(correct, patients)
    if 0 < estimate.value < 1:
        return estimate
    low, high = wilson(estimate.value, len(np.unique(patients.astype(str))))
    return Estimate(estimate.value, float(low), float(high))
