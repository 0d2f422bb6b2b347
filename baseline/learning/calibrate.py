"""Calibration: turns the model's log-odds into probabilities (Platt 1999), fitted out of fold.

It also measures how well probabilities are calibrated: the slope and intercept that they would
still need, and how far they lie from the observed shares.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from baseline.learning import scores
from baseline.learning.scores import Estimate

Floats = NDArray[np.float64]

# Images in a bin of the calibration error, and the most bins.
BIN, MOST_BINS = 25, 15
# Probabilities are cut off here from 0 and 1, where log-odds are infinite.
NEAREST = 1e-6
# Most steps of Newton's method.
STEPS = 25
# Where the probabilities (nearly) separate a sample, no finite slope is the best.
STEEPEST = 10.0


@dataclass(frozen=True)
class Calibration:
    """Probability = 1 / (1 + exp(-(slope * raw + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, raw: Floats) -> Floats:
        return expit(self.slope * np.asarray(raw) + self.intercept)


def fit(raw: Floats, labels: Floats) -> Calibration:
    """Fit slope and intercept by maximum likelihood on Platt's softened targets.

    Parameters
    ----------
    raw : (n,) array
        Out-of-fold log-odds.
    labels : (n,) array of 0 and 1
        True labels.
    """
    positives = labels.sum()
    negatives = len(labels) - positives
    # Platt's targets keep the probabilities off 0 and 1 where a small sample is separable.
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    target = np.where(labels > 0.5, high, low)

    def loss(theta: Floats) -> tuple[float, Floats]:
        z = theta[0] * raw + theta[1]
        error = expit(z) - target
        return float(np.sum(np.logaddexp(0, z) - target * z)), np.array([error @ raw, error.sum()])

    # Where the ranking is worse than chance on a small sample, the slope is 0, never negative.
    best = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(0, None), (None, None)])
    return Calibration(float(best.x[0]), float(best.x[1]))


def cross_fit(raw: Floats, labels: Floats, folds: NDArray[np.integer]) -> Floats:
    """Calibrated probabilities, each by a calibration that did not see the image's fold.

    Parameters
    ----------
    raw : (n,) array
        Out-of-fold log-odds.
    labels : (n,) array
        1, 0, or NaN where the truth is unknown; such images are calibrated, but not learned from.
    folds : (n,) array of int

    Returns
    -------
    (n,) array in [0, 1]
    """
    known = ~np.isnan(labels)
    result = np.empty(len(raw))
    for fold in np.unique(folds):
        others = known & (folds != fold)
        result[folds == fold] = fit(raw[others], labels[others])(raw[folds == fold])
    return result


@dataclass(frozen=True)
class Quality:
    """How well probabilities are calibrated; None for what cannot be estimated.

    Parameters
    ----------
    error : Estimate or None
        See `calibration_error`.
    slope : Estimate or None
        Of the log-odds: 1 at best, below 1 where the probabilities are too extreme, at most 10.
    intercept : Estimate or None
        What the log-odds lack on average, 0 at best (Cox 1958; Van Calster et al., BMC Medicine 17,
        2019).
    """

    error: Estimate | None
    slope: Estimate | None
    intercept: Estimate | None


def quality(labels: Floats, probabilities: Floats, patients: NDArray[np.object_]) -> Quality:
    """How well probabilities are calibrated, with 95% intervals by bootstrap over patients.

    Equal probabilities, or labels of one class, have no slope or no intercept.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    probabilities : (n,) array in [0, 1]
    patients : (n,) array of str
    """
    log_odds = logit(np.clip(probabilities, NEAREST, 1 - NEAREST))

    def slope(rows: NDArray[np.intp]) -> float:
        design = np.stack((log_odds[rows], np.ones(len(rows))), axis=1)
        return float(min(_logistic(design, np.zeros(len(rows)), labels[rows])[0], STEEPEST))

    def intercept(rows: NDArray[np.intp]) -> float:
        return float(_logistic(np.ones((len(rows), 1)), log_odds[rows], labels[rows])[0])

    return Quality(
        error=_if_finite(calibration_error(labels, probabilities, patients)),
        slope=_if_finite(scores.bootstrap(slope, patients)),
        intercept=_if_finite(scores.bootstrap(intercept, patients)),
    )


def _if_finite(estimate: Estimate) -> Estimate | None:
    finite = np.isfinite((estimate.value, estimate.low, estimate.high)).all()
    return estimate if finite else None


def calibration_error(
    labels: Floats, probabilities: Floats, patients: NDArray[np.object_]
) -> Estimate:
    """Expected calibration error in the L2 norm: root of the mean squared gap, less its bias.

    A gap is the difference between mean probability and observed share in one of several bins of
    equal counts. Observed shares of a few images differ by chance, so the norm of the gaps is above
    0 for a perfectly calibrated model too (Kumar et al., "Verified uncertainty calibration",
    NeurIPS 2019). A bootstrap over patients shows how large this chance part is: it is the distance
    of a resample's gaps from the sample's, and its mean square is subtracted.

    The interval is the norm of the sample's gaps, plus and minus the distance that 95% of the
    resamples do not exceed. By the triangle inequality it holds the true norm at least as often,
    and always the estimate. (Percentiles of the resamples' own norms would count the chance part
    twice, and might miss the estimate.) Gaps within a bin that cancel out are not seen.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    probabilities : (n,) array in [0, 1]
    patients : (n,) array of str
    """
    order = np.argsort(probabilities, kind="stable")
    count = int(np.clip(len(order) // BIN, 1, MOST_BINS))
    bins = np.empty(len(order), np.intp)
    for number, part in enumerate(np.array_split(order, count)):
        bins[part] = number
    gap = probabilities - labels

    def gaps(rows: NDArray[np.intp]) -> Floats:
        sums = np.bincount(bins[rows], gap[rows], count)
        return sums / np.maximum(np.bincount(bins[rows], minlength=count), 1)

    sample = gaps(order)
    chance = np.array([_norm(gaps(rows) - sample) for rows in scores.resamples(patients)])
    norm, reach = _norm(sample), float(np.percentile(chance, 95))
    value = np.sqrt(max(norm**2 - float(np.mean(chance**2)), 0.0))
    return Estimate(float(value), max(norm - reach, 0.0), norm + reach)


def _norm(gaps: Floats) -> float:
    return float(np.sqrt(np.mean(gaps**2)))


def _logistic(design: Floats, offset: Floats, labels: Floats) -> Floats:
    """Maximum-likelihood coefficients of a logistic regression by Newton's method.

    NaN where there is none: one class only, or columns that depend on one another.
    """
    theta = np.zeros(design.shape[1])
    if labels.min() == labels.max():
        return theta * np.nan
    for _ in range(STEPS):
        p = expit(design @ theta + offset)
        hessian = (design.T * (p * (1 - p))) @ design
        if np.linalg.cond(hessian) > 1e10:
            return theta * np.nan
        step = np.linalg.solve(hessian, design.T @ (labels - p))
        theta = theta + step
        if np.abs(step).max() < 1e-8:
            break
    return theta
