"""The gate: decides, image by image, whether a mask is kept or emptied.

A false mask on a healthy chest costs a whole image of Dice, so an empty mask is the better answer
unless pneumothorax is likely. This module knows arrays only: the classifier's log-odds, what the
map looks like, how much of it lies above each level, and the Dice that a mask of each level earns.

Policies
--------
empty
    Empty every mask: the all-empty submission, which scores the share of healthy images.
unet
    Keep the U-Net's mask where enough of its map is above a top level (as in the
    challenge winners' triplet of top level, smallest area and mask level).
gated
    The same, and the classifier's log-odds must reach a cutoff.
fused
    The same, but what must reach the cutoff is a logistic model's score of the classifier's
    log-odds and of the map (`signals`): top scores, area, entropy, and how far the map fills the
    zone with the largest SHAP contribution for pneumothorax.
handcrafted
    The same without any network: the mask is cut from the evidence map (`baseline.evidence_map`).
joint
    The same on the mean of the U-Net's map and the evidence map.
expected
    The joint mask, kept where it pays by the metric's own arithmetic: p > 1 / (1 + d), p being
    the fused probability of pneumothorax and d the Dice that this mask may expect if it is there.
    It chooses the triplet, but no cutoff.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baseline.gate import linear

Floats = NDArray[np.float64]

# Levels above which the area of a map is counted, in 1/255 as the maps are stored.
TOP_LEVELS = np.array([13, 26, 51, 77, 102, 128, 153, 179, 204, 230])
MIDDLE = 5
# Where a mask is cut, in percent of the map's own top score at `TOP`. What level a map reaches says
# whether there is air, and the gate asks for it; how far the air reaches is better seen by the
# map's own contrast (tests/benchmarks/mask_cuts.py).
MASK_SHARES = np.array([20, 30, 40, 50, 60, 70, 80, 90])
MIDDLE_SHARE = 4
# Shares of the image whose brightest pixels reach the top scores.
RANKS = (0.0001, 0.001, 0.01)
TOP = RANKS.index(0.001)
# Smallest areas, as shares of the image (0.002 is the winners' 2,048 pixels of 1024x1024).
AREAS = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
POLICIES = ("empty", "unet", "gated", "fused", "handcrafted", "joint", "expected")
# The maps that masks may be cut from.
SOURCES = ("unet", "evidence", "joint")
# The map of a policy, where it is not the U-Net's.
SOURCE_OF = {"handcrafted": "evidence", "joint": "joint", "expected": "joint"}
FUSED = ("fused", "handcrafted", "joint", "expected")
# What the fused score is made of.
SIGNALS = ("log_odds", *(f"top_{rank:g}" for rank in RANKS), "area", "entropy", "agreement")
# No mask is expected to earn less than this if there is a pneumothorax.
LEAST_DICE = 0.01


@dataclass(frozen=True)
class GateInputs:
    """What the gate decides by, and what each choice would earn.

    Parameters
    ----------
    log_odds : (n,) array
        Log-odds of the classifier, calibrated.
    top : (n, r) array in [0, 1]
        Top scores: what the map reaches on each of `RANKS`; at `TOP`, its 99.9th percentile.
    area : (n, t) array in [0, 1]
        Share of the image where the map reaches each of `TOP_LEVELS`.
    entropy : (n,) array in [0, 1]
        Mean entropy of the map's pixels in bits: how much of it is in doubt.
    agreement : (n,) array in [0, 1]
        Mean of the map over the zone with the largest SHAP contribution for pneumothorax: the share
        of it that the mask may be expected to fill.
    dice : (n, s) array in [0, 1] or NaN
        Dice of the mask cut at each of `MASK_SHARES` against the truth; NaN where it is unknown.
    positive : (n,) array
        1 with pneumothorax, 0 without, NaN unknown.
    """

    log_odds: Floats
    top: Floats
    area: Floats
    entropy: Floats
    agreement: Floats
    dice: Floats
    positive: Floats

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "GateInputs":
        """The inputs of some of the images."""
        return GateInputs(**{name: values[rows] for name, values in vars(self).items()})


def join(parts: Sequence[GateInputs]) -> GateInputs:
    """The inputs of all images of all parts, of which there is at least one."""
    names = GateInputs.__dataclass_fields__
    return GateInputs(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


@dataclass(frozen=True)
class Rule:
    """A decision rule that can be written down.

    Parameters
    ----------
    policy : str
        One of `POLICIES`.
    mask_share : int
        Index into `MASK_SHARES` at which the mask is cut.
    top_level : int
        Index into `TOP_LEVELS` above which the area is counted.
    least_area : float
        Smallest such area, as a share of the image.
    cutoff : float or None
        Smallest score (log-odds) with which a mask is kept; None for no condition.
    weights : tuple of float
        Intercept and weights of the fused score; empty for other policies.
    dice_weights : tuple of float
        Intercept and weights of the Dice to expect; empty for other policies.
    """

    policy: str
    mask_share: int = MIDDLE_SHARE
    top_level: int = MIDDLE
    least_area: float = 0.0
    cutoff: float | None = None
    weights: tuple[float, ...] = ()
    dice_weights: tuple[float, ...] = ()


def fault(rule: Rule) -> str:
    """What is wrong with a rule's values, as words for a sentence; "" if nothing is."""
    if rule.policy not in POLICIES:
        return f"policy {rule.policy!r} is none of {', '.join(POLICIES)}"
    for name, known in (("mask_share", MASK_SHARES), ("top_level", TOP_LEVELS)):
        number = getattr(rule, name)
        if not 0 <= number < len(known):
            return f"{name} = {number!r} is none of the numbers 0 to {len(known) - 1}"
    if not 0 <= rule.least_area <= 1:
        return f"least_area = {rule.least_area} is no share of an image, 0 to 1"
    cutoff = 0.0 if rule.cutoff is None else rule.cutoff
    if not np.isfinite([cutoff, *rule.weights, *rule.dice_weights]).all():
        return f"the rule of {rule.policy} holds a number that is not finite"
    counts = len(rule.weights), len(rule.dice_weights)
    full = 1 + len(SIGNALS)
    if counts != (full * (rule.policy in FUSED), full * (rule.policy == "expected")):
        return f"the weights of {rule.policy} are those of another version"
    return ""


