"""What the report shows of the gate: against brute force, and on arrays to check by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from baseline.gate import rules
from baseline.gate.figures import Deleted, Disagreement, DisputedCase, GateFigures, read_figures
from baseline.gate.rules import MASK_SHARES, TOP, TOP_LEVELS, GateInputs, Rule
from cnn.gate import report_figures
from features.run.folder import RunFolder
from tests.helpers.gate_run import figures_by_chance, metrics_by_chance

T, S = len(TOP_LEVELS), len(MASK_SHARES)
N = 90

Chance = tuple[GateFigures, dict[str, Rule], dict[str, GateInputs], pd.DataFrame]


def four(area: list[float] | None = None) -> GateInputs:
    """Two positives with masks of Dice 0.6 and 0.4, two negatives whose masks are false."""
    share = np.array([0.01] * 4 if area is None else area)
    dice = np.where(share > 0, [0.6, 0.4, 0, 0], [0, 0, 1, 1])
    return GateInputs(
        log_odds=np.array([2.0, 1, 0, -1]),
        top=np.repeat(np.where(share > 0, 0.6, 0.0)[:, None], len(rules.RANKS), axis=1),
        area=np.repeat(share[:, None], T, axis=1),
        entropy=np.full(4, 0.1),
        agreement=np.full(4, 0.2),
        dice=np.repeat(dice[:, None], S, axis=1),
        positive=np.array([1.0, 1, 0, 0]),
    )


@pytest.fixture(scope="module")
def chance() -> Chance:
    rng = np.random.default_rng(5)
    positive = (rng.random(N) < 0.4).astype(float)
    probability = 1 / (1 + np.exp(-rng.normal(1.6 * positive - 0.9, 1)))
    rows = pd.DataFrame({"id": [f"i{k:02d}" for k in range(N)], "probability": probability})
    return *figures_by_chance(rows, positive), rows


def is_kept(rule: Rule, inputs: GateInputs, row: int) -> bool:
    """Whether an image's mask is kept, written once more from the definition of the policies."""
    if rule.policy == "empty" or inputs.top[row, TOP] == 0:
        return False
    if inputs.area[row, rule.top_level] < rule.least_area:
        return False
    if rule.cutoff is None:
        return True
    odds = inputs.log_odds[row]
    if rule.policy == "gated":
        return bool(odds >= rule.cutoff)
    shares = [(top, 1e-3) for top in inputs.top[row]]
    shares += [(inputs.area[row, 5], 1e-5), (inputs.entropy[row], 1e-5)]
    shares += [(inputs.agreement[row], 1e-3)]
    clipped = [min(max(share, least), 1 - least) for share, least in shares]
    signals = [1.0, odds, *(np.log(share / (1 - share)) for share in clipped)]
    fused = float(np.dot(rule.weights, signals))
    if rule.policy == "expected":
        dice = float(np.dot(rule.dice_weights, signals))
        fused += np.log(min(max(dice, rules.LEAST_DICE), 1.0))
    # The last bit may differ from that of a sum in another order.
    return fused >= rule.cutoff - 1e-12


def mean_dice(rule: Rule, inputs: GateInputs) -> float:
    total = 0.0
    for row in range(len(inputs.positive)):
        if is_kept(rule, inputs, row):
            total += inputs.dice[row, rule.mask_share]
        else:
            total += inputs.positive[row] == 0
    return total / len(inputs.positive)


# --- curves ----------------------------------------------------------------------------------
def test_a_curve_by_hand():
    assert report_figures.curve_points(Rule("gated", cutoff=0.5), four()) == (
        (-1, pytest.approx(0.25)), (0, pytest.approx(0.5)), (0.5, pytest.approx(0.75)),
        (1, pytest.approx(0.75)), (2, pytest.approx(0.65)),
    )  # fmt: skip
    # The smallest area empties mask after mask: the lesion of Dice 0.6 is the smallest.
    points = report_figures.curve_points(Rule("unet"), four([0.01, 0.04, 0.02, 0.03]))
    assert [t for t, _ in points] == [0, 0.01, 0.02, 0.03, 0.04]
    np.testing.assert_allclose([d for _, d in points], [0.25, 0.25, 0.1, 0.35, 0.6])
    assert report_figures.curve_points(Rule("empty"), four()) == ()


