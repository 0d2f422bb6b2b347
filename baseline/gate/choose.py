"""The gate's rules, chosen on images with known truth and scored on those they were not chosen on.

What a rule is and how it speaks, see `baseline.gate.rules`.
"""

from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from baseline.gate.rules import (
    AREAS,
    FUSED,
    LEVELS,
    POLICIES,
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
# Penalty on the weights of standardised signals, many of which say the same; on siim-mini, 1 to 100
# are no different within the intervals.
PENALTY = 3.0
# Means that differ by less are the same, summed in another order.
TIE = 1e-12


def choose(policy: str, evidence: GateInputs) -> Rule:
    """The rule of a policy that earns the highest mean Dice on images with known truth.

    Among equals the first of a fixed order wins, so that the choice does not hang on chance.
    """
    # Where no image is negative, or none positive, nothing can be learned of when to speak.
    if policy == "empty" or (policy in FUSED and len(np.unique(evidence.positive)) < 2):
        return Rule("empty")
    weights = _fuse(evidence) if policy in FUSED else ()
    # By its own arithmetic the expected rule may be silent; the others have a rule of their own.
    best, most = Rule("empty"), 0.0 if policy == "expected" else -np.inf
    for level in range(len(LEVELS)):
        expect = _expect(evidence, level) if policy == "expected" else ()
        rule, gain = _at_level(Rule(policy, level, level, 0.0, None, weights, expect), evidence)
        if gain > most + TIE:
            best, most = rule, gain
    return best


def _at_level(base: Rule, evidence: GateInputs) -> tuple[Rule, float]:
    """The best top level, smallest area and cutoff of a mask level, and the mean gain over silence.

    The mean gains of all of them at once are a product of two matrices.
    """
    level, asked = base.mask_level, score(base, evidence)
    drawn = evidence.area[:, level] > 0
    gain = np.where(drawn, evidence.dice[:, level] - (evidence.positive == 0), 0.0)
    triplets = list(product(range(level, len(LEVELS)), AREAS))
    large = np.stack([evidence.area[:, top] >= least for top, least in triplets])
    cutoffs = _cutoffs(base.policy, asked)
    passing = (asked[:, None] >= cutoffs).astype(float)
    means = (large * gain) @ passing / len(gain)  # (triplets, cutoffs)
    first = int(np.argmax(means.ravel() > means.max() - TIE))
    (top, least), cutoff = triplets[first // len(cutoffs)], float(cutoffs[first % len(cutoffs)])
    rule = replace(base, top_level=top, least_area=least)
    return replace(rule, cutoff=None if cutoff == -np.inf else cutoff), float(means.max())


def _cutoffs(policy: str, asked: Floats) -> Floats:
    """The cutoffs to choose among, in ascending order; minus infinity for no condition."""
    if policy == "unet":
        return np.array([-np.inf])
    if policy == "expected":
        return np.zeros(1)
    return np.quantile(np.unique(asked), np.linspace(0, 1, CUTOFFS))


def _fuse(evidence: GateInputs) -> tuple[float, ...]:
    """Intercept and weights of the fused log-odds, fitted by penalised logistic regression."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and not needed to speak

    values, centre, spread = _standardised(evidence)
    model = LogisticRegression(C=1 / PENALTY).fit(values, evidence.positive)
    return _weights(float(model.intercept_[0]), model.coef_[0], centre, spread)


def _expect(evidence: GateInputs, level: int) -> tuple[float, ...]:
    """Intercept and weights of the Dice to expect of a lesion's mask cut at a level."""
    from sklearn.linear_model import Ridge

    ill = evidence.take(evidence.positive == 1)
    values, centre, spread = _standardised(ill)
    model = Ridge(alpha=PENALTY).fit(values, ill.dice[:, level])
    return _weights(float(model.intercept_), model.coef_, centre, spread)


def _standardised(evidence: GateInputs) -> tuple[Floats, Floats, Floats]:
    """Signals of mean 0 and deviation 1, and what makes them so; a constant one is left at 0."""
    values = signals(evidence)
    centre, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.where(spread > TIE, spread, np.inf)
    return (values - centre) / spread, centre, spread


def _weights(intercept: float, slopes: Floats, centre: Floats, spread: Floats) -> tuple[float, ...]:
    """Intercept and weights for signals as they are, from those for standardised ones."""
    weights = slopes / spread
    return (intercept - float(weights @ centre), *(float(w) for w in weights))


def nested(policy: str, evidence: GateInputs, folds: NDArray[np.integer]) -> Floats:
    """Dice of each image under the rule chosen on the other folds, shape (n,).

    The rule never saw the image it is scored on, so the mean is not the optimum of itself.
    """
    result = np.empty(len(folds))
    for fold in np.unique(folds):
        rule = choose(policy, evidence.take(folds != fold))
        result[folds == fold] = earned(rule, evidence.take(folds == fold))
    return result


def nested_default(evidence: dict[str, GateInputs], folds: NDArray[np.integer]) -> Floats:
    """Dice of each image under the policy and the rule chosen on the other folds, shape (n,).

    On the other folds the policies are compared by their own nested scores, so neither the rule nor
    the choice among policies saw the image. Where there is only one other fold, which cannot be
    held out from itself, they are compared on the images that their rules were chosen on.

    Parameters
    ----------
    evidence : dict of str to Evidence
        By source of the map.
    folds : (n,) array of int
    """
    result = np.empty(len(folds))
    for fold in np.unique(folds):
        rest, own = folds != fold, folds == fold
        known = {name: one.take(rest) for name, one in evidence.items()}
        means = {p: _compared(p, known[source(p)], folds[rest]).mean() for p in POLICIES}
        chosen = max(POLICIES, key=lambda policy: means[policy])
        rule = choose(chosen, known[source(chosen)])
        result[own] = earned(rule, evidence[source(chosen)].take(own))
    return result


def _compared(policy: str, evidence: GateInputs, folds: NDArray[np.integer]) -> Floats:
    """Dice of each image by which policies are compared, see `nested_default`."""
    if len(np.unique(folds)) > 1:
        return nested(policy, evidence, folds)
    return earned(choose(policy, evidence), evidence)
