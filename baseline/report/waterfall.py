"""Waterfalls: bars from the base value to the score of an image, one contribution after another."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from baseline.explanation.attributions import PLACES
from baseline.explanation.case import Case
from baseline.explanation.wording import family_in_words, label
from features.families import registry

# Bars of a waterfall before the rest is summed in one.
MEASURES_SHOWN, PLACES_SHOWN = 8, 7


@dataclass(frozen=True)
class Bar:
    """One step of a waterfall; its place is in percent of the track's width.

    Parameters
    ----------
    what, where : str
        Names of the contribution.
    note : str
        Remark, e.g. the value's percentile.
    value : float
        Contribution in log-odds; the running total for kind "total".
    left, width : float
        Where the bar starts and how wide it is, in percent.
    kind : {"for", "against", "total"}
    """

    what: str
    where: str
    note: str
    value: float
    left: float
    width: float
    kind: str


@dataclass(frozen=True)
class Contribution:
    """What moves the score: its names and remark as in `Bar`, and how far, in log-odds."""

    what: str
    where: str
    note: str
    value: float


def by_place(case: Case) -> list[Bar]:
    """The waterfall by place in the lungs."""
    contributions = [
        Contribution(registry.zone_in_words(place), "", "", float(case.within(place).sum()))
        for place in PLACES
    ]
    return waterfall(case.base, contributions, PLACES_SHOWN, "places")


def by_family(case: Case) -> list[Bar]:
    """The waterfall by family of measures."""
    sums = pd.Series(case.shap).groupby([name.split(".")[0] for name in case.names]).sum()
    contributions = [
        Contribution(family_in_words(str(name)), "", "", value) for name, value in sums.items()
    ]
    return waterfall(case.base, contributions, len(contributions), "families")


def by_measure(case: Case) -> list[Bar]:
    """The waterfall by single measure."""
    contributions = [
        Contribution(
            label(name),
            registry.zone_in_words(registry.describe(name).zone),
            f"percentile {rank:.0f}",
            float(value),
        )
        for name, rank, value in zip(case.names, case.percentiles, case.shap, strict=True)
    ]
    return waterfall(case.base, contributions, MEASURES_SHOWN, "measures")


def waterfall(base: float, contributions: list[Contribution], count: int, plural: str) -> list[Bar]:
    """Bars from the base value to the score, the largest contributions first, none dropped.

    Parameters
    ----------
    base : float
        Where the waterfall starts, in log-odds.
    contributions : list of Contribution
    count : int
        Number of single bars; all others are summed in one.
    plural : str
        What the others are called.
    """
    ordered = sorted(contributions, key=lambda step: -abs(step.value))
    shown, rest = ordered[:count], ordered[count:]
    if rest:
        total_of_rest = sum(step.value for step in rest)
        shown = [*shown, Contribution(f"all {len(rest)} other {plural}", "", "", total_of_rest)]
    stops = base + np.concatenate(([0.0], np.cumsum([step.value for step in shown])))
    low, high = min(stops.min(), 0.0), max(stops.max(), 0.0)
    # A little room on both sides keeps the outermost bars off the edge.
    span = (high - low) * 1.04 or 1.0
    low -= (high - low) * 0.02

    def percent(value: float) -> float:
        return round(100 * (value - low) / span, 2)

    def total(what: str, value: float) -> Bar:
        left, right = sorted((percent(0.0), percent(value)))
        return Bar(what, "", "", value, left, right - left, "total")

    bars = [total("base value, without any measure", base)]
    for step, start, stop in zip(shown, stops[:-1], stops[1:], strict=True):
        left, right = sorted((percent(start), percent(stop)))
        kind = "for" if step.value >= 0 else "against"
        bars.append(Bar(step.what, step.where, step.note, step.value, left, right - left, kind))
    return [*bars, total("score of this image", float(stops[-1]))]
