"""What a kept mask may be trusted for: the Dice to expect, and a Dice that most masks reach.

The Dice of the labelled images' kept masks, 0 where there is no pneumothorax, is predicted by a
ridge regression from the gate's signals (`baseline.gate.rules.signals`). How far the truth stays
behind such a prediction is seen on folds that the regression did not learn from; a quantile of that
is the margin between the expected Dice and the bound. Were the masks exchangeable, a new one would
reach the bound with a probability of `LEVEL` nearly; how many do, is counted with rule, regression
and margin from other folds.

References
----------
Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence 74, 2015.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baseline.gate import linear
from baseline.gate.rules import SIGNALS, Floats, GateInputs, Rule, keeps, signals
from baseline.learning import scores
from baseline.learning.scores import Estimate

# Share of masks that should reach the bound.
LEVEL = 0.8
# Fewer kept masks with known truth tell nothing.
LEAST = 20


@dataclass(frozen=True)
class MaskTrust:
    """How the Dice of a mask is predicted.

    Parameters
    ----------
    level : float
        Share of masks that should reach the bound.
    weights : tuple of float
        Intercept and weights of the signals.
    margin : float
        What is taken from the expected Dice for the bound.
    masks : int
        Kept masks of known truth that it was learned from.
    coverage : Estimate
        Share of masks that reach the bound, each kept by a rule, and bound by a regression and
        margin, of other folds.
    """

    level: float
    weights: tuple[float, ...]
    margin: float
    masks: int
    coverage: Estimate


def fit(
    inputs: GateInputs,
    rule: Rule,
    rules_of_folds: dict[int, Rule],
    folds: NDArray[np.integer],
    patients: NDArray[np.object_],
) -> MaskTrust | None:
    """Learn from the masks that a rule keeps on images of known truth.

    Parameters
    ----------
    inputs : GateInputs
        Of n images, from the rule's source.
    rule : Rule
        Chosen on all images.
    rules_of_folds : dict of int to Rule
        For each fold the rule that was chosen on the others.
    folds, patients : (n,) arrays

    Returns
    -------
    MaskTrust or None
        None where fewer than `LEAST` masks are kept, or all in fewer than three folds.
    """
    kept = _Kept.by(rule, inputs, folds)
    if len(kept.dice) < LEAST or len(np.unique(kept.folds)) < 3:
        return None
    reached, of_patients = [], []
    for fold, of_fold in rules_of_folds.items():
        others = _Kept.by(of_fold, inputs.take(folds != fold), folds[folds != fold])
        held_out = _Kept.by(of_fold, inputs.take(folds == fold), folds[folds == fold])
        if len(np.unique(others.folds)) > 1:
            expected = _expected(others.weights(), held_out.values)
            reached.append(held_out.dice >= np.clip(expected - others.margin(), 0, 1))
            of_patients.append(patients[folds == fold][held_out.rows])
    together = np.concatenate(reached).astype(float) if reached else np.empty(0)
    if not len(together):
        return None
    return MaskTrust(
        level=LEVEL,
        weights=kept.weights(),
        margin=kept.margin(),
        masks=len(kept.dice),
        coverage=scores.share(together, np.concatenate(of_patients)),
    )


@dataclass(frozen=True)
class _Kept:
    """The masks that a rule keeps: their rows, signals, Dice and folds."""

    rows: NDArray[np.intp]
    values: Floats
    dice: Floats
    folds: NDArray[np.integer]

    @classmethod
    def by(cls, rule: Rule, inputs: GateInputs, folds: NDArray[np.integer]) -> "_Kept":
        rows = np.flatnonzero(keeps(rule, inputs))
        return cls(rows, signals(inputs)[rows], inputs.dice[rows, rule.mask_share], folds[rows])

    def weights(self) -> linear.Weights:
        return linear.ridge(self.values, self.dice)

    def margin(self) -> float:
        """How far a share of `LEVEL` of masks stay behind their prediction at most."""
        behind = np.empty(len(self.dice))
        for fold in np.unique(self.folds):
            others, held_out = self.folds != fold, self.folds == fold
            weights = linear.ridge(self.values[others], self.dice[others])
            behind[held_out] = _expected(weights, self.values[held_out]) - self.dice[held_out]
        rank = min(int(np.ceil(LEVEL * (len(behind) + 1))), len(behind))
        return float(np.sort(behind)[rank - 1])


def fault(trust: MaskTrust) -> str:
    """What is wrong with its values, as words for a sentence; "" if nothing is."""
    if len(trust.weights) != 1 + len(SIGNALS):
        return "the weights of trust are those of another version"
    if not np.isfinite([trust.margin, *trust.weights]).all() or not 0 < trust.level < 1:
        return "trust holds a number that is none it can be"
    return ""


def predict(trust: MaskTrust, inputs: GateInputs) -> tuple[Floats, Floats]:
    """The Dice to expect of masks, and a Dice that a share of `level` of them reach.

    Parameters
    ----------
    trust : MaskTrust
    inputs : GateInputs
        Of n images, from the source that it was learned from.

    Returns
    -------
    expected, at_least : (n,) arrays in [0, 1]
    """
    expected = _expected(trust.weights, signals(inputs))
    return expected, np.clip(expected - trust.margin, 0, 1)


def _expected(weights: linear.Weights, values: Floats) -> Floats:
    return np.clip(linear.weighed(weights, values), 0, 1)
