"""What the gate earns and what it costs, for the report: see `baseline.gate.figures.GateFigures`.

The report (`baseline.report`) may not import the network, so it reads what it shows from a file.
Curves and deletions are measured on the images that the rules were chosen on; only the nested
scores are measured on other images.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.gate import rules
from baseline.gate.figures import (
    AtShare,
    Curve,
    Deleted,
    Disagreement,
    DisputedCase,
    GateFigures,
)
from baseline.gate.results import GateMetrics, Scoreboard
from baseline.gate.rules import AREAS, MASK_SHARES, POLICIES, TOP_LEVELS, GateInputs, Rule
from cnn.gate.outlines import shown_share
from features.run import files
from features.run.folder import RunFolder

Flags = NDArray[np.bool_]

# Thresholds of a curve; as many as the images, if those are fewer.
POINTS = 120
# Cases of each kind of disagreement that are kept, those that matter most.
CASES = 50


def at_threshold(rule: Rule, threshold: float) -> Rule:
    """The same rule with another threshold: the smallest area where it compares no score."""
    if rule.policy == "unet":
        return replace(rule, least_area=threshold)
    return replace(rule, cutoff=threshold)


def threshold_of(rule: Rule) -> float | None:
    """A rule's threshold: an area as a share of the image, or log-odds; None for "empty"."""
    return rule.least_area if rule.policy == "unet" else rule.cutoff


def curve_points(rule: Rule, inputs: GateInputs) -> tuple[tuple[float, float], ...]:
    """Mean Dice against the threshold, all else in the rule as it is.

    Parameters
    ----------
    rule : Rule
    inputs : GateInputs
        Of images with known truth.

    Returns
    -------
    tuple of (threshold, mean Dice)
        As in `figures.Curve`.
    """
    chosen = threshold_of(rule)
    if chosen is None:
        return ()
    areas = inputs.area[:, rule.top_level]
    values = np.unique(areas if rule.policy == "unet" else rules.score(rule, inputs))
    if len(values) > POINTS:
        values = np.quantile(values, np.linspace(0, 1, POINTS), method="lower")
    thresholds = np.unique(np.append(values, [chosen, *([0.0] if rule.policy == "unet" else [])]))
    return tuple((float(t), _mean(at_threshold(rule, float(t)), inputs)) for t in thresholds)


def _mean(rule: Rule, inputs: GateInputs) -> float:
    return float(rules.earned(rule, inputs).mean())


def deleted(loose: Rule, strict: Rule, inputs: GateInputs) -> Deleted:
    """What a rule with a larger smallest area deletes of the masks that a looser one keeps.

    Parameters
    ----------
    loose, strict : Rule
        `strict` keeps no mask that `loose` empties.
    inputs : GateInputs
        Of images with known truth.
    """
    before = rules.keeps(loose, inputs)
    emptied = before & ~rules.keeps(strict, inputs)
    lesion = inputs.positive == 1
    return Deleted(
        least_area=strict.least_area,
        lesions=int((before & lesion).sum()),
        false_masks=int((before & ~lesion).sum()),
        lost=int((emptied & lesion).sum()),
        removed=int((emptied & ~lesion).sum()),
        lost_dice=float(inputs.dice[emptied & lesion, loose.mask_share].sum()),
        dice=_mean(strict, inputs),
    )


def deletions(rule: Rule, inputs: GateInputs) -> tuple[Deleted, ...]:
    """What each smallest area deletes of the masks that are kept whatever their area.

    Parameters
    ----------
    rule : Rule
    inputs : GateInputs
        Of images with known truth.
    """
    any_area = replace(rule, least_area=0.0)
    return tuple(deleted(any_area, replace(rule, least_area=area), inputs) for area in AREAS)


def at_shares(rule: Rule, inputs: GateInputs) -> tuple[AtShare, ...]:
    """What masks earn that are cut at each share of their map's top score.

    Parameters
    ----------
    rule : Rule
    inputs : GateInputs
        Of images with known truth.
    """
    lesion = inputs.positive == 1
    return tuple(
        AtShare(
            share=float(percent / 100),
            dice_on_lesions=float(inputs.dice[lesion, number].mean()) if lesion.any() else 0.0,
            dice=_mean(replace(rule, mask_share=number), inputs),
        )
        for number, percent in enumerate(MASK_SHARES)
    )


