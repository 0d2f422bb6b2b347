"""One case of the report: its picture with the painted zones, its waterfalls and its sentences.

A case is drawn from plain numbers by a function of its own, so that cases can be drawn by several
processes. What comes out is all that the macros in templates/case.html need.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map.maps import EvidenceMap, paint
from baseline.explanation import overlays
from baseline.explanation.attributions import PLACES
from baseline.explanation.overlays import Contour, Region
from baseline.explanation.sentences import (
    Case,
    Reason,
    family_in_words,
    label,
    sentences,
    strongest,
)
from features.families import registry
from features.lungs.prepared import prepare, working_size
from features.reading import images, rle

Floats = NDArray[np.float64]

# Evidence that is painted in full colour, in log-odds: 1 makes the odds 2.7 times as high. The same
# on every page of every run, so that colours compare; of real X-rays and of phantoms alike, one
# image in twenty has a place with more.
FULL = 1.0
# Bars of a waterfall before the rest is summed in one.
MEASURES, PLACES_SHOWN = 8, 7


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
class Picture:
    """An X-ray and what is drawn on it.

    Parameters
    ----------
    uri : str
        JPEG data URI.
    width, height : int
        In pixels; outlines use the same coordinates.
    regions : list of Region
        Painted parts of the lungs.
    truth, unet : str
        Outlines of the true mask and of the drawn one, "" for none.
    heat : list of Contour
        The evidence map; empty where there is none or it is cold all over.
    """

    uri: str
    width: int
    height: int
    regions: list[Region]
    truth: str
    unet: str
    heat: list[Contour]


@dataclass(frozen=True)
class Order:
    """What is needed to draw a case, apart from the sentences' numbers.

    Parameters
    ----------
    id, path : str
        The image.
    size : (int, int)
        Its rows and columns.
    case : Case
        SHAP values and percentiles.
    mask, unet : str
        Run-length codes of the true mask and of the drawn one; "-1" where there is none.
    heat : Heat or None
        The evidence map, None where the run has none.
    spot : Reason or None
        The sentence on its hottest spot.
    """

    id: str
    path: str
    size: tuple[int, int]
    case: Case
    mask: str = rle.EMPTY
    unet: str = rle.EMPTY
    heat: EvidenceMap | None = None
    spot: Reason | None = None


@dataclass(frozen=True)
class Drawn:
    """A drawn case.

    `named` is the cell that the sentences name, "" for none, and `top_place` the same in words;
    `mapped` says whether there is an evidence map, be it cold.
    """

    id: str
    anchor: str
    picture: Picture
    reasons: list[Reason]
    by_measure: list[Bar]
    by_place: list[Bar]
    by_family: list[Bar]
    named: str
    top_place: str
    mapped: bool


def anchor(name: str) -> str:
    """Anchor of an image in the page: the same in every report, whatever its id is made of."""
    return "case-" + hashlib.sha256(name.encode()).hexdigest()[:10]


def draw(order: Order) -> Drawn:
    """Draw one case.

    Raises
    ------
    UnreadableImage
        If the image cannot be read any more.
    """
    case = order.case
    evidence = pd.Series({name: float(case.within(name).sum()) for name in PLACES})
    families = pd.Series(case.shap).groupby([name.split(".")[0] for name in case.names]).sum()
    places = [
        (registry.zone_in_words(str(name)), "", "", value) for name, value in evidence.items()
    ]
    kinds = [(family_in_words(str(name)), "", "", value) for name, value in families.items()]
    painted = picture(order, evidence)
    cells = [region.zones[-1] for region in painted.regions]
    named = strongest(case, cells)
    return Drawn(
        id=order.id,
        anchor=anchor(order.id),
        picture=painted,
        reasons=[*sentences(case, cells), *([order.spot] if order.spot else [])],
        by_measure=_measure_bars(case),
        by_place=waterfall(case.base, places, PLACES_SHOWN, "places"),
        by_family=waterfall(case.base, kinds, len(kinds), "families"),
        named=named,
        top_place=registry.zone_in_words(named) if named else "",
        mapped=order.heat is not None,
    )


def picture(order: Order, evidence: pd.Series) -> Picture:
    """The X-ray at the working size of 512 pixels, with painted zones and outlined masks."""
    pixels = images.read(order.path)[1]
    prepared = prepare(pixels)
    small = working_size(pixels)
    rows, columns = small.shape

    def outlined(code: str) -> str:
        return overlays.outline(overlays.shrink(rle.decode(code, order.size), small.shape))

    return Picture(
        uri=overlays.jpeg(small),
        width=columns,
        height=rows,
        regions=overlays.regions(prepared.zones, evidence),
        truth=outlined(order.mask),
        unet=outlined(order.unet),
        heat=[] if order.heat is None else overlays.contours(paint(order.heat, (rows, columns))),
    )


def _measure_bars(case: Case) -> list[Bar]:
    steps = [
        (
            label(name),
            registry.zone_in_words(registry.describe(name).zone),
            f"percentile {rank:.0f}",
            float(value),
        )
        for name, rank, value in zip(case.names, case.percentiles, case.shap, strict=True)
    ]
    return waterfall(case.base, steps, MEASURES, "measures")


def waterfall(
    base: float, steps: list[tuple[str, str, str, float]], count: int, plural: str
) -> list[Bar]:
    """Bars from the base value to the score, the largest contributions first, none dropped.

    Parameters
    ----------
    base : float
        Where the waterfall starts, in log-odds.
    steps : list of (what, where, note, contribution)
    count : int
        Number of single bars; all others are summed in one.
    plural : str
        What the others are called.
    """
    ordered = sorted(steps, key=lambda step: -abs(step[3]))
    rest = ordered[count:]
    shown = ordered[:count]
    if rest:
        shown = [*shown, (f"all {len(rest)} other {plural}", "", "", sum(s[3] for s in rest))]
    stops = base + np.concatenate(([0.0], np.cumsum([step[3] for step in shown])))
    low, high = min(stops.min(), 0.0), max(stops.max(), 0.0)
    # A little air on both sides keeps the outermost bars off the edge.
    span = (high - low) * 1.04 or 1.0
    low -= (high - low) * 0.02

    def percent(value: float) -> float:
        return round(100 * (value - low) / span, 2)

    def total(what: str, value: float) -> Bar:
        left, right = sorted((percent(0.0), percent(value)))
        return Bar(what, "", "", value, left, right - left, "total")

    bars = [total("before the image is seen", base)]
    for (what, place, note, value), start, stop in zip(shown, stops[:-1], stops[1:], strict=True):
        left, right = sorted((percent(start), percent(stop)))
        kind = "for" if value >= 0 else "against"
        bars.append(Bar(what, place, note, value, left, right - left, kind))
    return [*bars, total("score of this image", float(stops[-1]))]
