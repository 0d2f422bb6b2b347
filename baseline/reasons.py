"""Reasons in words: up to four sentences that say what moved the verdict on one X-ray, and where.

Every number in a sentence is computed from the image's SHAP values, its features and the
calibration, and stands beside the sentence in its `Reason`, so the words are true by construction.
"Instead of" compares the probability with the one left after taking a contribution off the score.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baseline.attributions import PLACES, parts
from baseline.calibrate import Calibration
from features import registry
from features.zones import ZONES

Floats = NDArray[np.float64]

# From the median: percentiles at which a measure is called high or low, and unusually so.
HIGH, UNUSUAL = 200 / 3, 90.0
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
    "confounders": "tubes, leads, text (no sign of disease)",
    "acquisition": "age, sex, view (no sign of disease)",
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
        What it speaks of: a feature, a zone, or "" for the verdict as a whole.
    contribution : float
        Sum of the SHAP values it speaks of, in log-odds.
    percentile : float or None
        Where the feature's value lies among the training images, 0 to 100; None for a zone.
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
        SHAP values in log-odds.
    base : float
        Base value in log-odds.
    percentiles : (m,) array
        Where each feature lies among the training images, 0 to 100.
    right : (m,) array
        Share of each feature that the right lung answers for, from `attributions.right_shares`.
    calibration : Calibration
        Turns the raw score into the probability.
    """

    names: tuple[str, ...]
    shap: Floats
    base: float
    percentiles: Floats
    right: Floats
    calibration: Calibration

    @property
    def score(self) -> float:
        """Raw score in log-odds."""
        return self.base + float(self.shap.sum())

    def probability(self, without: float = 0.0) -> float:
        """Calibrated probability, after taking `without` (log-odds) off the raw score."""
        return float(self.calibration(np.array(self.score - without)))

    def within(self, place: str) -> Floats:
        """SHAP values as far as they belong to one of `attributions.PLACES`, shape (m,)."""
        return self.shap * parts(self.names, self.right, place)


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


def sentences(case: Case) -> list[Reason]:
    """Up to four reasons: the verdict, the zone behind it, its first measure, what speaks against.

    Parameters
    ----------
    case : Case

    Returns
    -------
    list of Reason
    """
    sign = 1.0 if case.probability() >= 0.5 else -1.0
    found = [_verdict(case)]
    sums = {place: sign * float(case.within(place).sum()) for place in PLACES}
    zone = max(sums, key=sums.__getitem__)
    if sums[zone] > 0:
        found.append(_zone(case, zone, sign * sums[zone]))
        found.append(_feature(case, int(np.argmax(sign * case.within(zone))), "There, "))
    against = int(np.argmin(sign * case.shap))
    if sign * case.shap[against] < 0:
        where = place(registry.describe(case.names[against]).zone)
        found.append(_feature(case, against, f"Against this speaks {where}: "))
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


def _zone(case: Case, zone: str, contribution: float) -> Reason:
    word = "for" if contribution > 0 else "against"
    text = (
        f"Most evidence {word} pneumothorax comes from {place(zone)}: all that is measured there "
        f"adds {signed(contribution)}, so the probability is {percent(case.probability())} instead "
        f"of {percent(case.probability(without=contribution))}."
    )
    return Reason(text, zone, contribution)


def _feature(case: Case, number: int, start: str) -> Reason:
    name, contribution = case.names[number], float(case.shap[number])
    rank = float(case.percentiles[number])
    words, note = label(name), meaning(name)
    text = (
        f"{start}{'' if words.startswith('how ') else 'the '}{words} is {level(rank)} "
        f"({ordinal(rank)} percentile of the training images), which by itself adds "
        f"{signed(contribution)}{f' ({note})' if note else ''}."
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
    """What moves a feature, as half a sentence: "air in the pleural space is darker than lung"."""
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
