"""The gate's economics: against brute force, on arrays to check by hand, and in the report."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from baseline.gate import rules as gate
from baseline.gate.rules import MASK_LEVELS, GateInputs, Rule
from cnn.gate import report_figures
from tests.helpers.gate_run import figures_by_chance

T = len(MASK_LEVELS)
N = 90


def four(area: list[float] | None = None) -> GateInputs:
    """Two positives with masks of Dice 0.6 and 0.4, two negatives whose masks are false."""
    share = np.array([0.01] * 4 if area is None else area)
    dice = np.where(share > 0, [0.6, 0.4, 0, 0], [0, 0, 1, 1])
    return GateInputs(
        log_odds=np.array([2.0, 1, 0, -1]),
        top=np.full((4, len(gate.RANKS)), 0.6),
        area=np.repeat(share[:, None], T, axis=1),
        entropy=np.full(4, 0.1),
        agreement=np.full(4, 0.2),
        dice=np.repeat(dice[:, None], T, axis=1),
        positive=np.array([1.0, 1, 0, 0]),
    )


@pytest.fixture(scope="module")
def chance() -> tuple[dict[str, Any], dict[str, Rule], dict[str, GateInputs], pd.DataFrame]:
    rng = np.random.default_rng(5)
    positive = (rng.random(N) < 0.4).astype(float)
    probability = 1 / (1 + np.exp(-rng.normal(1.6 * positive - 0.9, 1)))
    rows = pd.DataFrame({"id": [f"i{k:02d}" for k in range(N)], "probability": probability})
    return *figures_by_chance(rows, positive), rows


def spoken(rule: Rule, evidence: GateInputs, row: int) -> bool:
    """Whether an image's mask is spoken, told once more from the definition of the policies."""
    if rule.policy == "empty" or evidence.area[row, rule.mask_level] == 0:
        return False
    if evidence.area[row, rule.top_level] < rule.least_area:
        return False
    if rule.cutoff is None:
        return True
    odds = evidence.log_odds[row]
    if rule.policy == "gated":
        return bool(odds >= rule.cutoff)
    shares = [(top, 1e-3) for top in evidence.top[row]]
    shares += [(evidence.area[row, 5], 1e-5), (evidence.entropy[row], 1e-5)]
    shares += [(evidence.agreement[row], 1e-3)]
    held = [min(max(share, least), 1 - least) for share, least in shares]
    signals = [1.0, odds, *(np.log(share / (1 - share)) for share in held)]
    fused = float(np.dot(rule.weights, signals))
    if rule.policy == "expected":
        dice = float(np.dot(rule.dice_weights, signals))
        fused += np.log(min(max(dice, gate.LEAST_DICE), 1.0))
    # The last bit may differ from that of a sum in another order.
    return fused >= rule.cutoff - 1e-12


def mean_dice(rule: Rule, evidence: GateInputs) -> float:
    total = 0.0
    for row in range(len(evidence.positive)):
        if spoken(rule, evidence, row):
            total += evidence.dice[row, rule.mask_level]
        else:
            total += evidence.positive[row] == 0
    return total / len(evidence.positive)


# --- curves ----------------------------------------------------------------------------------
def test_a_curve_by_hand():
    assert report_figures.curve(Rule("gated", cutoff=0.5), four()) == [
        [-1, pytest.approx(0.25)], [0, pytest.approx(0.5)], [0.5, pytest.approx(0.75)],
        [1, pytest.approx(0.75)], [2, pytest.approx(0.65)],
    ]  # fmt: skip
    # The floor silences image after image: the lesion of Dice 0.6 is the smallest.
    found = report_figures.curve(Rule("unet"), four([0.01, 0.04, 0.02, 0.03]))
    assert [t for t, _ in found] == [0, 0.01, 0.02, 0.03, 0.04]
    np.testing.assert_allclose([d for _, d in found], [0.25, 0.25, 0.1, 0.35, 0.6])
    assert report_figures.curve(Rule("empty"), four()) == []


