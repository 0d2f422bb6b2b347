"""What a prediction is worth where it is read: predictive values by prevalence, net benefit."""

from dataclasses import dataclass

from baseline.evaluation.results import NetBenefit, OperatingPoint, Shortcuts
from baseline.report import plots

# Shares of chest X-rays with a pneumothorax, from screening to intensive care.
PREVALENCES = (0.01, 0.03, 0.1, 0.2, 0.35)
# The levels of the operating points whose predictive values are shown.
LEVEL = 0.9


@dataclass(frozen=True)
class PredictiveValues:
    """Of one threshold, at some prevalences.

    Parameters
    ----------
    point : OperatingPoint
    values : tuple of (float, float)
        Positive and negative predictive value at each of `PREVALENCES`.
    """

    point: OperatingPoint
    values: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Decisions:
    """What the template shows.

    Parameters
    ----------
    prevalences : tuple of float
    predictive : list of PredictiveValues
    curve : str
        The decision curve as a data URI; "" where there is none.
    best : tuple of (float, float) or None
        Between which thresholds the classifier is clearly better than calling everybody or nobody.
    """

    prevalences: tuple[float, ...]
    predictive: list[PredictiveValues]
    curve: str
    best: tuple[float, float] | None


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float, float]:
    """Positive and negative predictive value by Bayes' rule; NaN where nobody is called so.

    The rates are taken to hold at any prevalence, which they do as far as the patients are alike.
    """
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    missed, cleared = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
    positive = true / (true + false) if true + false else float("nan")
    negative = cleared / (cleared + missed) if cleared + missed else float("nan")
    return positive, negative


def clearly_better(curve: list[NetBenefit]) -> tuple[float, float] | None:
    """The widest run of thresholds at which the gain over both simple ways is surely above zero."""
    runs: list[list[float]] = [[]]
    for point in curve:
        if point.gain.low > 0:
            runs[-1].append(point.threshold)
        elif runs[-1]:
            runs.append([])
    longest = max(runs, key=len)
    return (longest[0], longest[-1]) if longest else None


def decisions(checks: Shortcuts | None) -> Decisions | None:
    """The section; None where the checks were not run."""
    if checks is None:
        return None
    predictive = [
        PredictiveValues(
            point,
            tuple(
                predictive_values(point.sensitivity.value, point.specificity.value, prevalence)
                for prevalence in PREVALENCES
            ),
        )
        for point in checks.operating_points
        if point.level == LEVEL
    ]
    curve = checks.decision_curve
    drawn = plots.decision_curve(curve) if curve else ""
    return Decisions(PREVALENCES, predictive, drawn, clearly_better(curve))
