"""What a kept mask may be trusted for: the Dice to expect, and a Dice that most masks reach.

The Dice of the labelled images' kept masks, 0 where there is no pneumothorax, is predicted by a
ridge regression from the gate's signals (`baseline.gate.rules.signals`). How far the truth stays
behind such a prediction is seen on folds that the regression did not learn from; a quantile of that
is the margin between the expected Dice and the bound. Were the masks exchangeable, a new one would
reach the bound with a probability of `LEVEL` nearly; how many do, is counted with both regression
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
    """How the Dice of a mask is foretold.

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
        Share of them that reach the bound, each under a regression and margin of other folds.
    """

    level: float
    weights: tuple[float, ...]
    margin: float
    masks: int
    coverage: Estimate


def fit(
    inputs: GateInputs, rule: Rule, folds: NDArray[np.integer], patients: NDArray[np.object_]
) -> MaskTrust | None:
    """Learn from the masks that a rule keeps on images of known truth.

    Parameters
    ----------
    inputs : GateInputs
        Of n images, from the rule's source.
    rule : Rule
    folds, patients : (n,) arrays

    Returns
    -------
    MaskTrust or None
        None where fewer than `LEAST` masks are kept, or all in fewer than three folds.
    """
    kept = keeps(rule, inputs)
    values, dice = signals(inputs)[kept], inputs.dice[kept, rule.mask_share]
    folds = folds[kept]
    if len(dice) < LEAST or len(np.unique(folds)) < 3:
        return None
    reached = np.empty(len(dice))
    for fold in np.unique(folds):
        others, held_out = folds != fold, folds == fold
        margin = _margin(values[others], dice[others], folds[others])
        expected = _expected(linear.ridge(values[others], dice[others]), values[held_out])
        reached[held_out] = dice[held_out] >= np.clip(expected - margin, 0, 1)
    return MaskTrust(
        level=LEVEL,
        weights=linear.ridge(values, dice),
        margin=_margin(values, dice, folds),
        masks=len(dice),
        coverage=scores.mean(reached, patients[kept]),
    )


def fault(trust: MaskTrust) -> str:
    """What is wrong with its values, as words for a sentence; "" if nothing is."""
    if len(trust.weights) != 1 + len(SIGNALS):
        return "the weights of trust are those of another version"
    if not np.isfinite([trust.margin, *trust.weights]).all() or not 0 < trust.level < 1:
        return "trust holds a number that is none it can be"
    return ""


def foretell(trust: MaskTrust, inputs: GateInputs) -> tuple[Floats, Floats]:
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


def _margin(values: Floats, dice: Floats, folds: NDArray[np.integer]) -> float:
    """How far a share of `LEVEL` of masks stay behind their prediction at most."""
    behind = np.empty(len(dice))
    for fold in np.unique(folds):
        others, held_out = folds != fold, folds == fold
        expected = _expected(linear.ridge(values[others], dice[others]), values[held_out])
        behind[held_out] = expected - dice[held_out]
    rank = min(int(np.ceil(LEVEL * (len(dice) + 1))), len(dice))
    return float(np.sort(behind)[rank - 1])