def source(policy: str) -> str:
    """The map that a policy cuts its masks from, one of `SOURCES`."""
    return SOURCE_OF.get(policy, "unet")


def signals(inputs: GateInputs) -> Floats:
    """What the fused score is made of, shape (n, 7), all as log-odds, in the order of `SIGNALS`."""
    return np.column_stack(
        (
            inputs.log_odds,
            _log_odds(inputs.top, 1e-3),
            _log_odds(inputs.area[:, MIDDLE], 1e-5),
            _log_odds(inputs.entropy, 1e-5),
            _log_odds(inputs.agreement, 1e-3),
        )
    )


def _log_odds(shares: Floats, least: float) -> Floats:
    clipped = np.clip(shares, least, 1 - least)
    return np.log(clipped / (1 - clipped))


def cut_levels(
    top: int | NDArray[np.integer], mask_share: int | NDArray[np.integer]
) -> NDArray[np.integer]:
    """The grey levels from which on maps are mask.

    Parameters
    ----------
    top : int or array of int in [0, 255]
        Grey level of each map's top score at `TOP`.
    mask_share : int or array of int
        Index into `MASK_SHARES`, of a shape that goes with that of `top`.

    Returns
    -------
    array of int in [1, 255]
    """
    return np.maximum(-(-MASK_SHARES[mask_share] * top // 100), 1)


def score(rule: Rule, inputs: GateInputs) -> Floats:
    """The score that a rule compares with its cutoff, shape (n,)."""
    if rule.policy not in FUSED:
        return inputs.log_odds
    values = signals(inputs)
    fused = linear.weighed(rule.weights, values)
    if rule.policy != "expected":
        return fused
    dice = linear.weighed(rule.dice_weights, values)
    # p > 1 / (1 + d) is the same as log-odds(p) + log(d) > 0.
    return fused + np.log(np.clip(dice, LEAST_DICE, 1))


def keeps(rule: Rule, inputs: GateInputs) -> NDArray[np.bool_]:
    """Whether the mask of each image is kept, shape (n,); False where it is empty already."""
    if rule.policy == "empty":
        return np.zeros(len(inputs.log_odds), bool)
    enough = inputs.area[:, rule.top_level] >= rule.least_area
    if rule.cutoff is not None:
        enough &= score(rule, inputs) >= rule.cutoff
    return enough & (inputs.top[:, TOP] > 0)


def earned(rule: Rule, inputs: GateInputs) -> Floats:
    """Dice that a rule earns on each image, shape (n,): of its mask, or of an empty one."""
    empty = (inputs.positive == 0).astype(float)
    return np.where(keeps(rule, inputs), inputs.dice[:, rule.mask_share], empty)
