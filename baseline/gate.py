"""The gate: decides, image by image, whether the U-Net's mask is spoken at all.

A false mask on a healthy chest costs a whole image of Dice, so silence is the better answer unless
pneumothorax is likely. This module knows arrays only: the classifier's log-odds, how much of the
map lies above each level, and the Dice that each level's mask would earn.

Policies
--------
empty
    Never speak: scores the share of healthy images.
unet
    Speak the U-Net's mask where enough of its map is above a top level (the challenge winners'
    triplet of top level, smallest area and mask level).
gated
    The same, and the classifier's log-odds must reach a cutoff.
fused
    Speak where a logistic model of the classifier's log-odds and the U-Net's own evidence reaches
    a cutoff.
handcrafted
    The same without any network: the mask is cut from the evidence map (`baseline.evidence`).
joint
    The same on the mean of the U-Net's and the evidence map.
expected
    The joint mask, spoken where it pays by the metric's own arithmetic: p > 1 / (1 + d), p being
    the fused probability of pneumothorax and d the Dice that this mask may expect if it is there.
"""

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.files import UserError

Floats = NDArray[np.float64]

# Levels at which a probability map is cut, in 1/255 as the maps are stored.
LEVELS = np.array([13, 26, 51, 77, 102, 128, 153, 179, 204, 230])
MIDDLE = 5
# Smallest areas, as shares of the image (0.002 is the winners' 2,048 pixels of 1024x1024).
AREAS = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
POLICIES = ("empty", "unet", "gated", "fused", "handcrafted", "joint", "expected")
# The map that a policy cuts its masks from, where it is not the U-Net's.
SOURCES = {"handcrafted": "evidence", "joint": "joint", "expected": "joint"}
FUSED = ("fused", "handcrafted", "joint", "expected")
_CUTOFFS = 24
# No mask is expected to earn less than this if there is a pneumothorax.
LEAST_DICE = 0.01


