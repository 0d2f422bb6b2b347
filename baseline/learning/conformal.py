"""Triage by class-conditional conformal prediction: rule out, refer to a reader, or rule in.

A class is excluded where its p-value is at most alpha, so at most a share of about alpha of the
positives is ruled out, and of the negatives ruled in (Vovk et al., "Algorithmic learning in a
random world", 2005; class-conditional as in Vovk 2012, cross-conformal as in Vovk 2015).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Stated error rate of each class: positives ruled out, negatives ruled in.
ALPHA = 0.10
RULE_OUT, REFER, RULE_IN = -1, 0, 1


def triage(raw: Floats, known_labels: Floats, known_raw: Floats, alpha: float = ALPHA) -> Floats:
    """Decide on new images, by images whose truth is known.

    Parameters
    ----------
    raw : (n,) array
        Log-odds of the new images.
    known_labels, known_raw : (m,) arrays
        Truth (0 or 1) and out-of-fold log-odds of the known ones.
    alpha : float
        Stated error rate of each class.

    Returns
    -------
    (n,) array
        `RULE_OUT`, `REFER` or `RULE_IN`.
    """
    positive = np.sort(known_raw[known_labels > 0.5])
    negative = np.sort(known_raw[known_labels <= 0.5])
    # p-values: the share of a class, this image counted, that looks at least as unlike the class.
    as_positive = (np.searchsorted(positive, raw, "right") + 1) / (len(positive) + 1)
    above = len(negative) - np.searchsorted(negative, raw, "left")
    as_negative = (above + 1) / (len(negative) + 1)
    # Where both classes are excluded, the image is like neither and is referred too.
    return (as_negative <= alpha).astype(float) - (as_positive <= alpha)


def cross_triage(
    labels: Floats,
    raw: Floats,
    fold: NDArray[np.integer],
    alpha: float = ALPHA,
    flagged: NDArray[np.bool_] | None = None,
) -> Floats:
    """Decide on the images of each fold, by the images of the other folds.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    raw : (n,) array
        Out-of-fold log-odds.
    fold : (n,) array of int
    alpha : float
        Stated error rate of each class.
    flagged : (n,) array of bool, optional
        Images that may be no frontal chest X-rays: they are referred, whatever their log-odds.

    Returns
    -------
    (n,) array
        `RULE_OUT`, `REFER` or `RULE_IN`.
    """
    decisions = np.zeros(len(raw))
    for number in np.unique(fold):
        inside = fold == number
        decisions[inside] = triage(raw[inside], labels[~inside], raw[~inside], alpha)
    if flagged is not None:
        decisions[flagged] = REFER
    return decisions
