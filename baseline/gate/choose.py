"""The gate's rules, chosen on images with known truth and scored on those they were not chosen on.

What a rule is and which masks it keeps, see `baseline.gate.rules`.
"""

from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from baseline.gate import linear
from baseline.gate.rules import (
    AREAS,
    FUSED,
    MASK_SHARES,
    POLICIES,
    TOP,
    TOP_LEVELS,
    Floats,
    GateInputs,
    Rule,
    earned,
    score,
    signals,
    source,
)

# How many cutoffs are tried, spread over the quantiles of the scores.
CUTOFFS = 24
# Means that differ by less are the same, summed in another order.
TIE = 1e-12


def choose(policy: str, inputs: GateInputs) -> Rule:
    """The rule of a policy that earns the highest mean Dice on images with known truth.

    Among equals the first of a fixed order wins, so that the choice does not depend on chance.
    """
    # Without a negative or without a positive image, no score can be learned.
    if policy == "empty" or (policy in FUSED and len(np.unique(inputs.positive)) < 2):
        return Rule("empty")
    weights = linear.logistic(signals(inputs), inputs.positive) if policy in FUSED else ()
    # The expected rule may come out as all-empty; for the others "empty" is a policy of its own.
    best, highest = Rule("empty"), 0.0 if policy == "expected" else -np.inf
    for share in range(len(MASK_SHARES)):
        dice_weights = _dice_weights(inputs, share) if policy == "expected" else ()
        base = Rule(policy, share, weights=weights, dice_weights=dice_weights)
        rule, gain = _at_share(base, inputs)
        if gain > highest + TIE:
            best, highest = rule, gain
    return best


def _at_share(base: Rule, inputs: GateInputs) -> tuple[Rule, float]:
    """The best top level, smallest area and cutoff of a mask share; the mean gain over all-empty.

    The mean gains of all of them at once are a product of two matrices.
    """
    values = score(base, inputs)
    drawn = inputs.top[:, TOP] > 0
    gain = np.where(drawn, inputs.dice[:, base.mask_share] - (inputs.positive == 0), 0.0)
    areas = list(product(range(len(TOP_LEVELS)), AREAS))
    large = np.stack([inputs.area[:, top] >= least for top, least in areas])
    cutoffs = _cutoffs(base.policy, values)
    passing = (values[:, None] >= cutoffs).astype(float)
    means = (large * gain) @ passing / len(gain)  # (areas, cutoffs)
    first = int(np.argmax(means.ravel() > means.max() - TIE))
    (top, least), cutoff = areas[first // len(cutoffs)], float(cutoffs[first % len(cutoffs)])
    rule = replace(base, top_level=top, least_area=least)
    return replace(rule, cutoff=None if cutoff == -np.inf else cutoff), float(means.max())


def _cutoffs(policy: str, values: Floats) -> Floats:
    """The cutoffs to choose among, in ascending order; minus infinity for no condition."""
    if policy == "unet":
        return np.array([-np.inf])
    if policy == "expected":
        return np.zeros(1)
    return np.quantile(np.unique(values), np.linspace(0, 1, CUTOFFS))


def _dice_weights(inputs: GateInputs, share: int) -> linear.Weights:
    """Intercept and weights of the Dice to expect of a lesion's mask cut at a share."""
    lesions = inputs.take(inputs.positive == 1)
    return linear.ridge(signals(lesions), lesions.dice[:, share])


def nested(policy: str, inputs: GateInputs, folds: NDArray[np.integer]) -> Floats:
    """Dice of each image under the rule chosen on the other folds, shape (n,).

    The rule never saw the image it is scored on, so the mean is not raised by the choice.
    """
    return under(of_folds(policy, inputs, folds), inputs, folds)


def of_folds(policy: str, inputs: GateInputs, folds: NDArray[np.integer]) -> dict[int, Rule]:
    """The rule for each fold, chosen on the other folds."""
    return {int(fold): choose(policy, inputs.take(folds != fold)) for fold in np.unique(folds)}


def under(rules: dict[int, Rule], inputs: GateInputs, folds: NDArray[np.integer]) -> Floats:
    """Dice of each image under the rule of its fold, shape (n,)."""
    result = np.empty(len(folds))
    for fold, rule in rules.items():
        result[folds == fold] = earned(rule, inputs.take(folds == fold))
    return result


def nested_default(inputs: dict[str, GateInputs], folds: NDArray[np.integer]) -> Floats:
    """Dice of each image under the policy and the rule chosen on the other folds, shape (n,).

    On the other folds the policies are compared by their own nested scores, so neither the rule nor
    the choice among policies saw the image. Where there is only one other fold, which cannot be
    held out from itself, they are compared on the images that their rules were chosen on.

    Parameters
    ----------
    inputs : dict of str to GateInputs
        By source of the map.
    folds : (n,) array of int
    """
    result = np.empty(len(folds))
    for fold in np.unique(folds):
        others, held_out = folds != fold, folds == fold
        known = {name: of_source.take(others) for name, of_source in inputs.items()}
        means = {p: _compared(p, known[source(p)], folds[others]).mean() for p in POLICIES}
        best = max(POLICIES, key=lambda policy: means[policy])
        rule = choose(best, known[source(best)])
        result[held_out] = earned(rule, inputs[source(best)].take(held_out))
    return result


def _compared(policy: str, inputs: GateInputs, folds: NDArray[np.integer]) -> Floats:
    """Dice of each image by which policies are compared, see `nested_default`."""
    if len(np.unique(folds)) > 1:
        return nested(policy, inputs, folds)
    return earned(choose(policy, inputs), inputs)
