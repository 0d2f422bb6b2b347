"""What the gate earns and what it costs, for the report: RUN/cnn/economics.json.

The report lies upstream and knows no network, so what it shows of the gate waits for it in a file:

silence, images, positives, mean_log_odds
    Mean Dice of never speaking, the counts of labelled images, and what tells the report whether
    the verdict is still the one that the gate was asked with.
curves
    For every policy, mean Dice against its gate threshold, all else in its rule as chosen. Measured
    on the images that the rule was chosen on; `nested` is the score that is not.
floors, levels
    What every smallest area and every mask level would delete of the default policy's masks: true
    lesions against false masks. `alone` asks nothing but the mask, `gate` the policy's whole rule.
disagreements
    Images on which the ungated U-Net and the gate decide differently.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.gate import rules as gate
from baseline.gate.rules import AREAS, LEVELS, GateInputs, Rule
from features.run import files

Flags = NDArray[np.bool_]

# Thresholds of a curve; as many as the images, if those are fewer.
POINTS = 120
# Cases of each kind of disagreement that are kept, those that matter most.
CASES = 50


def at_threshold(rule: Rule, threshold: float) -> Rule:
    """The same rule with another gate threshold: the smallest area where no score is asked."""
    if rule.policy == "unet":
        return replace(rule, least_area=threshold)
    return replace(rule, cutoff=threshold)


def threshold_of(rule: Rule) -> float | None:
    """A rule's gate threshold: an area as a share of the image, or log-odds; None for silence."""
    return rule.least_area if rule.policy == "unet" else rule.cutoff


def curve(rule: Rule, evidence: GateInputs) -> list[list[float]]:
    """Mean Dice against the gate threshold, all else in the rule as it is.

    Parameters
    ----------
    rule : Rule
    evidence : Evidence
        Images with known truth.

    Returns
    -------
    list of [threshold, mean Dice]
        In ascending order, the rule's own threshold among them. Between two thresholds the mean is
        that of the upper one, beyond the last it is silence's. Empty for a rule without threshold.
    """
    chosen = threshold_of(rule)
    if chosen is None:
        return []
    asked = evidence.area[:, rule.top_level]
    values = np.unique(asked if rule.policy == "unet" else gate.score(rule, evidence))
    if len(values) > POINTS:
        values = np.quantile(values, np.linspace(0, 1, POINTS), method="lower")
    thresholds = np.unique(np.append(values, [chosen, *([0.0] if rule.policy == "unet" else [])]))
    return [[float(t), _mean(at_threshold(rule, float(t)), evidence)] for t in thresholds]


def _mean(rule: Rule, evidence: GateInputs) -> float:
    return float(gate.earned(rule, evidence).mean())


def deleted(loose: Rule, strict: Rule, evidence: GateInputs) -> dict[str, float]:
    """What a stricter rule deletes of the masks that a looser one speaks.

    Parameters
    ----------
    loose, strict : Rule
        `strict` speaks on no image on which `loose` is silent.
    evidence : Evidence
        Images with known truth.

    Returns
    -------
    dict
        lesions and false: images with and without pneumothorax whose mask `loose` speaks; lost and
        removed: those of each that `strict` silences; lost_dice: sum of the Dice of the lost; dice:
        mean Dice of all images under `strict`.
    """
    before = gate.keeps(loose, evidence)
    gone = before & ~gate.keeps(strict, evidence)
    ill = evidence.positive == 1
    return {
        "lesions": int((before & ill).sum()),
        "lost": int((gone & ill).sum()),
        "lost_dice": float(evidence.dice[gone & ill, loose.mask_level].sum()),
        "false": int((before & ~ill).sum()),
        "removed": int((gone & ~ill).sum()),
        "dice": _mean(strict, evidence),
    }


def floors(rule: Rule, evidence: GateInputs) -> list[dict[str, float]]:
    """What each smallest area would delete of the masks that a rule speaks without one."""
    loose = replace(rule, least_area=0.0)
    return [
        {"floor": area} | deleted(loose, replace(rule, least_area=area), evidence) for area in AREAS
    ]


def levels(rule: Rule, evidence: GateInputs) -> list[dict[str, float]]:
    """What cutting the map at each level would delete of the masks cut at the lowest one."""
    loose = replace(rule, mask_level=0)
    return [
        {"level": float(level / 255)}
        | deleted(loose, replace(rule, mask_level=number), evidence)
        | {"on_lesions": _on_lesions(number, evidence)}
        for number, level in enumerate(LEVELS)
    ]


def _on_lesions(level: int, evidence: GateInputs) -> float:
    """Mean Dice of all true lesions' masks at a level, no gate asked; 0 where there is none."""
    ill = evidence.positive == 1
    return float(evidence.dice[ill, level].mean()) if ill.any() else 0.0


