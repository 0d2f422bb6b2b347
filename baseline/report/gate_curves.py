"""Curves of the gate: mean Dice against a policy's threshold, laid out as inline SVG.

Here thresholds and scores become places in a panel, which templates/section_gate.html draws. Inline
drawings are as sharp in print as on a phone, and take their colours from the page.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from baseline.gate.figures import Curve, GateFigures

# The frame of a panel, in the units of the template's drawing.
LEFT, RIGHT, TOP, BOTTOM = 42, 286, 10, 176
# The least distance of two labels on the axis of thresholds.
LABEL_DISTANCE = 36
# What a policy's threshold limits, by kind of axis.
AXES = {
    "area": "smallest area above the top level, % of the image",
    "probability": "smallest probability to keep a mask",
    "payoff": "expected gain for each Dice of 1 at risk",
}
# Values to label, the most important first.
PROBABILITIES = (0.5, 0.1, 0.9, 0.01, 0.99, 0.001, 0.999, 0.25, 0.75, 0.05, 0.95)
PAYOFFS = (1.0, 10.0, 0.1, 100.0, 0.01, 1000.0, 0.001, 3.0, 0.3)
AREAS = (0.01, 0.1, 0.001, 0.0001, 0.00001, 0.03, 0.3, 0.003, 0.0003)


@dataclass(frozen=True)
class Tick:
    """A label on an axis and its place, in the panel's units or in percent."""

    place: float
    text: str


@dataclass(frozen=True)
class Panel:
    """A policy's mean Dice against its threshold, in the units of the panel.

    Parameters
    ----------
    policy : str
    path : str
        The curve, "" for a policy without threshold.
    x : float or None
        Place of the chosen threshold.
    y, nested, low, high : float
        Places of the chosen rule's Dice on the images it was chosen on, and of the nested score
        with its interval.
    ticks : list of Tick
        On the axis of thresholds.
    axis, threshold : str
        What the threshold limits, and the chosen one in words.
    curve : Curve
        The numbers themselves.
    """

    policy: str
    path: str
    x: float | None
    y: float
    nested: float
    low: float
    high: float
    ticks: list[Tick]
    axis: str
    threshold: str
    curve: Curve


@dataclass(frozen=True)
class Scale:
    """Mean Dice from `low` at the bottom to `high` at the top of every panel."""

    low: float
    high: float

    def place(self, dice: float) -> float:
        """Where a mean Dice lies, held within the frame."""
        share = (dice - self.low) / (self.high - self.low)
        return round(BOTTOM - min(max(share, 0.0), 1.0) * (BOTTOM - TOP), 1)

    def ticks(self) -> list[Tick]:
        """Three to six round values."""
        steps = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
        step = next((s for s in steps if (self.high - self.low) / s <= 5.5), 0.5)
        first, last = np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9)
        values = step * np.arange(first, last + 1)
        return [Tick(self.place(v), f"{v:.3f}" if step < 0.01 else f"{v:.2f}") for v in values]


@dataclass(frozen=True)
class Axis:
    """Thresholds from `least` to `most`, with some room on both sides to `low` and `high`."""

    low: float
    least: float
    most: float
    high: float

    def place(self, value: float) -> float:
        """Where a threshold lies."""
        share = (value - self.low) / (self.high - self.low)
        return round(LEFT + min(max(share, 0.0), 1.0) * (RIGHT - LEFT), 1)


def span(values: list[float]) -> Axis:
    """An axis that holds all thresholds, with room on the right, where all masks are empty."""
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.5
    return Axis(low - margin, low, high, high + margin)


def common_scale(figures: GateFigures) -> Scale:
    """One scale for all panels, so that they can be compared: it holds every score's interval.

    A curve may fall far below, where every mask is kept. It is cut off there; else the differences
    that matter would be too small to see.
    """
    marks = [figures.all_empty]
    for curve in figures.curves:
        marks += [curve.dice, curve.nested.value, curve.nested.low, curve.nested.high]
        marks += [max((dice for _, dice in curve.points), default=curve.dice)]
    margin = max(0.06 * (max(marks) - min(marks)), 0.005)
    return Scale(max(min(marks) - margin, 0.0), min(max(marks) + margin, 1.0))


def axis_kind(policy: str) -> str:
    """The axis that a policy's threshold lies on, one of `AXES`."""
    return {"unet": "area", "expected": "payoff"}.get(policy, "probability")


