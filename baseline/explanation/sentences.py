"""Reasons in words: up to five sentences on what moved the probability of one X-ray, and where.

They go by the signs that readers of chest X-rays know (`features.families.signs`), numbers last and
in brackets: a percentile among the training images, and what is added to the log-odds. Every number
is computed from the image's SHAP values and its features and stands beside the sentence in its
`Reason`, so the words are true by construction. The place that is named is the one painted
strongest on the X-ray, the same that the pointing game of `baseline.evaluation.pointing_game`
scores. "Without it" is the probability that is left after taking a contribution off the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from baseline.explanation.case import Case, strongest
from baseline.explanation.wording import (
    FAMILIES,
    label,
    level,
    percent,
    place,
    signed,
    standing,
)
from features.families import registry, signs
from features.lungs.zones import FINEST_NAMES

# Families that are not meant to measure air in the pleural space.
BESIDE = ("confounders", "acquisition")
# A measure that adds less would be printed as adding nothing.
LEAST = 0.005
EVIDENCE, TEXTURES = "the evidence map", "textures that stand for no sign"


@dataclass(frozen=True)
class Reason:
    """One sentence and the numbers in it.

    Parameters
    ----------
    text : str
        The sentence.
    name : str
        Its subject: a zone, a topic of `topic`, or "" for the prediction as a whole.
    contribution : float
        Sum of the SHAP values that it is about, in log-odds.
    measure : str
        The feature that it names beside; "" for none.
    """

    text: str
    name: str
    contribution: float
    measure: str = ""


@cache
def topic(name: str) -> str:
    """What a feature is about: a sign's subject, the evidence map, textures, or "beside".

    Every feature has one topic, so the topics' contributions add up to all that moved the
    prediction.
    """
    feature = registry.describe(name)
    families = (feature.family, feature.measure.split("_")[0])
    if any(family in BESIDE for family in families):
        return "beside"
    if "evidence" in families:
        return EVIDENCE
    known = signs.of_feature(name)
    return TEXTURES if known is None else known[0].subject


def sentences(case: Case, finest_zones: Sequence[str] = FINEST_NAMES) -> list[Reason]:
    """Up to five reasons.

    The probability, the place painted strongest, the topic that speaks most for the prediction and
    the one that speaks most against it, each with its main measure, and what measures no air.

    Parameters
    ----------
    case : Case
    finest_zones : sequence of str
        Those of `FINEST_NAMES` that the image has.

    Returns
    -------
    list of Reason
    """
    reasons = [_probability(case)]
    if zone := strongest(case, finest_zones):
        reasons.append(_zone(case, zone, float(case.painted(zone).sum())))
    topics = np.array([topic(name) for name in case.names])
    sums = {name: float(case.shap[topics == name].sum()) for name in sorted(set(topics.tolist()))}
    beside = sums.pop("beside", 0.0)
    for sign in (case.sign, -case.sign):
        name = max(sums, key=lambda name: sign * sums[name], default="")
        if name and sign * sums[name] > 0:
            reasons.append(_topic(case, topics == name, name, sums[name]))
    if beside:
        reasons.append(_beside(case, beside))
    return reasons


def _probability(case: Case) -> Reason:
    moved = case.score - case.base
    text = (
        f"The probability of pneumothorax is {percent(case.probability())} (before it looks at an "
        f"image the model says {percent(case.probability(without=moved))}; this image's measures "
        f"add {signed(moved)})."
    )
    return Reason(text, "", moved)


def _zone(case: Case, zone: str, contribution: float) -> Reason:
    word = "for" if contribution > 0 else "against"
    text = (
        f"What speaks most {word} pneumothorax lies in {place(zone)} ({signed(contribution)}; "
        f"without it {percent(case.probability(without=contribution))})."
    )
    return Reason(text, zone, contribution)


def _beside(case: Case, contribution: float) -> Reason:
    what = ", ".join(FAMILIES[name] for name in BESIDE)
    text = (
        f"What measures no air ({what}) adds {signed(contribution)} (without it "
        f"{percent(case.probability(without=contribution))})."
    )
    return Reason(text, "beside", contribution)


def _topic(case: Case, of_topic: NDArray[np.bool_], name: str, contribution: float) -> Reason:
    word = "for" if contribution > 0 else "against"
    text = f"Most {word} pneumothorax comes from {name} ({signed(contribution)})"
    number = _main_measure(case, of_topic, contribution)
    if number is None:
        return Reason(f"{text}.", name, contribution)
    return Reason(
        f"{text}: {_measure(case, number)}.", name, contribution, measure=case.names[number]
    )


def _main_measure(case: Case, of_topic: NDArray[np.bool_], contribution: float) -> int | None:
    """The measure of a topic that adds most in its direction, if any is out of the ordinary.

    A measure that is average explains nothing to a reader, whatever the trees make of it. Those
    whose sign readers would take the same way come first.
    """
    sign = 1.0 if contribution > 0 else -1.0
    taken = {
        int(number): _is_taken_otherwise(case.names[number], float(case.percentiles[number]), sign)
        for number in np.flatnonzero(of_topic & (sign * case.shap >= LEAST))
        if level(float(case.percentiles[number])) != "average"
    }
    return min(taken, key=lambda number: (taken[number], -abs(case.shap[number])), default=None)


def _measure(case: Case, number: int) -> str:
    """A measure's place, words, level, sign, percentile and contribution."""
    name, rank = case.names[number], float(case.percentiles[number])
    contribution = float(case.shap[number])
    known = signs.of_feature(name)
    sign = counted = ""
    if known is not None:
        side = " on one side" if name.startswith("asymmetry.") else ""
        is_sign = _speaks_for(known[1], rank)
        sign = f", {'a' if is_sign else 'no'} sign of {known[0].name}{side}"
        if _is_taken_otherwise(name, rank, contribution):
            word = "for" if contribution > 0 else "against"
            counted = f", which the model counts {word} pneumothorax"
    words = label(name)
    subject = words if words.startswith("how ") else f"the {words}"
    comma = "," if ", " in words else ""
    where = place(registry.describe(name).zone)
    return (
        f"in {where} {subject}{comma} is {level(rank)}{sign}{counted} "
        f"({standing(rank)} percentile, {signed(contribution)})"
    )


def _is_taken_otherwise(name: str, rank: float, contribution: float) -> bool:
    """Whether the model takes a value the other way than readers take the sign."""
    known = signs.of_feature(name)
    return known is not None and _speaks_for(known[1], rank) != (contribution > 0)


def _speaks_for(direction: int, rank: float) -> bool:
    return direction * (rank - 50) > 0
