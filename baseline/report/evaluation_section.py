"""What the report shows of the evaluation: shortcut checks, subgroups, triage, faithfulness.

`baseline.evaluation` writes the records; the report of a run without them has no such parts.
"""

from dataclasses import dataclass
from typing import Any

from baseline.evaluation import shortcuts as shortcut_checks
from baseline.evaluation.results import Rates, Shortcut, Shortcuts
from baseline.explanation import attributions
from baseline.explanation.trained_run import TrainedRun
from baseline.explanation.wording import label
from baseline.learning.scores import Estimate
from baseline.report.result_tables import direction
from features.families import registry

CLASSIFIER = "the classifier"
PERMUTED = "permuted labels"
# Left end of the bars on which values of the AUC are drawn; the right one is 1.
LOWEST_AUC = 0.3


@dataclass(frozen=True)
class Whisker:
    """An estimate with its interval on a bar; places in percent of the bar's width.

    Parameters
    ----------
    name, note : str
        What was estimated, and a remark.
    estimate : Estimate or None
        None where there were too few images.
    left, width, point : float
        Where the interval begins, how wide it is, and where the value lies.
    """

    name: str
    note: str
    estimate: Estimate | None
    left: float = 0.0
    width: float = 0.0
    point: float = 0.0


@dataclass(frozen=True)
class MainMeasure:
    """A measure in words, its zone in words, and what its high values mean: see `direction`."""

    what: str
    where: str
    direction: str


@dataclass(frozen=True)
class SubgroupRates:
    """A subgroup's name with its sensitivity and specificity."""

    name: str
    rates: Rates


def place_on_bar(auc: float) -> float:
    """Where an AUC lies on its bar, in percent; what is beyond an end is drawn at the end."""
    return round(100 * min(max((auc - LOWEST_AUC) / (1 - LOWEST_AUC), 0), 1), 1)


def whisker(name: str, estimate: Estimate | None, note: str = "") -> Whisker:
    """An AUC as the page draws it."""
    if estimate is None:
        return Whisker(name, note, None)
    left, right, point = map(place_on_bar, (estimate.low, estimate.high, estimate.value))
    return Whisker(name, note, estimate, left, round(right - left, 1), point)


def strongest(checks: Shortcuts) -> Shortcut:
    """The shortcut with the highest AUC."""
    return max(checks.shortcuts, key=lambda shortcut: shortcut.auc.value)


def share_of_lead(checks: Shortcuts) -> float | None:
    """How much of the classifier's lead over guessing the strongest shortcut reaches by itself.

    None where the interval of the shortcut or the classifier's value does not exceed 0.5.
    """
    shortcut, classifier = strongest(checks).auc, checks.classifier
    if shortcut.low <= 0.5 or classifier.value <= 0.5:
        return None
    return (shortcut.value - 0.5) / (classifier.value - 0.5)


def main_measure(trained: TrainedRun, shortcut: str) -> MainMeasure | None:
    """The measure of a shortcut that moves the prediction most, with its direction.

    None where the classifier uses none of the shortcut's measures.
    """
    columns = shortcut_checks.measures(trained.explanation.names).get(
        shortcut.removesuffix(" alone"), []
    )
    ranked = attributions.importance(trained.explanation)
    used = ranked[ranked.index.isin(columns) & (ranked > 0)]
    if used.empty:
        return None
    name = str(used.index[0])
    where = registry.zone_in_words(registry.describe(name).zone)
    return MainMeasure(label(name), where, direction(trained, name))


def shortcuts(checks: Shortcuts | None, trained: TrainedRun) -> dict[str, Any] | None:
    """The shortcut checks as the templates show them; None where they were not run."""
    if checks is None:
        return None
    bars = [
        (CLASSIFIER, checks.classifier),
        *((shortcut.name, shortcut.auc) for shortcut in checks.shortcuts),
        (PERMUTED, checks.permuted),
    ]
    return {
        "classifier": CLASSIFIER,
        "bars": [whisker(*bar) for bar in bars],
        "strongest": strongest(checks),
        "share_of_lead": share_of_lead(checks),
        "main_measure": main_measure(trained, strongest(checks).name),
        "subgroups": [
            whisker(
                f"{group.kind}: {group.name}",
                group.auc,
                f"{group.positives} with, {group.negatives} without",
            )
            for group in checks.subgroups
        ],
        "subgroup_rates": [
            SubgroupRates(f"{group.kind}: {group.name}", group.rates) for group in checks.subgroups
        ],
        "operating_points": checks.operating_points,
        "triage": checks.triage,
    }
