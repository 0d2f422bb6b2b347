"""Venn-Abers probabilities: a range that shows how much the calibration itself is in doubt.

The new image is calibrated twice among the known ones by isotonic regression, once as if it were
healthy and once as if it were not. One of the two is the calibrated probability that it truly has,
whatever the scores' distribution; the wider the range, the fewer known images are like it.

References
----------
Vovk and Petej, "Venn-Abers predictors", UAI 2014.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

Floats = NDArray[np.float64]


def probability_range(raw: float, known_labels: Floats, known_raw: Floats) -> tuple[float, float]:
    """The probabilities of a new image as if it were healthy, and as if it were not.

    Parameters
    ----------
    raw : float
        Its log-odds.
    known_labels, known_raw : (m,) arrays
        Truth (0 or 1) and out-of-fold log-odds of the known images.

    Returns
    -------
    low, high : float in [0, 1]
    """
    scores = np.append(known_raw, raw)
    order = np.argsort(scores, kind="stable")
    values, group = np.unique(scores[order], return_inverse=True)
    place = int(np.searchsorted(values, raw))
    weights = np.bincount(group).astype(float)
    both = []
    for label in (0.0, 1.0):
        labels = np.append(known_labels, label)[order]
        mean = np.bincount(group, labels) / weights
        both.append(float(isotonic_regression(mean, sample_weight=weights)[place]))
    return both[0], both[1]
