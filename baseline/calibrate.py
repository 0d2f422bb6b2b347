"""Calibration: log-odds of the model to honest probabilities (Platt 1999), fitted out of fold."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Probability = 1 / (1 + exp(-(slope * raw + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, raw: Floats) -> Floats:
        return expit(self.slope * np.asarray(raw) + self.intercept)

    def to_json(self) -> dict[str, float]:
        """As a JSON object."""
        return asdict(self)


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

    # A verdict that ranks worse than chance on a small sample is made flat, never turned round.
    best = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(0, None), (None, None)])
    return Calibration(float(best.x[0]), float(best.x[1]))


def cross_fit(raw: Floats, labels: Floats, folds: NDArray[np.integer]) -> Floats:
    """Calibrated probabilities, each by a calibration that did not see the image's fold.

    Parameters
    ----------
    raw : (n,) array
        Out-of-fold log-odds.
    labels : (n,) array
        1, 0, or NaN where the truth is unknown; such images are calibrated but teach nothing.
    folds : (n,) array of int

    Returns
    -------
    (n,) array in [0, 1]
    """
    known = ~np.isnan(labels)
    result = np.empty(len(raw))
    for fold in np.unique(folds):
        teaches = known & (folds != fold)
        result[folds == fold] = fit(raw[teaches], labels[teaches])(raw[folds == fold])
    return result
