"""What the report's tables and bars show, from the files that the stages of the verdict wrote."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from baseline.evaluation import shortcuts as scrutiny
from baseline.evaluation.subgroups import at_half
from baseline.explanation import attributions
from baseline.explanation.sentences import label
from baseline.explanation.trained_run import Inputs
from baseline.learning.scores import Estimate
from baseline.report import which_cases
from features.families import registry

TOP_MEASURES = 15
# Rank correlation between value and SHAP value above which a measure speaks in one direction.
ONE_WAY = 0.5
GROUP_NAMES = {
    "out_of_fold": "Out of fold, true labels",
    "test": "Test images, true labels",
    "agreement_with_weak_labels": "Agreement with weak labels (no truth)",
}
# Left end of the bars on which values of the AUC are drawn; the right one is 1.
LOWEST = 0.3


@dataclass(frozen=True)
class Whisker:
    """An estimate with its interval on a bar; places in percent of the bar's width.

    Parameters
    ----------
    name, note : str
        What was estimated, and a remark.
    estimate : Estimate or None
        None where there were too few images to judge.
    left, width, point : float
        Where the interval begins, how wide it is, and where the value lies.
    """

    name: str
    note: str
    estimate: Estimate | None
    left: float = 0.0
    width: float = 0.0
    point: float = 0.0


def estimates(line: dict[str, Any]) -> dict[str, Any]:
    """A line of a JSON file with its estimates as `Estimate`."""
    return {k: Estimate(**v) if isinstance(v, dict) else v for k, v in line.items()}


def place(value: float) -> float:
    """Where an AUC lies on its bar, in percent; what is beyond an end is drawn at the end."""
    return round(100 * min(max((value - LOWEST) / (1 - LOWEST), 0), 1), 1)


def whisker(name: str, estimate: Estimate | None, note: str = "") -> Whisker:
    """An AUC as the page draws it."""
    if estimate is None:
        return Whisker(name, note, None)
    left, right, point = (place(v) for v in (estimate.low, estimate.high, estimate.value))
    return Whisker(name, note, estimate, left, round(right - left, 1), point)


def scoreboard(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a set of images: name, counts, and scores with their intervals."""
    return [
        estimates(metrics[key]) | {"key": key, "name": name}
        for key, name in GROUP_NAMES.items()
        if key in metrics
    ]


def known(inputs: Inputs) -> pd.DataFrame:
    """Out-of-fold predictions of the truly labelled images."""
    predicted = inputs.predicted
    return predicted[(predicted["kind"] == "oof") & predicted["label"].notna()]


def confusion(inputs: Inputs) -> dict[str, int]:
    """Outcomes of the truly labelled out-of-fold images at a probability of 50%."""
    rows = known(inputs)
    outcomes = list(map(which_cases.outcome, rows["probability"], rows["label"]))
    return {name: outcomes.count(name) for name in which_cases.OUTCOMES}


def rates(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Sensitivity and specificity of the same, with their intervals, by name."""
    return {line["name"]: estimates(line) for line in at_half(known(inputs))}


def constant(inputs: Inputs) -> dict[str, float]:
    """Share of positives, and the Brier score of always saying it."""
    share = float(known(inputs)["label"].mean())
    return {"share": share, "brier": share * (1 - share)}


def shares(sums: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean absolute evidence of each group with its bar's width in percent, largest first."""
    mean = sums.abs().mean().sort_values(ascending=False, kind="stable")
    top = max(float(mean.iloc[0]), 1e-12)
    return [
        {"name": str(name), "value": float(value), "width": round(100 * float(value) / top, 2)}
        for name, value in mean.items()
    ]


def top_measures(inputs: Inputs) -> list[dict[str, Any]]:
    """The measures that move the verdict most, with what high values of each speak for."""
    ranked = attributions.importance(inputs.explanation).head(TOP_MEASURES)
    return [
        {**asdict(registry.describe(name)), "mean": mean, "direction": direction(inputs, name)}
        for name, mean in zip(map(str, ranked.index), ranked, strict=True)
    ]


def direction(inputs: Inputs, name: str) -> str:
    """What high values of a measure speak: "for", "against", or "it depends"."""
    values = inputs.explanation.values[:, inputs.explanation.names.index(name)]
    feature = inputs.own[name].to_numpy()
    # A constant has no rank correlation.
    same = np.ptp(values) == 0 or np.ptp(feature) == 0
    rank = 0.0 if same else float(spearmanr(feature, values).statistic)
    return "for" if rank > ONE_WAY else "against" if rank < -ONE_WAY else "it depends"


def main_measure(inputs: Inputs, shortcut: str) -> dict[str, str] | None:
    """The measure of a shortcut that moves the verdict most: what, where and its direction.

    None where the verdict goes by none of the shortcut's measures.
    """
    columns = scrutiny.measures(inputs.explanation.names).get(shortcut.removesuffix(" alone"), [])
    ranked = attributions.importance(inputs.explanation)
    used = ranked[ranked.index.isin(columns) & (ranked > 0)]
    if used.empty:
        return None
    name = str(used.index[0])
    where = registry.zone_in_words(registry.describe(name).zone)
    return {"what": label(name), "where": where, "direction": direction(inputs, name)}


def questions(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """What scrutiny found as the template shows it: estimates, and the strongest shortcut.

    The share is how much of the verdict's lead over guessing that shortcut has by itself, or None
    where its interval holds 0.5.
    """
    if found is None:
        return None
    verdict, *shortcuts, permuted = map(estimates, found["shortcuts"])
    strongest = max(shortcuts, key=lambda line: line["auc"].value)
    told = strongest["auc"].low > 0.5 and verdict["auc"].value > 0.5
    share = (strongest["auc"].value - 0.5) / (verdict["auc"].value - 0.5) if told else None
    return {
        "shortcuts": [whisker(line["name"], line["auc"]) for line in (verdict, *shortcuts)]
        + [whisker(permuted["name"], permuted["auc"])],
        "verdict": verdict,
        "strongest": strongest,
        "share": share,
        "subgroups": list(subgroups(map(estimates, found["subgroups"]))),
        "struck": [
            {
                "name": f"{line['kind']}: {line['name']}",
                "rates": list(map(estimates, line["rates"])),
            }
            for line in found["subgroups"]
        ],
        "points": [estimates(line) for line in found["operating_points"]],
        "triage": estimates(found["triage"]),
    }


def subgroups(lines: Iterable[dict[str, Any]]) -> Iterable[Whisker]:
    """Subgroups with their counts as a note."""
    for line in lines:
        note = f"{line['positives']} with, {line['negatives']} without"
        yield whisker(f"{line['kind']}: {line['name']}", line.get("auc"), note)


def faith(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was found of the reasons' faithfulness as the template shows it."""
    if found is None:
        return None
    pointing = dict(found["pointing"])
    sides = pointing.pop("sides", {})
    return {
        "pointing": estimates(pointing),
        "sides": sides,
        "balanced": Estimate(**sides["balanced"]) if sides.get("balanced") else None,
        "area": estimates(found["deletion"]["area"]),
        "most": found["deletion"]["sizes"][-1],
        "stability": estimates(found["stability"]),
    }