def axis_value(policy: str, threshold: float) -> float:
    """Where a threshold lies on its axis: log-odds as they are, areas by their logarithm."""
    return float(np.log10(max(threshold, 1e-7))) if policy == "unet" else threshold


def in_words(policy: str, threshold: float) -> str:
    """A threshold in a sentence."""
    if axis_kind(policy) == "area":
        return "any area" if threshold == 0 else f"{100 * threshold:.2g}% of the image"
    short = axis_label(policy, threshold)
    return f"a gain of {short}" if axis_kind(policy) == "payoff" else short


def axis_label(policy: str, value: float) -> str:
    """A place on the axis as a label."""
    if axis_kind(policy) == "area":
        return f"{100 * 10**value:.2g}"
    if axis_kind(policy) == "payoff":
        return f"{np.exp(value):.2g}"
    # Near 100% the digits that matter are those of the difference from 100%.
    share = 100 * expit(value)
    return f"{share:.2g}%" if share < 90 else f"{100 - float(f'{100 - share:.2g}'):.6g}%"


def ticks(policy: str, axis: Axis) -> list[Tick]:
    """Labels within the panel, no two nearer than `LABEL_DISTANCE`; the ends of a narrow axis."""
    if axis_kind(policy) == "area":
        candidates = [(float(np.log10(v)), f"{100 * v:g}") for v in AREAS]
    elif axis_kind(policy) == "payoff":
        candidates = [(float(np.log(v)), f"{v:g}") for v in PAYOFFS]
    else:
        candidates = [(float(logit(v)), f"{100 * v:g}%") for v in PROBABILITIES]
    placed: list[Tick] = []
    for value, text in candidates:
        place = axis.place(value)
        # Room on the right for the label of the strip beside the panel.
        inside = axis.low <= value <= axis.high and place <= RIGHT - LABEL_DISTANCE / 2
        if inside and all(abs(place - other.place) >= LABEL_DISTANCE for other in placed):
            placed.append(Tick(place, text))
    if len(placed) < 2:
        ends = (axis.least, axis.most) if axis.most > axis.least else (axis.least,)
        placed = [Tick(axis.place(end), axis_label(policy, end)) for end in ends]
    return sorted(placed, key=lambda tick: tick.place)


def steps(stops: list[tuple[float, float]], scale: Scale) -> str:
    """The curve as an SVG path of level steps, cut off where it lies below the frame.

    Parameters
    ----------
    stops : list of (float, float)
        Where each step ends, in the panel's units, and its mean Dice.
    scale : Scale
    """
    parts: list[str] = []
    x, was_below = LEFT + 0.0, True
    for right, dice in stops:
        y, is_below = scale.place(dice), dice < scale.low
        if not is_below:
            start = f"M{x:g} {BOTTOM if parts else y:g}" if was_below else ""
            parts.append(f"{start}V{y:g}H{right:g}")
        elif not was_below:
            parts.append(f"V{BOTTOM}")
        else:
            parts.append("")
        was_below, x = is_below, right
    return "".join(parts)


def panel(curve: Curve, all_empty: float, scale: Scale) -> Panel:
    """Lay out one policy.

    Parameters
    ----------
    curve : Curve
    all_empty : float
        Mean Dice of the all-empty submission.
    scale : Scale
    """
    path, x, labels, threshold = "", None, [], ""
    if curve.points and curve.threshold is not None:
        policy = curve.policy
        thresholds, heights = zip(*curve.points, strict=True)
        values = [axis_value(policy, value) for value in thresholds]
        # An area of 0 has no logarithm: it lies a little left of the smallest.
        if policy == "unet" and len(values) > 1:
            values[0] = values[1] - 0.3
        axis = span(values)
        places = [axis.place(value) for value in values]
        # Beyond the last threshold every mask is empty.
        path = steps([*zip(places, heights, strict=True), (float(RIGHT), all_empty)], scale)
        x = places[thresholds.index(curve.threshold)]
        labels, threshold = ticks(policy, axis), in_words(policy, curve.threshold)
    return Panel(
        policy=curve.policy,
        path=path,
        x=x,
        y=scale.place(curve.dice),
        nested=scale.place(curve.nested.value),
        low=scale.place(curve.nested.low),
        high=scale.place(curve.nested.high),
        ticks=labels,
        axis=AXES[axis_kind(curve.policy)],
        threshold=threshold,
        curve=curve,
    )