def test_every_point_of_every_curve_is_what_brute_force_finds(chance):
    found, rules, evidence, _ = chance
    assert [curve["policy"] for curve in found["curves"]] == list(gate.POLICIES)
    for curve in found["curves"]:
        rule = rules[curve["policy"]]
        own = evidence[gate.source(rule.policy)]
        assert curve["dice"] == pytest.approx(mean_dice(rule, own))
        assert curve["spoken"] == sum(spoken(rule, own, row) for row in range(N))
        assert (len(curve["points"]) > 10) == (rule.policy != "empty")
        for threshold, dice in curve["points"]:
            moved = {"least_area": threshold} if rule.policy == "unet" else {"cutoff": threshold}
            other = Rule(**{**vars(rule), **moved})
            assert dice == pytest.approx(mean_dice(other, own)), (rule.policy, threshold)


def test_the_chosen_point_lies_on_its_curve_and_steps_belong_to_their_upper_end(chance):
    found, rules, evidence, _ = chance
    for curve in found["curves"][1:]:
        points = dict(curve["points"])
        assert points[curve["threshold"]] == curve["dice"]
        rule = rules[curve["policy"]]
        own = evidence[gate.source(rule.policy)]
        thresholds = list(points)
        assert thresholds == sorted(set(thresholds))
        for low, high in pairwise(thresholds):
            between = report_figures.at_threshold(rule, low + 0.5 * (high - low))
            assert gate.earned(between, own).mean() == pytest.approx(points[high])
        beyond = report_figures.at_threshold(rule, thresholds[-1] + 1)
        assert gate.earned(beyond, own).mean() == pytest.approx(found["silence"])


def test_a_curve_of_many_images_is_thinned_and_keeps_its_ends():
    n = 1000
    odds = np.random.default_rng(0).normal(size=n)
    flat = np.full((n, T), 0.01)
    half = np.full(n, 0.5)
    tops = np.full((n, len(gate.RANKS)), 0.5)
    many = GateInputs(odds, tops, flat, half, half, flat, np.arange(n) % 2.0)
    thresholds = [t for t, _ in report_figures.curve(Rule("gated", cutoff=0.1234), many)]
    assert len(thresholds) == report_figures.POINTS + 1 and 0.1234 in thresholds
    assert set(thresholds) - {0.1234} <= set(odds)
    assert thresholds[0] == odds.min() and thresholds[-1] == odds.max()


# --- what floors and levels delete -----------------------------------------------------------
def test_deletions_by_hand():
    found = report_figures.floors(Rule("unet"), four([0.003, 0.01, 0.0, 0.001]))
    by_floor = {row["floor"]: row for row in found}
    assert list(by_floor) == list(gate.AREAS)
    # The negative without a mask has none to remove.
    none = {"lesions": 2, "lost": 0, "lost_dice": 0, "false": 1, "removed": 0}
    assert by_floor[0.0] == {"floor": 0.0, **none, "dice": pytest.approx(0.5)}
    one = none | {"removed": 1, "dice": pytest.approx(0.75)}
    assert by_floor[0.002] == {"floor": 0.002, **one}
    lost = one | {"lost": 1, "lost_dice": pytest.approx(0.6), "dice": pytest.approx(0.6)}
    assert by_floor[0.004] == {"floor": 0.004, **lost}


