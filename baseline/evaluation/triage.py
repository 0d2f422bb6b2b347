"""Triage of a single X-ray, at the error rate of the run's shortcut checks."""

import numpy as np
from numpy.typing import NDArray

from baseline.evaluation.results import read_shortcuts
from baseline.explanation.trained_run import TrainedRun
from baseline.learning import conformal
from features.quality.gate import Quality

Floats = NDArray[np.float64]

DECISIONS = {
    conformal.RULE_OUT: "rule out",
    conformal.REFER: "refer to a reader",
    conformal.RULE_IN: "rule in",
}


def error_rate(trained: TrainedRun) -> float | None:
    """The error rate of each class that the run's triage states; None if it was not checked."""
    checks = read_shortcuts(trained.run, trained.oof)
    return None if checks is None else checks.triage.alpha


def decide(
    raw: float,
    known: tuple[Floats, Floats],
    alpha: float | None,
    quality: Quality | None = None,
) -> str | None:
    """Rule out, refer or rule in, by the true labels of images that the models have not seen.

    An image that may be no frontal chest X-ray is referred, whatever its log-odds.

    Parameters
    ----------
    raw : float
        Its log-odds before calibration.
    known : two (m,) arrays
        Labels and log-odds of the images whose truth is known, as of `StudyModels.known`.
    alpha : float or None
        Error rate of each class, as of `error_rate`.
    quality : Quality, optional
        What the quality gate says of it.

    Returns
    -------
    str or None
        None where there is no error rate and the image is not flagged.
    """
    if quality is not None and quality.flagged:
        return f"{quality.words}: {DECISIONS[conformal.REFER]}"
    if alpha is None:
        return None
    decision = int(conformal.triage(np.array([raw]), *known, alpha)[0])
    return f"{DECISIONS[decision]} (stated error rate {alpha:.0%} of each class)"
