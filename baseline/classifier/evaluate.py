"""Scores of the trained classifier: out of fold on true labels, and on the test set."""

import numpy as np
import pandas as pd

from baseline.learning import metrics, scores
from baseline.learning.metrics import Agreement, ClassifierMetrics, ClassifierScores
from baseline.learning.predictions import with_truth

# Scores printed below the AUC.
FURTHER = (
    "average_precision",
    "brier",
    "calibration_error",
    "calibration_slope",
    "calibration_intercept",
)


def evaluate(predicted: pd.DataFrame, truth: pd.DataFrame | None) -> ClassifierMetrics:
    """Score predictions, with 95% intervals.

    The weak labels are no truth; agreement with them is reported under its own name. Test images of
    patients from whom the models learned are left out and counted.

    Parameters
    ----------
    predicted : DataFrame
        As `RunFolder.oof` has them, of all measured images.
    truth : DataFrame or None
        id and mask of the test images, if known.
    """
    known = predicted[(predicted["kind"] == "oof") & predicted["label"].notna()]
    return ClassifierMetrics(
        out_of_fold=_scores(known, known["label"]),
        agreement_with_weak_labels=_agreement(predicted[predicted["weak"].notna()]),
        test=None if truth is None else _test_scores(predicted, truth),
    )


def _scores(rows: pd.DataFrame, labels: pd.Series, left_out: int = 0) -> ClassifierScores:
    return metrics.score(
        labels.to_numpy(float),
        rows["probability"].to_numpy(float),
        rows["patient"].to_numpy(object),
        left_out,
    )


def _agreement(rows: pd.DataFrame) -> Agreement | None:
    """AUC against weak labels; None where they are of one class."""
    if (rows["weak"] > 0.5).nunique() < 2:
        return None
    hard = np.asarray(rows["weak"] > 0.5, float)
    raw, patients = rows["raw"].to_numpy(float), rows["patient"].to_numpy(object)
    return Agreement(len(rows), scores.auc_estimate(hard, raw, patients))


def _test_scores(predicted: pd.DataFrame, truth: pd.DataFrame) -> ClassifierScores | None:
    training_patients = predicted["patient"][predicted["kind"] == "oof"]
    test = with_truth(predicted, truth, training_patients)
    # A test set of one class has no AUC.
    if test["label"].nunique() < 2:
        return None
    return _scores(test, test["label"], int(predicted["id"].isin(truth["id"]).sum()) - len(test))


def report(result: ClassifierMetrics) -> str:
    """The scores as lines of text."""
    lines = [_line("out of fold", result.out_of_fold)]
    if (agreement := result.agreement_with_weak_labels) is not None:
        lines.append(f"agreement with weak labels: {agreement.images} images, AUC {agreement.auc}")
    if result.test is not None:
        lines.append(_line("test", result.test))
    return "\n".join(lines)


def _line(name: str, result: ClassifierScores) -> str:
    without = (
        f" (without {result.left_out} of patients in the training set)" if result.left_out else ""
    )
    lines = [f"{name}: {result.images} images{without}, AUC {result.auc}"]
    estimates = {score: getattr(result, score) for score in FURTHER}
    lines += [
        f"  {score.replace('_', ' ')}: {estimate}"
        for score, estimate in estimates.items()
        if estimate is not None
    ]
    return "\n".join(lines)
