"""What baseline/metrics.json holds: the classifier's scores with their 95% intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baseline.learning import calibrate, scores
from baseline.learning.scores import Estimate
from features.run import files
from features.run.folder import RunFolder

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassifierScores:
    """Scores against true labels.

    Parameters
    ----------
    images, positives, patients : int
        What was scored.
    auc, average_precision, brier : Estimate
    calibration_error, calibration_slope, calibration_intercept : Estimate or None
        See `calibrate.quality`; None where it cannot be estimated.
    left_out : int
        Images that are not scored, because the models learned from their patients.
    """

    images: int
    positives: int
    patients: int
    auc: Estimate
    average_precision: Estimate
    brier: Estimate
    calibration_error: Estimate | None = None
    calibration_slope: Estimate | None = None
    calibration_intercept: Estimate | None = None
    left_out: int = 0


@dataclass(frozen=True)
class Agreement:
    """How well the classifier ranks images with a weak label: no truth, so it is kept apart."""

    images: int
    auc: Estimate


@dataclass(frozen=True)
class ClassifierMetrics:
    """Scores of a trained classifier.

    Parameters
    ----------
    out_of_fold : ClassifierScores
        On the training images with a true label, each predicted by the model that has not seen it.
    agreement_with_weak_labels : Agreement or None
        None where the weak labels are missing or of one class.
    test : ClassifierScores or None
        On test images of unseen patients; None where their truth is unknown or of one class.
    """

    out_of_fold: ClassifierScores
    agreement_with_weak_labels: Agreement | None = None
    test: ClassifierScores | None = None


def read(run: RunFolder) -> ClassifierMetrics:
    """Read the scores of a run.

    Raises
    ------
    UserError
        If they are missing or of another form.
    """
    return files.read_record(run.classifier_metrics, ClassifierMetrics)


def score(
    labels: Floats, probabilities: Floats, patients: NDArray[np.object_], left_out: int = 0
) -> ClassifierScores:
    """Score probabilities against true labels.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    probabilities : (n,) array in [0, 1]
    patients : (n,) array of str
    left_out : int
        Images that are not among these, because the models learned from their patients.
    """

    def estimate(measure: Callable[[Floats, Floats], float]) -> Estimate:
        return scores.bootstrap(lambda rows: measure(labels[rows], probabilities[rows]), patients)

    quality = calibrate.quality(labels, probabilities, patients)
    return ClassifierScores(
        images=len(labels),
        positives=int(labels.sum()),
        patients=len(np.unique(patients.astype(str))),
        auc=estimate(scores.auc),
        average_precision=estimate(scores.average_precision),
        brier=estimate(lambda y, p: float(np.mean((p - y) ** 2))),
        calibration_error=quality.error,
        calibration_slope=quality.slope,
        calibration_intercept=quality.intercept,
        left_out=left_out,
    )
