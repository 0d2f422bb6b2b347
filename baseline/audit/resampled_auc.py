"""AUC with its interval over patients, for many scores of the same images.

The same as `baseline.learning.scores.bootstrap`, sample for sample; but a sample is kept as the
number of times that each image is in it, so that all samples of a score are counted at once.
"""

import numpy as np
from numpy.typing import NDArray

from baseline.learning.scores import Estimate

Floats = NDArray[np.float64]

# Bootstrap samples, and from how many images on there are fewer.
REPLICATES, MANY, FEWER = 500, 3000, 200


def weights(patients: NDArray[np.object_], seed: int = 0) -> NDArray[np.int64]:
    """How often each image is in each bootstrap sample of patients, (1 + samples, n).

    The first row is the images as they are, once each.

    Parameters
    ----------
    patients : (n,) array of str
    seed : int
    """
    codes = np.unique(patients.astype(str), return_inverse=True)[1]
    count, rng = int(codes.max()) + 1, np.random.default_rng(seed)
    drawn = [np.ones(len(codes), np.int64)]
    for _ in range(REPLICATES if len(codes) < MANY else FEWER):
        chosen = rng.integers(0, count, count)
        drawn.append(np.bincount(chosen, minlength=count)[codes])
    return np.stack(drawn)


def estimate(target: Floats, scored: Floats, weights: NDArray[np.int64]) -> Estimate:
    """AUC and its 95% percentile interval.

    Parameters
    ----------
    target : (n,) array of 0 and 1
    scored : (n,) array
    weights : (1 + samples, n) array
        See `weights`.
    """
    order = np.argsort(scored, kind="stable")
    starts = np.flatnonzero(np.diff(scored[order], prepend=-np.inf))
    positive = target[order] > 0.5
    # (1 + samples, distinct scores): images of each class with that score
    hits = np.add.reduceat(weights[:, order] * positive, starts, axis=1)
    others = np.add.reduceat(weights[:, order] * ~positive, starts, axis=1)
    # Pairs in the right order, ties counted by half.
    below = others.cumsum(axis=1) - others / 2
    with np.errstate(invalid="ignore"):  # a sample may lack a class
        values = (hits * below).sum(axis=1) / (hits.sum(axis=1) * others.sum(axis=1))
    if np.isnan(values[1:]).all():
        return Estimate(float(values[0]), float("nan"), float("nan"))
    low, high = np.nanpercentile(values[1:], (2.5, 97.5))
    return Estimate(float(values[0]), float(low), float(high))
