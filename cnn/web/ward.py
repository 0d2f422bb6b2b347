"""What an answer means where pneumothorax is rarer or commoner than among the run's images.

Probabilities are calibrated to the run's share of pneumothorax. On another ward the odds are those
times the ratio of the two prior odds (Saerens, Latinne and Decaestecker, Neural Computation 14:21,
2002), if the sick look alike on both and so do the healthy. Predictive values follow from
sensitivity and specificity by Bayes' rule. The page's script does the sums, since the reader turns
the dial; here are the counts that it needs.
"""

from dataclasses import dataclass

import numpy as np

from baseline.evaluation.results import read_shortcuts
from baseline.explanation.trained_run import TrainedRun
from baseline.learning import conformal
from baseline.learning.scores import POSITIVE_FROM


@dataclass(frozen=True)
class Ward:
    """How the run's own images were decided, each by models that had not seen it.

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


def of_run(trained: TrainedRun) -> Ward:
    """The counts of a run.

    Raises
    ------
    UserError
        If its triage is of other predictions.
    """
    known = trained.oof[trained.oof["label"].notna()]
    positive = known["label"].to_numpy(float) > 0.5
    checks = read_shortcuts(trained.run, trained.oof)
    if checks is None:
        called = known["probability"].to_numpy(float) >= POSITIVE_FROM
        decisions = np.where(called, conformal.RULE_IN, conformal.RULE_OUT)
    else:
        decisions = conformal.cross_triage(
            known["label"].to_numpy(float),
            known["raw"].to_numpy(float),
            known["fold"].to_numpy(),
            checks.triage.alpha,
            known["id"].isin(trained.run.flagged()).to_numpy(bool),
        )
    ruled_in, ruled_out = decisions == conformal.RULE_IN, decisions == conformal.RULE_OUT
    return Ward(
        by="half" if checks is None else "triage",
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        positives_in=int((positive & ruled_in).sum()),
        negatives_in=int((~positive & ruled_in).sum()),
        positives_out=int((positive & ruled_out).sum()),
        negatives_out=int((~positive & ruled_out).sum()),
    )