def opponent(default: str, means: dict[str, float]) -> str:
    """The policy that is compared with the ungated U-Net: the default, if it uses the classifier.

    Else the one with the best nested score of those that use it, the first among equals.

    Parameters
    ----------
    default : str
    means : dict of str to float
        Nested mean Dice of each policy.
    """
    if default not in ("empty", "unet"):
        return default
    with_classifier = [policy for policy in POLICIES if policy not in ("empty", "unet")]
    return max(with_classifier, key=lambda policy: means[policy])


def disagreements(
    rows: pd.DataFrame, unet: tuple[Rule, GateInputs], gate: tuple[Rule, GateInputs]
) -> tuple[Disagreement, Disagreement]:
    """Images on which the ungated U-Net and another policy decide differently.

    Parameters
    ----------
    rows : DataFrame
        id and probability of the images, in the order of the inputs.
    unet, gate : (Rule, GateInputs)
        Rule and inputs of each.

    Returns
    -------
    emptied, added : Disagreement
        The U-Net alone keeps the mask, and the other policy alone does.
    """
    by_unet, by_gate = rules.keeps(*unet), rules.keeps(*gate)
    dice_unet, dice_gate = (inputs.dice[:, rule.mask_share] for rule, inputs in (unet, gate))
    table = rows[["id", "probability"]].assign(
        positive=unet[1].positive == 1, change=rules.earned(*gate) - rules.earned(*unet)
    )
    return (
        _disagreement(table.assign(dice=dice_unet), by_unet & ~by_gate),
        _disagreement(table.assign(dice=dice_gate), by_gate & ~by_unet),
    )


def _disagreement(table: pd.DataFrame, disputed: Flags) -> Disagreement:
    rows = table[disputed]
    # By what they change, then by id, so that the list does not depend on the table's order.
    order = np.lexsort((rows["id"].to_numpy(str), -rows["change"].abs().to_numpy()))
    columns = ["id", "probability", "positive", "dice", "change"]
    listed = rows[columns].iloc[order[:CASES]].itertuples(index=False, name=None)
    return Disagreement(
        images=len(rows),
        lesions=int(rows["positive"].sum()),
        healthy=int((~rows["positive"]).sum()),
        change=float(rows["change"].sum()),
        cases=tuple(DisputedCase(*case) for case in listed),
    )


def measure(
    rows: pd.DataFrame,
    inputs: dict[str, GateInputs],
    chosen: dict[str, Rule],
    metrics: GateMetrics,
) -> GateFigures:
    """All that the report shows of the gate.

    Parameters
    ----------
    rows : DataFrame
        id and probability of the labelled images, in the order of the inputs.
    inputs : dict of str to GateInputs
        By source of the map.
    chosen : dict of str to Rule
        Each policy's rule, chosen on all images with a mask, known or weak.
    metrics : GateMetrics
    """
    default, board = metrics.default, metrics.out_of_fold
    of_policy = {policy: inputs[rules.source(policy)] for policy in chosen}
    rule, of_default = chosen[default], of_policy[default]
    share = shown_share(rule, metrics)
    against = opponent(default, {p: board.policies[p].dice.value for p in chosen})
    emptied, added = disagreements(
        rows, *((chosen[policy], of_policy[policy]) for policy in ("unet", against))
    )
    return GateFigures(
        default=default,
        images=len(rows),
        positives=int((of_default.positive == 1).sum()),
        all_empty=_mean(Rule("empty"), of_default),
        mean_log_odds=float(of_default.log_odds.mean()),
        source=rules.source(default),
        mask_share=float(MASK_SHARES[share] / 100),
        top_probability=float(TOP_LEVELS[rule.top_level] / 255),
        least_area=rule.least_area,
        curves=tuple(_curve(chosen[policy], policy, of_policy[policy], board) for policy in chosen),
        by_mask=deletions(Rule("unet", share), of_default),
        by_rule=None if rule.policy == "empty" else deletions(rule, of_default),
        at_shares=at_shares(rule, of_default),
        against=against,
        emptied=emptied,
        added=added,
    )


def _curve(rule: Rule, policy: str, inputs: GateInputs, board: Scoreboard) -> Curve:
    return Curve(
        policy=policy,
        threshold=threshold_of(rule),
        dice=_mean(rule, inputs),
        kept=int(rules.keeps(rule, inputs).sum()),
        nested=board.policies[policy].dice,
        points=curve_points(rule, inputs),
    )


def write(
    run: RunFolder,
    rows: pd.DataFrame,
    inputs: dict[str, GateInputs],
    chosen: dict[str, Rule],
    metrics: GateMetrics,
) -> None:
    """Write the figures, whole or not at all; see `measure`."""
    files.write_record(run.gate_figures, measure(rows, inputs, chosen, metrics))
