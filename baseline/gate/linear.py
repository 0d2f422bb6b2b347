"""Penalised linear models on the gate's signals, as weights that can be written down."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = tuple[float, ...]

# Penalty on the weights of standardised signals, many of which are correlated; on siim-mini,
# penalties from 1 to 100 give the same scores within the intervals.
PENALTY = 3.0
# A signal with no larger deviation is constant.
CONSTANT = 1e-12


def weighed(weights: Weights, values: Floats) -> Floats:
    """Intercept and weighted sum of the signals, (n, m), of each image, (n,).

    No matrix product, since its last bit depends on the number of rows. A cutoff is the score of an
    image, and that image must get the same score alone as among others.
    """
    return weights[0] + (values * np.array(weights[1:])).sum(axis=1)


def logistic(values: Floats, labels: Floats) -> Weights:
    """Intercept and weights of log-odds, by penalised logistic regression.

    Parameters
    ----------
    values : (n, m) array
    labels : (n,) array of 0 and 1
    """
    from sklearn.linear_model import LogisticRegression  # slow to import, and only needed here

    scaled, centre, spread = _standardised(values)
    model = LogisticRegression(C=1 / PENALTY).fit(scaled, labels)
    return _unscaled(float(model.intercept_[0]), model.coef_[0], centre, spread)


def ridge(values: Floats, targets: Floats) -> Weights:
    """Intercept and weights by ridge regression.

    Parameters
    ----------
    values : (n, m) array
    targets : (n,) array
    """
    from sklearn.linear_model import Ridge

    scaled, centre, spread = _standardised(values)
    model = Ridge(alpha=PENALTY).fit(scaled, targets)
    return _unscaled(float(model.intercept_), model.coef_, centre, spread)


def _standardised(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Signals of mean 0 and deviation 1, their mean and deviation; a constant signal is 0."""
    centre, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.where(spread > CONSTANT, spread, np.inf)
    return (values - centre) / spread, centre, spread


def _unscaled(intercept: float, slopes: Floats, centre: Floats, spread: Floats) -> Weights:
    """Intercept and weights for signals as they are, from those for standardised ones."""
    weights = slopes / spread
    return (intercept - float(weights @ centre), *(float(w) for w in weights))