def test_every_point_of_every_curve_is_what_brute_force_finds(chance):
    figures, chosen, inputs, _ = chance
    assert [curve.policy for curve in figures.curves] == list(rules.POLICIES)
    for curve in figures.curves:
        rule = chosen[curve.policy]
        of_source = inputs[rules.source(rule.policy)]
        assert curve.dice == pytest.approx(mean_dice(rule, of_source))
        assert curve.kept == sum(is_kept(rule, of_source, row) for row in range(N))
        assert (len(curve.points) > 10) == (rule.policy != "empty")
        for threshold, dice in curve.points:
            moved = {"least_area": threshold} if rule.policy == "unet" else {"cutoff": threshold}
            other = replace(rule, **moved)
            assert dice == pytest.approx(mean_dice(other, of_source)), (rule.policy, threshold)


def test_the_chosen_point_lies_on_its_curve_and_steps_belong_to_their_upper_end(chance):
    figures, chosen, inputs, _ = chance
    for curve in figures.curves[1:]:
        points = dict(curve.points)
        assert points[curve.threshold] == curve.dice
        rule = chosen[curve.policy]
        of_source = inputs[rules.source(rule.policy)]
        thresholds = list(points)
        assert thresholds == sorted(set(thresholds))
        for low, high in pairwise(thresholds):
            between = report_figures.at_threshold(rule, low + 0.5 * (high - low))
            assert rules.earned(between, of_source).mean() == pytest.approx(points[high])
        beyond = report_figures.at_threshold(rule, thresholds[-1] + 1)
        assert rules.earned(beyond, of_source).mean() == pytest.approx(figures.all_empty)


def test_a_curve_of_many_images_is_thinned_and_keeps_its_ends():
    n = 1000
    odds = np.random.default_rng(0).normal(size=n)
    flat = np.full((n, T), 0.01)
    half = np.full(n, 0.5)
    tops = np.full((n, len(rules.RANKS)), 0.5)
    dice = np.full((n, S), 0.01)
    many = GateInputs(odds, tops, flat, half, half, dice, np.arange(n) % 2.0)
    points = report_figures.curve_points(Rule("gated", cutoff=0.1234), many)
    thresholds = [t for t, _ in points]
    assert len(thresholds) == report_figures.POINTS + 1 and 0.1234 in thresholds
    assert set(thresholds) - {0.1234} <= set(odds)
    assert thresholds[0] == odds.min() and thresholds[-1] == odds.max()


# --- what smallest areas delete, and where masks are cut ------------------------------------
def test_deletions_by_hand():
    inputs = four([0.003, 0.01, 0.0, 0.001])
    by_area = {row.least_area: row for row in report_figures.deletions(Rule("unet"), inputs)}
    assert list(by_area) == list(rules.AREAS)
    # The negative without a mask has none to remove.
    none = Deleted(
        least_area=0.0,
        lesions=2,
        false_masks=1,
        lost=0,
        removed=0,
        lost_dice=0,
        dice=pytest.approx(0.5),
    )
    assert by_area[0.0] == none
    removed = replace(none, least_area=0.002, removed=1, dice=pytest.approx(0.75))
    assert by_area[0.002] == removed
    lost = replace(removed, least_area=0.004, lost=1, lost_dice=pytest.approx(0.6))
    assert by_area[0.004] == replace(lost, dice=pytest.approx(0.6))


@pytest.mark.parametrize("part", ["by_mask", "by_rule"])
def test_deletions_are_what_brute_force_finds(chance, part):
    figures, chosen, inputs, _ = chance
    rule, joint = chosen["joint"], inputs["joint"]
    base = rule if part == "by_rule" else Rule("unet", rule.mask_share)
    lesion = joint.positive == 1
    loose = replace(base, least_area=0.0)
    before = np.array([is_kept(loose, joint, k) for k in range(N)])
    for least_area, row in zip(rules.AREAS, getattr(figures, part), strict=True):
        strict = replace(base, least_area=least_area)
        after = np.array([is_kept(strict, joint, k) for k in range(N)])
        emptied = before & ~after
        assert not (after & ~before).any()
        assert row.least_area == least_area
        assert (row.lesions, row.lost) == ((before & lesion).sum(), (emptied & lesion).sum())
        assert (row.false_masks, row.removed) == (before[~lesion].sum(), emptied[~lesion].sum())
        assert row.dice == pytest.approx(mean_dice(strict, joint))
        assert row.lost_dice == pytest.approx(joint.dice[emptied & lesion, base.mask_share].sum())


