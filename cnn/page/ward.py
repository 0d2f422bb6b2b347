"""What an answer means where pneumothorax is rarer or commoner than among the run's images.

Probabilities are calibrated to the run's share of pneumothorax. On another ward the odds are those
times the ratio of the two prior odds (Saerens, Latinne and Decaestecker, Neural Computation 14:21,
2002), if the sick look alike on both and so do the healthy. Predictive values follow from
sensitivity and specificity by Bayes' rule. The page's script does the sums, since the reader turns
the dial; here are the counts that it needs.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from baseline.learning import conformal
from baseline.learning.scores import POSITIVE_FROM
from cnn.study.model import AnsweringModel


@dataclass(frozen=True)
class Ward:
    """How the images were decided whose truth is known, each by models that had not seen it.

    Parameters
    ----------
    by : str
        "triage" where that was checked, else "half": called positive from a probability of 50%.
    positives, negatives : int
        Images with and without pneumothorax by true label.
    positives_in, negatives_in : int
        How many of them were ruled in, or called positive.
    positives_out, negatives_out : int
        How many were ruled out, or called negative.
    """

    by: str
    positives: int
    negatives: int
    positives_in: int
    negatives_in: int
    positives_out: int
    negatives_out: int

    @property
    def prevalence(self) -> float:
        """Share of pneumothorax among the images by which probabilities were calibrated."""
        return self.positives / (self.positives + self.negatives)


def of_model(model: AnsweringModel) -> Ward:
    """The counts of a model, by the images whose truth is known."""
    labels, raw = model.models.known(None)
    positive = labels > 0.5
    decisions = model.triaged
    if decisions is None:
        calibration = model.models.calibrations[None]
        called = calibration.slope * raw + calibration.intercept >= logit(POSITIVE_FROM)
        decisions = np.where(called, conformal.RULE_IN, conformal.RULE_OUT)
    ruled_in, ruled_out = decisions == conformal.RULE_IN, decisions == conformal.RULE_OUT
    return Ward(
        by="half" if model.triaged is None else "triage",
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        positives_in=int((positive & ruled_in).sum()),
        negatives_in=int((~positive & ruled_in).sum()),
        positives_out=int((positive & ruled_out).sum()),
        negatives_out=int((~positive & ruled_out).sum()),
    )