@dataclass(frozen=True)
class Evidence:
    """What the gate may look at, and what each choice would earn.

    Parameters
    ----------
    log_odds : (n,) array
        Calibrated log-odds of the classifier.
    top : (n,) array in [0, 1]
        Top score: the map's 99.9th percentile.
    area : (n, t) array in [0, 1]
        Share of the image where the map reaches each of `LEVELS`.
    dice : (n, t) array in [0, 1] or NaN
        Dice of the mask cut at each level against the truth; NaN where the truth is unknown.
    positive : (n,) array
        1 with pneumothorax, 0 without, NaN unknown.
    """

    log_odds: Floats
    top: Floats
    area: Floats
    dice: Floats
    positive: Floats

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Evidence":
        """The evidence of some of the images."""
        return Evidence(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Rule:
    """A decision rule that can be written down.

    Parameters
    ----------
    policy : str
        One of `POLICIES`.
    mask_level : int
        Index into `LEVELS` at which the spoken mask is cut.
    top_level : int
        Index into `LEVELS` above which the area is counted.
    least_area : float
        Smallest such area, as a share of the image.
    cutoff : float or None
        Smallest score (log-odds) that speaks; None for no condition.
    weights : tuple of float
        Intercept and weights of the fused score; empty for other policies.
    dice_weights : tuple of float
        Intercept and weights of the Dice to expect; empty for other policies.
    """

    policy: str
    mask_level: int = MIDDLE
    top_level: int = MIDDLE
    least_area: float = 0.0
    cutoff: float | None = None
    weights: tuple[float, ...] = ()
    dice_weights: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, levels also as probabilities."""
        return asdict(self) | {
            "mask_probability": float(LEVELS[self.mask_level] / 255),
            "top_probability": float(LEVELS[self.top_level] / 255),
        }


def from_json(content: dict[str, Any]) -> Rule:
    """Read a rule written by `Rule.to_json`.

    Raises
    ------
    UserError
        If it is not such a rule.
    """
    try:
        fields = {name: content[name] for name in Rule.__dataclass_fields__}
    except (KeyError, TypeError):
        raise UserError("gate.json: not a gate's rule; delete it and run make again.") from None
    arrays = {name: tuple(fields[name]) for name in ("weights", "dice_weights")}
    return Rule(**{**fields, **arrays})


def source(policy: str) -> str:
    """The map that a policy cuts its masks from: "unet", "evidence" or "joint"."""
    return SOURCES.get(policy, "unet")


def signals(evidence: Evidence) -> Floats:
    """What the fused score is made of, shape (n, 3): classifier, top score, area; all log-odds."""
    clipped = np.clip(evidence.top, 1e-3, 1 - 1e-3)
    area = np.clip(evidence.area[:, MIDDLE], 1e-5, 1 - 1e-5)
    return np.stack(
        (evidence.log_odds, np.log(clipped / (1 - clipped)), np.log(area / (1 - area))), axis=1
    )


def score(rule: Rule, evidence: Evidence) -> Floats:
    """The score that a rule compares with its cutoff, shape (n,)."""
    if rule.policy not in FUSED:
        return evidence.log_odds
    values = signals(evidence)
    fused = rule.weights[0] + values @ np.array(rule.weights[1:])
    if rule.policy != "expected":
        return fused
    dice = rule.dice_weights[0] + values @ np.array(rule.dice_weights[1:])
    # p > 1 / (1 + d) says the same as log-odds(p) + log(d) > 0.
    return fused + np.log(np.clip(dice, LEAST_DICE, 1))


def speaks(rule: Rule, evidence: Evidence) -> NDArray[np.bool_]:
    """Whether the mask of each image is spoken, shape (n,); an empty mask never is."""
    if rule.policy == "empty":
        return np.zeros(len(evidence.log_odds), bool)
    enough = evidence.area[:, rule.top_level] >= rule.least_area
    if rule.cutoff is not None:
        enough &= score(rule, evidence) >= rule.cutoff
    return enough & (evidence.area[:, rule.mask_level] > 0)


def earned(rule: Rule, evidence: Evidence) -> Floats:
    """Dice that a rule earns on each image, shape (n,): of the mask if spoken, else of silence."""
    silence = (evidence.positive == 0).astype(float)
    return np.where(speaks(rule, evidence), evidence.dice[:, rule.mask_level], silence)


def choose(policy: str, evidence: Evidence) -> Rule:
    """The rule of a policy that earns the highest mean Dice on images with known truth.

    Among equals the first of a fixed order wins, so that the choice does not hang on chance.
    """
    # Where no image is negative, or none positive, nothing can be learned of when to speak.
    if policy == "empty" or (policy in FUSED and len(np.unique(evidence.positive)) < 2):
        return Rule("empty")
    weights = _fuse(evidence) if policy in FUSED else ()
    if policy == "expected":
        return _expected(evidence, weights)
    base = Rule(policy, weights=weights)
    cutoffs: list[float | None] = [None]
    if policy != "unet":
        values = np.unique(score(base, evidence))
        cutoffs = [float(v) for v in np.quantile(values, np.linspace(0, 1, _CUTOFFS))]
    levels = range(len(LEVELS))
    if policy in FUSED:
        # The fused score has weighed top score and area already.
        triplets = [(m, m, 0.0) for m in levels]
    else:
        triplets = [(m, t, a) for m, t, a in product(levels, levels, AREAS) if t >= m]
    best, best_mean = Rule("empty"), -1.0
    silence = (evidence.positive == 0).astype(float)
    for mask_level, top_level, least in triplets:
        rule = Rule(policy, mask_level, top_level, least, None, weights)
        gain = np.where(speaks(rule, evidence), evidence.dice[:, mask_level] - silence, 0.0)
        for cutoff, mean in zip(cutoffs, _means(gain, score(rule, evidence), cutoffs), strict=True):
            if mean > best_mean + 1e-12 or best.policy == "empty":
                best_mean = mean
                best = Rule(policy, mask_level, top_level, least, cutoff, weights)
    return best


def _means(gain: Floats, scores: Floats, cutoffs: list[float | None]) -> list[float]:
    """Mean gain over silence when only images with a score of at least each cutoff may speak."""
    return [
        float(gain.mean() if c is None else gain[scores >= c].sum() / len(gain)) for c in cutoffs
    ]


def _fuse(evidence: Evidence) -> tuple[float, ...]:
    """Intercept and weights of the fused log-odds, fitted by penalised logistic regression."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and not needed to speak

    values = signals(evidence)
    centre, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    model = LogisticRegression(C=1.0).fit((values - centre) / spread, evidence.positive)
    weights = model.coef_[0] / spread
    return (float(model.intercept_[0] - weights @ centre), *(float(w) for w in weights))


def _expected(evidence: Evidence, weights: tuple[float, ...]) -> Rule:
    """The rule that follows from the metric: nothing but the level of the mask is chosen."""
    from sklearn.linear_model import Ridge

    positive = evidence.positive == 1
    values = signals(evidence)[positive]
    best, best_mean = Rule("empty"), float((evidence.positive == 0).mean())
    for level in range(len(LEVELS)):
        model = Ridge(alpha=1.0).fit(values, evidence.dice[positive, level])
        found = (float(model.intercept_), *(float(w) for w in model.coef_))
        rule = Rule("expected", level, level, 0.0, 0.0, weights, found)
        mean = float(earned(rule, evidence).mean())
        if mean > best_mean + 1e-12:
            best, best_mean = rule, mean
    return best


def nested(policy: str, evidence: Evidence, folds: NDArray[np.integer]) -> Floats:
    """Dice of each image under the rule chosen on the other folds, shape (n,).

    The rule never saw the image it is scored on, so the mean is not the optimum of itself.
    """
    result = np.empty(len(folds))
    for fold in np.unique(folds):
        rule = choose(policy, evidence.take(folds != fold))
        result[folds == fold] = earned(rule, evidence.take(folds == fold))
    return result


def nested_default(evidence: dict[str, Evidence], folds: NDArray[np.integer]) -> Floats:
    """Dice of each image under the policy and the rule chosen on the other folds, shape (n,).

    On the other folds the policies are compared by their own nested scores, so neither the rule nor
    the choice among policies saw the image.

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
        means = {p: nested(p, known[source(p)], folds[rest]).mean() for p in POLICIES}
        chosen = max(POLICIES, key=lambda policy: means[policy])
        rule = choose(chosen, known[source(chosen)])
        result[own] = earned(rule, evidence[source(chosen)].take(own))
    return result
