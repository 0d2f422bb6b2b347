"""Reasons in words: up to five sentences that say what moved the verdict on one X-ray, and where.

Every number in a sentence is computed from the image's SHAP values and its features and stands
beside the sentence in its `Reason`, so the words are true by construction. The place that is named
is the one painted strongest on the X-ray, the same that the pointing game of
`baseline.evaluation.faithfulness` scores. "Instead of" compares the probability with the one left after taking
a contribution off the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from baseline.explanation.attributions import parts
from features.families import registry
from features.lungs.zones import FINEST_NAMES, NAMES, SIDES, ZONES, enclosing

Floats = NDArray[np.float64]

# From the median: percentiles at which a measure is called high or low, and unusually so.
HIGH, UNUSUAL = 200 / 3, 90.0
# Families that are not meant to measure air in the pleural space.
BESIDE = ("confounders", "acquisition")
# Families as a reader would call them; others go by their own name.
FAMILIES = {
    "firstorder": "grey levels",
    "glcm": "neighbouring grey levels (GLCM)",
    "glrlm": "runs of equal grey levels (GLRLM)",
    "gradients": "edges and lines",
    "lbp": "small patterns (LBP)",
    "fractal": "roughness (fractal)",
    "markings": "lung markings",
    "pleura": "pleural lines",
    "profiles": "profiles from wall to hilum",
    "shape": "shape of the lungs",
    "confounders": "tubes, leads, text, gas under the skin",
    "acquisition": "age, sex, view",
    "asymmetry": "right and left compared",
    "evidence": "evidence map",
}


@dataclass(frozen=True)
class Reason:
    """One sentence and the numbers in it.

    Parameters
    ----------
    text : str
        The sentence.
    name : str
        What it speaks of: a feature, a zone, "beside" for the families of `BESIDE`, or "" for the
        verdict as a whole.
    contribution : float
        Sum of the SHAP values it speaks of, in log-odds.
    percentile : float or None
        Where the feature's value lies among the training images, 0 to 100; None for all else.
    """

    text: str
    name: str
    contribution: float
    percentile: float | None = None


@dataclass(frozen=True)
class Case:
    """What the sentences of one image are made from.

    Parameters
    ----------
    names : tuple of str
        Features, m of them.
    shap : (m,) array
        SHAP values in calibrated log-odds, from `attributions.calibrated`.
    base : float
        Base value in calibrated log-odds.
    percentiles : (m,) array
        Where each feature lies among the training images, 0 to 100.
    right : (m,) array
        Share of each feature that the right lung answers for, from `attributions.right_shares`.
    """

    names: tuple[str, ...]
    shap: Floats
    base: float
    percentiles: Floats
    right: Floats

    @property
    def sign(self) -> float:
        """1 if the verdict is for pneumothorax, else -1."""
        return 1.0 if self.score >= 0 else -1.0

    @property
    def score(self) -> float:
        """Log-odds of the probability."""
        return self.base + float(self.shap.sum())

    def probability(self, without: float = 0.0) -> float:
        """Probability of pneumothorax, after taking `without` (log-odds) off the score."""
        return float(expit(self.score - without))

    def within(self, place: str) -> Floats:
        """SHAP values as far as they belong to one of `attributions.PLACES`, shape (m,)."""
        return self.shap * parts(self.names, self.right, place)

    def painted(self, cell: str) -> Floats:
        """SHAP values as far as they are painted on one of `FINEST_NAMES`, shape (m,).

        A cell shows what belongs to it and to the larger zones that it lies in.
        """
        return np.sum([self.within(zone) for zone in enclosing(cell)], axis=0)


def percentiles(training: NDArray[np.floating], rows: NDArray[np.floating]) -> Floats:
    """Percentiles of values among the training images, column by column.

    Parameters
    ----------
    training : (t, m) array
        Features of the training images, t > 0.
    rows : (n, m) array
        Features of the images asked about.

    Returns
    -------
    (n, m) array in [0, 100]
        Share of the training values below, equal ones counted by half.
    """
    result = np.empty(rows.shape)
    ordered = np.sort(training, axis=0)
    for column in range(rows.shape[1]):
        below = np.searchsorted(ordered[:, column], rows[:, column], side="left")
        upto = np.searchsorted(ordered[:, column], rows[:, column], side="right")
        result[:, column] = 50.0 * (below + upto) / len(ordered)
    return result


def strongest(case: Case, cells: Sequence[str] = FINEST_NAMES) -> str:
    """The cell on which most is painted: for pneumothorax, or against if that is the verdict.

    Parameters
    ----------
    case : Case
    cells : sequence of str
        Those of `FINEST_NAMES` that the image has.

    Returns
    -------
    str
        One of `cells`, or "" if nothing speaks for the verdict there.
    """
    zones = {zone: case.sign * float(case.within(zone).sum()) for zone in NAMES}
    sums = {cell: sum(zones[zone] for zone in enclosing(cell)) for cell in cells}
    most = max(sums, key=sums.__getitem__, default="")
    return most if most and sums[most] > 0 else ""


def sentences(case: Case, cells: Sequence[str] = FINEST_NAMES) -> list[Reason]:
    """Up to five reasons.

    The verdict, the place painted strongest, the first measure there that is out of the ordinary,
    the one that speaks most against, and what is not meant to measure pleural air.

    Parameters
    ----------
    case : Case
    cells : sequence of str
        Those of `FINEST_NAMES` that the image has.

    Returns
    -------
    list of Reason
    """
    found = [_verdict(case)]
    # A measure that is average explains nothing to a reader, whatever the trees make of it.
    odd = np.array([level(float(rank)) != "average" for rank in case.percentiles])
    cell = strongest(case, cells)
    if cell:
        here = case.painted(cell)
        found.append(_cell(case, cell, float(here.sum())))
        first = int(np.argmax(case.sign * odd * here))
        if case.sign * odd[first] * here[first] > 0:
            start = f"Of it, {place(_zone_of(case, first))}: "
            found.append(_feature(case, first, start, float(here[first])))
    against = int(np.argmin(case.sign * odd * case.shap))
    if case.sign * odd[against] * case.shap[against] < 0:
        start = f"Against this speaks {place(_zone_of(case, against))}: "
        found.append(_feature(case, against, start, float(case.shap[against])))
    beside = float(case.shap[[_is_beside(name) for name in case.names]].sum())
    if beside:
        found.append(_beside(case, beside))
    return found


def _verdict(case: Case) -> Reason:
    moved = case.score - case.base
    start = case.probability(without=moved)
    text = (
        f"The probability of pneumothorax is {percent(case.probability())}; before it looks at an "
        f"image the model says {percent(start)}, and this image's measures move the log-odds by "
        f"{signed(moved)}."
    )
    return Reason(text, "", moved)


def _cell(case: Case, cell: str, contribution: float) -> Reason:
    word = "for" if contribution > 0 else "against"
    text = (
        f"Most evidence {word} pneumothorax is painted on {place(cell)}: with the larger zones "
        f"that it lies in it adds {signed(contribution)}, so the probability is "
        f"{percent(case.probability())} instead of "
        f"{percent(case.probability(without=contribution))}."
    )
    return Reason(text, cell, contribution)


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
    more = "" if contribution == whole else f" there, of {signed(whole)} on both lungs"
    text = (
        f"{start}{'' if words.startswith('how ') else 'the '}{words}{comma} is {level(rank)} "
        f"({standing(rank)} percentile of the training images), which by itself adds "
        f"{signed(contribution)}{more}{f' ({note})' if note else ''}."
    )
    return Reason(text, name, contribution, rank)


def label(name: str) -> str:
    """A feature in a few words, without its zone: "mean grey level"."""
    text = _measure_text(name)
    words = text.split(";")[0].split(": ")[0]
    # A closing bracket says which of several distances or scales is meant.
    if text.endswith(")") and not words.endswith(")"):
        words += " " + text[text.rindex("(") :]
    return f"difference in {words}" if name.startswith("asymmetry.") else words


def family_in_words(family: str) -> str:
    """A family of features as a reader would call it."""
    return FAMILIES.get(family, family)


def meaning(name: str) -> str:
    """What moves a feature, as half a sentence: "air in the pleural space is darker than lung".

    Empty for a comparison: what raises a measure does not raise its difference between the lungs.
    """
    if name.startswith("asymmetry."):
        return ""
    _, _, note = _measure_text(name).partition("; ")
    return note[: note.rindex(" (")] if note.endswith(")") else note


def _measure_text(name: str) -> str:
    """The registry's half-sentence on a measure, without the zone it is taken in."""
    family, _, key = name.split(".")
    if family == "asymmetry":
        family, _, key = key.partition("_")
    return registry.measures(family)[key].text


