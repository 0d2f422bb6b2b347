"""What shortcuts.json and faithfulness.json hold, as records.

Both files carry the fingerprint of the predictions that were evaluated. A reader refuses results of
other predictions.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd

from baseline.explanation.trained_run import fingerprint
from baseline.learning.scores import Estimate
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder

# In place of a score, where there are fewer images than it needs.
TOO_FEW = "too few images"


@dataclass(frozen=True)
class Rate:
    """How many of some images are called correctly.

    Parameters
    ----------
    images, right : int
        Number of images, and of those called correctly.
    share : Estimate or None
        Their share in [0, 1]; None for too few images.
    """

    images: int
    right: int
    share: Estimate | None

    def __str__(self) -> str:
        share = TOO_FEW if self.share is None else str(self.share)
        return f"{self.right} of {self.images}: {share}"


@dataclass(frozen=True)
class Rates:
    """Sensitivity and specificity where a probability of 50% and more is called positive.

    Parameters
    ----------
    sensitivity : Rate
    specificity : Rate or None
        None for lesions of one size: an image without a lesion has no such size.
    """

    sensitivity: Rate
    specificity: Rate | None


@dataclass(frozen=True)
class Shortcut:
    """AUC of a classifier that learns from one shortcut alone."""

    name: str
    auc: Estimate


@dataclass(frozen=True)
class Subgroup:
    """Scores of a subgroup.

    Parameters
    ----------
    kind, name : str
        "sex", "view", "age" or "lesion", and which of them.
    positives, negatives : int
        Number of images.
    auc : Estimate or None
        None if either class has too few images.
    rates : Rates
    """

    kind: str
    name: str
    positives: int
    negatives: int
    auc: Estimate | None
    rates: Rates


@dataclass(frozen=True)
class OperatingPoint:
    """Both rates at the threshold that keeps one of them on the other folds.

    Parameters
    ----------
    kept : {"specificity", "sensitivity"}
        The rate that is kept.
    level : float
        What it is kept at, in [0, 1].
    sensitivity, specificity : Estimate
    """

    kept: str
    level: float
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class Triage:
    """How often triage errs, and how many images it decides.

    Parameters
    ----------
    alpha : float
        Stated error rate of each class.
    positives_ruled_out, negatives_ruled_in : Estimate
        Its errors, as shares of their class.
    ruled_out, referred, ruled_in : Estimate
        Shares of all images.
    """

    alpha: float
    positives_ruled_out: Estimate
    negatives_ruled_in: Estimate
    ruled_out: Estimate
    referred: Estimate
    ruled_in: Estimate


@dataclass(frozen=True)
class NetBenefit:
    """What alarms from a threshold on are worth, in true alarms an image.

    Parameters
    ----------
    threshold : float
        Probability from which an alarm is given.
    classifier : Estimate
    everybody : float
        If every image is an alarm.
    gain : Estimate
        The classifier's less the better one of everybody's and nobody's, image by image.
    """

    threshold: float
    classifier: Estimate
    everybody: float
    gain: Estimate


@dataclass(frozen=True)
class Shortcuts:
    """Content of shortcuts.json.

    Parameters
    ----------
    predictions : str
        Fingerprint of the predictions that were evaluated.
    classifier : Estimate
        AUC of the classifier.
    shortcuts : list of Shortcut
    permuted : Estimate
        AUC of classifiers that learned permuted labels.
    at_half : Rates
        Of all truly labelled images.
    subgroups : list of Subgroup
    operating_points : list of OperatingPoint
    triage : Triage
    decision_curve : list of NetBenefit
        Empty where it was made by a version that had none.
    """

    predictions: str
    classifier: Estimate
    shortcuts: list[Shortcut]
    permuted: Estimate
    at_half: Rates
    subgroups: list[Subgroup]
    operating_points: list[OperatingPoint]
    triage: Triage
    decision_curve: list[NetBenefit] = field(default_factory=list)


@dataclass(frozen=True)
class Side:
    """Collapsed lungs of one side, and in how many of them the reasons name this side."""

    collapsed: int
    named: int


@dataclass(frozen=True)
class Pointing:
    """The pointing game on the true positives.

    Parameters
    ----------
    images : int
        Number of true positives.
    zone, zone_chance : Estimate
        How often the finest zone with the largest contribution touches the pneumothorax, and how
        often a random pixel of the lungs lies in a zone that does.
    lung : Estimate
        How often the lung with the larger contribution is the collapsed one.
    right, left : Side
    balanced : Estimate or None
        Mean of both sides' shares of named lungs; None if only one side was ever collapsed.
    """

    images: int
    zone: Estimate
    zone_chance: Estimate
    lung: Estimate
    right: Side
    left: Side
    balanced: Estimate | None


@dataclass(frozen=True)
class Deletion:
    """How far the raw score moves if measures are set to the training median, in log-odds.

    Parameters
    ----------
    sizes : list of int
        Numbers of deleted measures.
    top, random : list of float
        Mean absolute change by size: of the measures with the largest SHAP values, of random ones.
    top_mean, random_mean, gain : Estimate
        Means over all sizes, and that of the difference.
    """

    sizes: list[int]
    top: list[float]
    random: list[float]
    top_mean: Estimate
    random_mean: Estimate
    gain: Estimate


@dataclass(frozen=True)
class Stability:
    """Mean rank correlation of the fold models' SHAP sums, by place and by family."""

    place: Estimate
    family: Estimate


@dataclass(frozen=True)
class Faithfulness:
    """Content of faithfulness.json.

    Parameters
    ----------
    predictions : str
        Fingerprint of the predictions that were evaluated.
    pointing : Pointing or None
        None if there is no true positive.
    deletion : Deletion
    stability : Stability
    """

    predictions: str
    pointing: Pointing | None
    deletion: Deletion
    stability: Stability


Results = TypeVar("Results", Shortcuts, Faithfulness)


def read_shortcuts(run: RunFolder, predicted: pd.DataFrame) -> Shortcuts | None:
    """The shortcut checks of a run; None if they were not made.

    Parameters
    ----------
    run : RunFolder
    predicted : DataFrame
        The run's predictions, see `fingerprint`.

    Raises
    ------
    UserError
        If they are of other predictions or of another version.
    """
    return _read(run.shortcuts, Shortcuts, predicted)


def read_faithfulness(run: RunFolder, predicted: pd.DataFrame) -> Faithfulness | None:
    """How faithful the reasons of a run are; None if that was not evaluated.

    Parameters
    ----------
    run : RunFolder
    predicted : DataFrame
        The run's predictions, see `fingerprint`.

    Raises
    ------
    UserError
        If it is of other predictions or of another version.
    """
    return _read(run.faithfulness, Faithfulness, predicted)


def _read(path: Path, kind: type[Results], predicted: pd.DataFrame) -> Results | None:
    if not path.exists():
        return None
    results = files.read_record(path, kind)
    if results.predictions != fingerprint(predicted):
        raise UserError(f"{path}: results of other predictions; run `make {path.stem}` again.")
    return results
