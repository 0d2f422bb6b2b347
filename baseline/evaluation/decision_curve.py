"""Decision curve: what acting on the probability is worth, threshold by threshold.

Who acts from a probability of t on holds a missed pneumothorax (1 - t) / t times as bad as a false
alarm. So weighed, the net benefit is the share of true alarms, less t / (1 - t) times that of false
ones. It is compared with treating everybody as positive, and with treating nobody, which is worth
0. Treating stands for whatever an alarm leads to, such as a reader's look at once.

References
----------
Vickers and Elkin, "Decision curve analysis", Medical Decision Making 26, 2006.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evaluation.results import NetBenefit
from baseline.learning import scores

Floats = NDArray[np.float64]

# Thresholds: from one alarm in fifty to more often right than not.
THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)


def worth(labels: Floats, is_alarm: NDArray[np.bool_], threshold: float) -> Floats:
    """What acting on each image is worth, (n,); the mean is the net benefit.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    is_alarm : (n,) array of bool
    threshold : float
        Probability from which alarms are given, above 0 and below 1.
    """
    odds = threshold / (1 - threshold)
    return np.where(is_alarm, np.where(labels > 0.5, 1.0, -odds), 0.0)


def decision_curve(rows: pd.DataFrame) -> list[NetBenefit]:
    """Net benefit by threshold, out of fold on the true labels, per image.

    Parameters
    ----------
    rows : DataFrame
        label, probability (calibrated on the other folds) and patient.
    """
    labels, patients = rows["label"].to_numpy(float), rows["patient"].to_numpy(object)
    probability = rows["probability"].to_numpy(float)
    curve = []
    for threshold in THRESHOLDS:
        model = worth(labels, probability >= threshold, threshold)
        everybody = worth(labels, np.ones(len(rows), bool), threshold)
        simple = everybody if everybody.mean() > 0 else np.zeros(len(rows))
        curve.append(
            NetBenefit(
                threshold,
                scores.mean(model, patients),
                float(everybody.mean()),
                scores.mean(model - simple, patients),
            )
        )
    return curve