def test_what_masks_earn_at_each_share_is_what_brute_force_finds(chance):
    figures, chosen, inputs, _ = chance
    joint = inputs["joint"]
    assert [row.share for row in figures.at_shares] == [percent / 100 for percent in MASK_SHARES]
    for number, row in enumerate(figures.at_shares):
        assert row.dice == pytest.approx(
            mean_dice(replace(chosen["joint"], mask_share=number), joint)
        )
        lesions = [joint.dice[k, number] for k in range(N) if joint.positive[k] == 1]
        assert row.dice_on_lesions == pytest.approx(np.mean(lesions))


def test_a_smallest_area_loses_lesions_and_removes_false_masks(chance):
    assert any(row.lost and row.removed for row in chance[0].by_mask)


def test_without_a_gate_only_the_masks_themselves_are_measured(chance):
    rows = chance[3]
    positive = chance[2]["unet"].positive
    figures, _, _ = figures_by_chance(rows, positive, default="empty")
    assert figures.by_rule is None and len(figures.by_mask) == len(rules.AREAS)
    assert figures.mask_share == MASK_SHARES[3] / 100
    assert figures.against not in ("empty", "unet")


# --- disagreements ---------------------------------------------------------------------------
def test_disagreements_by_hand():
    rows = pd.DataFrame({"id": list("abcd"), "probability": [0.9, 0.7, 0.5, 0.3]})
    inputs = four([0.01, 0.01, 0.01, 0.0])
    gated = (Rule("gated", cutoff=1.5), inputs)
    # The U-Net keeps a, b, c; the gate a alone.
    emptied, added = report_figures.disagreements(rows, (Rule("unet"), inputs), gated)
    assert added == Disagreement(images=0, lesions=0, healthy=0, change=0, cases=())
    assert (emptied.images, emptied.lesions, emptied.healthy) == (2, 1, 1)
    assert emptied.change == pytest.approx(0.6)
    assert emptied.cases == (
        DisputedCase(id="c", probability=0.5, positive=False, dice=0.0, change=1.0),
        DisputedCase(id="b", probability=0.7, positive=True, dice=0.4, change=-0.4),
    )
    # Another map of the U-Net, which is empty on a and b and not on d.
    other = four([0.0, 0.0, 0.01, 0.01])
    emptied, added = report_figures.disagreements(rows, (Rule("unet"), other), gated)
    assert [case.id for case in added.cases] == ["a"]
    assert added.cases[0].change == pytest.approx(0.6)
    assert added.cases[0].dice == pytest.approx(0.6)
    assert [case.id for case in emptied.cases] == ["c", "d"]


def test_disagreements_do_not_depend_on_the_order_of_the_images(chance):
    figures, chosen, inputs, rows = chance
    back = np.arange(N)[::-1]
    turned = [(chosen[p], inputs[rules.source(p)].take(back)) for p in ("unet", "joint")]
    again = report_figures.disagreements(rows.iloc[back].reset_index(drop=True), *turned)
    for before, after in zip((figures.emptied, figures.added), again, strict=True):
        ids = [case.id for case in before.cases]
        assert ids and ids == [case.id for case in after.cases]


def test_the_policy_that_is_compared_with_the_unet_asks_the_classifier():
    means = dict.fromkeys(rules.POLICIES, 0.5) | {"empty": 0.9, "unet": 0.8, "fused": 0.7}
    opponent = report_figures.opponent
    assert opponent("joint", means) == "joint"
    assert opponent("unet", means) == opponent("empty", means) == "fused"
    assert opponent("empty", dict.fromkeys(rules.POLICIES, 0.5)) == "gated"


def test_what_is_written_is_read_back(chance, tmp_path):
    figures, chosen, inputs, rows = chance
    run = RunFolder(tmp_path)
    assert read_figures(run) is None
    metrics = metrics_by_chance(inputs["unet"].positive, inputs, "joint")
    report_figures.write(run, rows, inputs, chosen, metrics)
    assert read_figures(run) == figures