def opponent(default: str, means: dict[str, float]) -> str:
    """The policy that is set against the ungated U-Net: the default, if it asks the verdict at all.

    Else the best of those that do by nested score, the first among equals.

    Parameters
    ----------
    default : str
    means : dict of str to float
        Nested mean Dice of each policy.
    """
    if default not in ("empty", "unet"):
        return default
    asking = [policy for policy in gate.POLICIES if policy not in ("empty", "unet")]
    return max(asking, key=lambda policy: means[policy])


def disagreements(
    rows: pd.DataFrame, unet: tuple[Rule, GateInputs], other: tuple[Rule, GateInputs]
) -> dict[str, Any]:
    """Images on which the ungated U-Net and another policy decide differently.

    Parameters
    ----------
    rows : DataFrame
        id and probability of the images of the evidence, in its order.
    unet, other : (Rule, Evidence)
        Rule and evidence of each.

    Returns
    -------
    dict
        silenced (the U-Net alone speaks) and added (the other alone does): counts of images,
        lesions and healthy, `change` (Dice that the other earns more, summed), and the cases that
        change it most: id, positive, probability, dice (of the mask that is spoken) and change.
    """
    spoken = [gate.keeps(*pair) for pair in (unet, other)]
    earned = [gate.earned(*pair) for pair in (unet, other)]
    dice = [evidence.dice[:, rule.mask_level] for rule, evidence in (unet, other)]
    change, positive = earned[1] - earned[0], unet[1].positive == 1
    table = rows[["id", "probability"]].assign(positive=positive.astype(int), change=change)
    return {
        "silenced": _side(table.assign(dice=dice[0]), spoken[0] & ~spoken[1]),
        "added": _side(table.assign(dice=dice[1]), spoken[1] & ~spoken[0]),
    }


def _side(table: pd.DataFrame, chosen: Flags) -> dict[str, Any]:
    found = table[chosen]
    # By what they change, then by id, so that the list does not hang on the table's order.
    order = np.lexsort((found["id"].to_numpy(str), -found["change"].abs().to_numpy()))
    return {
        "images": len(found),
        "lesions": int(found["positive"].sum()),
        "healthy": int((1 - found["positive"]).sum()),
        "change": float(found["change"].sum()),
        "cases": found.iloc[order[:CASES]].to_dict("records"),
    }


def measure(
    rows: pd.DataFrame,
    evidence: dict[str, GateInputs],
    rules: dict[str, Rule],
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """All that the report shows of the gate.

    Parameters
    ----------
    rows : DataFrame
        id and probability of the labelled images, in the order of the evidence.
    evidence : dict of str to Evidence
        By source of the map.
    rules : dict of str to Rule
        Each policy's rule, chosen on all labelled images.
    metrics : dict
        Scores from `cnn.gate.evaluate.score`: out_of_fold, mask_alone and default.
    """
    default, board = metrics["default"], metrics["out_of_fold"]
    own = {policy: evidence[gate.source(policy)] for policy in rules}
    rule, masks = rules[default], own[default]
    level = rule.mask_level
    if rule.policy == "empty":
        best = metrics["mask_alone"][gate.source(default)]["at_probability"]
        level = int(np.abs(LEVELS / 255 - best).argmin())
    asked = {"alone": Rule("unet", level, level)}
    if rule.policy != "empty":
        asked["gate"] = rule
    other = opponent(default, {policy: board[policy]["dice"]["value"] for policy in rules})
    pairs = [(rules[policy], own[policy]) for policy in ("unet", other)]
    return {
        "default": default,
        "images": len(rows),
        "positives": int((masks.positive == 1).sum()),
        "silence": _mean(Rule("empty"), masks),
        "mean_log_odds": float(masks.log_odds.mean()),
        "source": gate.source(default),
        "mask_probability": float(LEVELS[level] / 255),
        "curves": list(_curves(rules, own, board)),
        "floors": {name: floors(one, masks) for name, one in asked.items()},
        "levels": {name: levels(one, masks) for name, one in asked.items()},
        "least_area": rule.least_area,
        "top_probability": float(LEVELS[rule.top_level] / 255),
        "disagreements": {"gate": other, **disagreements(rows, *pairs)},
    }


def _curves(
    rules: dict[str, Rule], own: dict[str, GateInputs], board: dict[str, Any]
) -> Iterable[dict[str, Any]]:
    for policy, rule in rules.items():
        spoken = gate.keeps(rule, own[policy])
        yield {
            "policy": policy,
            "threshold": threshold_of(rule),
            "dice": _mean(rule, own[policy]),
            "spoken": int(spoken.sum()),
            "nested": board[policy]["dice"],
            "points": curve(rule, own[policy]),
        }


def write(
    run: Path,
    rows: pd.DataFrame,
    evidence: dict[str, GateInputs],
    rules: dict[str, Rule],
    metrics: dict[str, Any],
) -> None:
    """Write cnn/economics.json, whole or not at all; see `measure`."""
    files.write_json(run / "cnn" / "economics.json", measure(rows, evidence, rules, metrics))
