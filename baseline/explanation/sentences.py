"""Reasons in words: up to five sentences on what moved the probability of one X-ray, and where.

Every number in a sentence is computed from the image's SHAP values and its features and stands
beside the sentence in its `Reason`, so the words are true by construction. The place that is named
is the one painted strongest on the X-ray, the same that the pointing game of
`baseline.evaluation.faithfulness` scores. "Instead of" compares the probability with the one left
after taking a contribution off the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from baseline.explanation.case import Case, strongest
from baseline.explanation.wording import (
    FAMILIES,
    label,
    level,
    meaning,
    percent,
    place,
    signed,
    standing,
)
from features.families import registry
from features.lungs.zones import FINEST_NAMES

# Families that are not meant to measure air in the pleural space.
BESIDE = ("confounders", "acquisition")


@dataclass(frozen=True)
class Reason:
    """One sentence and the numbers in it.

    Parameters
    ----------
    text : str
        The sentence.
    name : str
        Its subject: a feature, a zone, "beside" for the families of `BESIDE`, or "" for the
        prediction as a whole.
    contribution : float
        Sum of the SHAP values that it is about, in log-odds.
    percentile : float or None
        Where the feature's value lies among the training images, 0 to 100; None for all else.
    """

    text: str
    name: str
    contribution: float
    percentile: float | None = None


def sentences(case: Case, finest_zones: Sequence[str] = FINEST_NAMES) -> list[Reason]:
    """Up to five reasons.

    The probability, the place painted strongest, the first measure there that is out of the
    ordinary, the one that contradicts the prediction most, and what is not meant to measure pleural
    air.

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
    # A measure that is average explains nothing to a reader, whatever the trees make of it.
    unusual = np.array([level(float(rank)) != "average" for rank in case.percentiles])
    zone = strongest(case, finest_zones)
    if zone:
        painted = case.painted(zone)
        reasons.append(_zone(case, zone, float(painted.sum())))
        first = int(np.argmax(case.sign * unusual * painted))
        if case.sign * unusual[first] * painted[first] > 0:
            start = f"Of it, {place(_zone_of(case, first))}: "
            reasons.append(_feature(case, first, start, float(painted[first])))
    against = int(np.argmin(case.sign * unusual * case.shap))
    if case.sign * unusual[against] * case.shap[against] < 0:
        start = f"What contradicts this most, {place(_zone_of(case, against))}: "
        reasons.append(_feature(case, against, start, float(case.shap[against])))
    beside = float(case.shap[[_is_beside(name) for name in case.names]].sum())
    if beside:
        reasons.append(_beside(case, beside))
    return reasons


def _probability(case: Case) -> Reason:
    moved = case.score - case.base
    start = case.probability(without=moved)
    text = (
        f"The probability of pneumothorax is {percent(case.probability())}; before it looks at an "
        f"image the model says {percent(start)}, and this image's measures move the log-odds by "
        f"{signed(moved)}."
    )
    return Reason(text, "", moved)


def _zone(case: Case, zone: str, contribution: float) -> Reason:
    word = "for" if contribution > 0 else "against"
    text = (
        f"The largest contribution {word} pneumothorax is painted on {place(zone)}: with the "
        f"larger zones that it lies in it adds {signed(contribution)}, so the probability is "
        f"{percent(case.probability())} instead of "
        f"{percent(case.probability(without=contribution))}."
    )
    return Reason(text, zone, contribution)


def _beside(case: Case, contribution: float) -> Reason:
    what = "; ".join(FAMILIES[name] for name in BESIDE)
    text = (
        f"What is not meant to measure pleural air ({what}) adds "
        f"{signed(contribution)}; without it the probability would be "
        f"{percent(case.probability(without=contribution))}."
    )
    return Reason(text, "beside", contribution)


def _is_beside(name: str) -> bool:
    feature = registry.describe(name)
    return feature.family in BESIDE or feature.measure.split("_")[0] in BESIDE


def _zone_of(case: Case, number: int) -> str:
    return registry.describe(case.names[number]).zone


def _feature(case: Case, number: int, start: str, contribution: float) -> Reason:
    name = case.names[number]
    rank = float(case.percentiles[number])
    words, note = label(name), meaning(name)
    comma = "," if ", " in words else ""
    # A comparison of the lungs is painted on both.
    whole = float(case.shap[number])
    share = "" if contribution == whole else f" there, of {signed(whole)} on both lungs"
    text = (
        f"{start}{'' if words.startswith('how ') else 'the '}{words}{comma} is {level(rank)} "
        f"({standing(rank)} percentile of the training images), which by itself adds "
        f"{signed(contribution)}{share}{f' ({note})' if note else ''}."
    )
    return Reason(text, name, contribution, rank)