def test_deletions_are_what_brute_force_finds(chance):
    found, rules, evidence, _ = chance
    rule, own = rules["joint"], evidence["joint"]
    alone = Rule("unet", rule.mask_level, rule.mask_level)
    ill = own.positive == 1
    for part, base in (("alone", alone), ("gate", rule)):
        for what, loose in (
            ("floors", Rule(**{**vars(base), "least_area": 0.0})),
            ("levels", Rule(**{**vars(base), "mask_level": 0})),
        ):
            rows = found[what][part]
            assert len(rows) == len(gate.AREAS if what == "floors" else MASK_LEVELS)
            for number, row in enumerate(rows):
                if what == "floors":
                    strict = Rule(**{**vars(loose), "least_area": gate.AREAS[number]})
                else:
                    strict = Rule(**{**vars(loose), "mask_level": number})
                before = np.array([spoken(loose, own, k) for k in range(N)])
                after = np.array([spoken(strict, own, k) for k in range(N)])
                gone = before & ~after
                assert not (after & ~before).any()
                assert (row["lesions"], row["lost"]) == ((before & ill).sum(), (gone & ill).sum())
                assert (row["false"], row["removed"]) == (before[~ill].sum(), gone[~ill].sum())
                assert row["dice"] == pytest.approx(mean_dice(strict, own))
                lost = own.dice[gone & ill, loose.mask_level].sum()
                assert row["lost_dice"] == pytest.approx(lost)
    assert any(row["lost"] and row["removed"] for row in found["floors"]["alone"])
    on_lesions = [row["on_lesions"] for row in found["levels"]["alone"]]
    np.testing.assert_allclose(on_lesions, own.dice[ill].mean(axis=0))


def test_without_a_gate_only_the_masks_themselves_are_weighed(chance):
    rows = chance[3]
    positive = chance[2]["unet"].positive
    found, _, _ = figures_by_chance(rows, positive, default="empty")
    assert list(found["floors"]) == ["alone"] and list(found["levels"]) == ["alone"]
    assert found["mask_probability"] == pytest.approx(MASK_LEVELS[3] / 255)
    assert found["disagreements"]["gate"] not in ("empty", "unet")


# --- disagreements ---------------------------------------------------------------------------
def test_disagreements_by_hand():
    rows = pd.DataFrame({"id": list("abcd"), "probability": [0.9, 0.7, 0.5, 0.3]})
    own = four([0.01, 0.01, 0.01, 0.0])
    # The U-Net speaks a, b, c; the gate a alone, or, where d's mask is not empty, d too.
    found = report_figures.disagreements(
        rows, (Rule("unet"), own), (Rule("gated", cutoff=1.5), own)
    )
    assert found["added"] == {"images": 0, "lesions": 0, "healthy": 0, "change": 0, "cases": []}
    silenced = found["silenced"]
    assert (silenced["images"], silenced["lesions"], silenced["healthy"]) == (2, 1, 1)
    assert silenced["change"] == pytest.approx(0.6)
    assert silenced["cases"] == [
        {"id": "c", "probability": 0.5, "positive": 0, "change": 1.0, "dice": 0.0},
        {"id": "b", "probability": 0.7, "positive": 1, "change": -0.4, "dice": 0.4},
    ]
    other = four([0.0, 0.0, 0.01, 0.01])
    found = report_figures.disagreements(
        rows, (Rule("unet"), other), (Rule("gated", cutoff=1.5), own)
    )
    assert [case["id"] for case in found["added"]["cases"]] == ["a"]
    assert found["added"]["cases"][0]["change"] == pytest.approx(0.6)
    assert found["added"]["cases"][0]["dice"] == pytest.approx(0.6)
    assert [case["id"] for case in found["silenced"]["cases"]] == ["c", "d"]


def test_disagreements_do_not_hang_on_the_order_of_the_images(chance):
    found, rules, evidence, rows = chance
    back = np.arange(N)[::-1]
    turned = [(rules[p], evidence[gate.source(p)].take(back)) for p in ("unet", "joint")]
    again = report_figures.disagreements(rows.iloc[back].reset_index(drop=True), *turned)
    for side in ("silenced", "added"):
        ids = [case["id"] for case in found["disagreements"][side]["cases"]]
        assert ids and ids == [case["id"] for case in again[side]["cases"]]


def test_the_policy_set_against_the_unet_asks_the_verdict():
    means = dict.fromkeys(gate.POLICIES, 0.5) | {"empty": 0.9, "unet": 0.8, "fused": 0.7}
    assert report_figures.opponent("joint", means) == "joint"
    assert (
        report_figures.opponent("unet", means) == report_figures.opponent("empty", means) == "fused"
    )
    assert report_figures.opponent("empty", dict.fromkeys(gate.POLICIES, 0.5)) == "gated"
