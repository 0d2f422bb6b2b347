"""Triage of a single X-ray, at the error rate of the run's shortcut checks."""

import numpy as np

from baseline.evaluation.results import read_shortcuts
from baseline.explanation.trained_run import TrainedRun
from baseline.learning import conformal
from features.quality.gate import Quality

DECISIONS = {
    conformal.RULE_OUT: "rule out",
    conformal.REFER: "refer to a reader",
    conformal.RULE_IN: "rule in",
}


def decide(
    trained: TrainedRun, fold: int | None, raw: float, quality: Quality | None = None
) -> str | None:
    """Rule out, refer or rule in, by the true labels of the other folds.

    An image that may be no frontal chest X-ray is referred, whatever its log-odds.

    Parameters
    ----------
    trained : TrainedRun
    fold : int or None
        Fold of the image; None if it belongs to none.
    raw : float
        Its log-odds before calibration.
    quality : Quality, optional
        What the quality gate says of it.

    Returns
    -------
    str or None
        None where `make shortcuts` was not run and the image is not flagged.
    """
    if quality is not None and quality.flagged:
        return f"{quality.words}: {DECISIONS[conformal.REFER]}"
    checks = read_shortcuts(trained.run, trained.oof)
    if checks is None:
        return None
    others = trained.oof["id"].isin(trained.training_ids(fold))
    known = trained.oof[others & trained.oof["label"].notna()]
    labels, known_raw = known["label"].to_numpy(float), known["raw"].to_numpy(float)
    alpha = checks.triage.alpha
    decision = int(conformal.triage(np.array([raw]), labels, known_raw, alpha)[0])
    return f"{DECISIONS[decision]} (stated error rate {alpha:.0%} of each class)"