def place(zone: str) -> str:
    """A zone as it stands in a sentence: "the apex of the left lung"."""
    compared = zone in ZONES
    words = registry.zone_in_words(zone).removesuffix(" compared")
    return f"the comparison of {words}" if compared else f"the {words}"


def level(percentile: float) -> str:
    """A percentile as a word."""
    if percentile > 100 - HIGH and percentile < HIGH:
        return "average"
    word = "high" if percentile > 50 else "low"
    return f"unusually {word}" if abs(percentile - 50) >= UNUSUAL - 50 else word


def standing(percentile: float) -> str:
    """A percentile in a sentence, never the 0th or the 100th."""
    if percentile < 1:
        return "below the 1st"
    return "above the 99th" if percentile > 99 else ordinal(percentile)


def ordinal(percentile: float) -> str:
    """A percentile as an ordinal number: 3.2 is "3rd"."""
    number = round(percentile)
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


def percent(probability: float) -> str:
    """A probability as a whole percentage, never rounded to certainty."""
    if probability < 0.01:
        return "below 1%"
    return "above 99%" if probability > 0.99 else f"{100 * probability:.0f}%"


def signed(value: float) -> str:
    """Log-odds with their sign; a true minus is used."""
    return f"{value:+.2f}".replace("-", "−")
