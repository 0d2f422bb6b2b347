"""Figures by matplotlib, as PNG data URIs: ROC and decision curve, reliability, shap's beeswarm.

No figure uses pyplot's global state; shap's plot is given axes of its own to stay out of it too.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_curve

from baseline.evaluation.results import NetBenefit
from baseline.explanation.attributions import Explanation, importance, shap_module
from baseline.explanation.wording import label
from baseline.learning import scores
from baseline.report.gate_curves import Tick
from features.families import registry

Floats = NDArray[np.float64]

# Colours with enough contrast on white.
INK, MUTED, LINE = "#1c2733", "#5b6875", "#1f5f99"
# Rows of the beeswarm, and the round values on its axis.
MEASURES_SHOWN = 12
AXIS = MaxNLocator(5, steps=[1, 2, 5, 10])


@dataclass(frozen=True)
class Row:
    """A row of the beeswarm: what is measured, where, and its dots as a PNG data URI."""

    what: str
    where: str
    uri: str


@dataclass(frozen=True)
class Swarm:
    """The beeswarm; the ticks of its common axis lie in percent of its width."""

    rows: list[Row]
    ticks: list[Tick]


def uri(figure: Figure) -> str:
    """A figure as a PNG data URI, the same bytes for the same figure.

    A palette of 128 colours is enough for dots, lines and text, and takes a third of the bytes.
    """
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(160)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()).quantize(128)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    figure.clear()
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _square(x: str, y: str) -> Figure:
    figure = Figure(figsize=(3.9, 3.9), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#b8c0c8", lw=1, ls="--")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.tick_params(colors=MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def roc(curves: dict[str, tuple[Floats, Floats]]) -> str:
    """ROC curves.

    Parameters
    ----------
    curves : dict of (labels, probabilities)
        One curve each, by its name in the legend; labels are 0 and 1, both present.
    """
    figure = _square("1 − specificity (share of false alarms)", "sensitivity (share found)")
    axes = figure.axes[0]
    for (name, (labels, values)), style in zip(curves.items(), ("-", ":", "-."), strict=False):
        false, true, _ = roc_curve(labels, values)
        axes.plot(false, true, style, color=LINE, lw=2, label=name)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return uri(figure)


def reliability_bins(labels: Floats, probabilities: Floats, bins: int) -> Floats:
    """Bins of equal counts: predicted and observed share, and the latter's 95% Wilson interval.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    probabilities : (n,) array in [0, 1]
    bins : int

    Returns
    -------
    (bins, 4) array
        Mean probability, share of positives, lower and upper end (Wilson 1927).
    """
    rows = []
    for part in np.array_split(np.argsort(probabilities, kind="stable"), min(bins, len(labels))):
        share = float(labels[part].mean())
        rows.append((probabilities[part].mean(), share, *scores.wilson(share, len(part))))
    return np.array(rows)


def reliability(labels: Floats, probabilities: Floats) -> str:
    """Reliability diagram: the share of positives against the predicted probability."""
    # About 15 images a bin: fewer would show noise, not calibration.
    bins = reliability_bins(labels, probabilities, int(np.clip(len(labels) // 15, 2, 10)))
    figure = _square("predicted probability", "share that had a pneumothorax")
    axes = figure.axes[0]
    axes.vlines(bins[:, 0], bins[:, 2], bins[:, 3], color=LINE, lw=1.2, alpha=0.6)
    axes.plot(bins[:, 0], bins[:, 1], "o-", color=LINE, lw=1.5, ms=5)
    return uri(figure)


def decision_curve(curve: Sequence[NetBenefit]) -> str:
    """Net benefit per 100 images against the threshold, with intervals and the simple ways."""
    x = [100 * point.threshold for point in curve]
    low, value, high = (
        [100 * getattr(point.classifier, name) for point in curve]
        for name in ("low", "value", "high")
    )
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(x, low, high, color=LINE, alpha=0.18, lw=0)
    axes.plot(x, value, color=LINE, lw=2, label="the classifier")
    everybody = [100 * point.everybody for point in curve]
    axes.plot(x, everybody, color=MUTED, lw=1.3, ls="--", label="everybody called positive")
    axes.axhline(0, color=MUTED, lw=1.3, ls=":", label="nobody")
    axes.set_ylim(min(-3.0, *low), 1.15 * max(*high, *everybody))
    axes.set_xlabel("probability from which one acts (%)", color=INK)
    axes.set_ylabel("net benefit per 100 images", color=INK)
    axes.tick_params(colors=MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return uri(figure)


def beeswarm(
    explanation: Explanation, features: NDArray[np.floating], count: int = MEASURES_SHOWN
) -> Swarm:
    """shap's beeswarm of the measures that move the prediction most, one picture a measure.

    Names and axis are not in the pictures, so that a phone shows them whole and in a legible size.

    Parameters
    ----------
    explanation : Explanation
    features : (n, m) array
        The features' values, in the explanation's order.
    count : int
        Number of measures; the sum of all others is no row, since it has no value to colour by.
    """
    top = list(importance(explanation).index[:count])
    columns = [explanation.names.index(name) for name in top]
    values = explanation.values[:, columns]
    # Room for half a dot on either side.
    margin = 0.02 * (float(np.ptp(values)) or 1.0)
    low, high = min(values.min(), 0.0) - margin, max(values.max(), 0.0) + margin
    rows = []
    # shap shuffles the dots with numpy's global generator: it is seeded for the same picture each
    # time, and its state is restored.
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        for name, column in zip(top, columns, strict=True):
            dots = explanation.values[:, column], np.asarray(features[:, column], float)
            place = registry.zone_in_words(registry.describe(name).zone)
            rows.append(Row(label(name), place, _dots(*dots, low, high)))
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return Swarm(rows, _ticks(low, high))


def _ticks(low: float, high: float) -> list[Tick]:
    """Round values on an axis, none so near to an end that its label would be cut off."""
    stops = [round(float(stop), 9) for stop in AXIS.tick_values(low, high)]
    placed = [(round(100 * (stop - low) / (high - low), 2), stop) for stop in stops]
    # A true minus, and no sign on 0.
    return [
        Tick(place, f"{stop:+g}".replace("-", "−") if stop else "0")
        for place, stop in placed
        if 4 <= place <= 96
    ]


def _dots(values: Floats, features: Floats, low: float, high: float) -> str:
    """A row of shap's beeswarm, from `low` to `high`, without any letter."""
    shap = shap_module()
    table = shap.Explanation(
        values=values[:, None],
        base_values=np.zeros(len(values)),
        data=features[:, None],
        feature_names=[""],
    )
    figure = Figure(figsize=(4.6, 0.42))
    axes = figure.add_axes((0, 0, 1, 1))
    shap.plots.beeswarm(
        table, max_display=1, ax=axes, show=False, plot_size=None, s=9, color_bar=False,
        group_remaining_features=False,
    )  # fmt: skip
    axes.set(xlim=(low, high), ylim=(-0.45, 0.45))
    axes.set_axis_off()
    return uri(figure)
