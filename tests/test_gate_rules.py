"""The gate on inputs small enough to score by hand, and the nested choice of its rule."""

from dataclasses import replace

import numpy as np
import pytest

from baseline.gate import choose, rules
from baseline.gate.rules import GateInputs, Rule

T, S, R = len(rules.TOP_LEVELS), len(rules.MASK_SHARES), len(rules.RANKS)
# A fused score that is the log-odds of the classifier alone.
ODDS = (0.0, 1.0, *[0.0] * (len(rules.SIGNALS) - 1))


def inputs(log_odds, dice, positive, area=None) -> GateInputs:
    """Inputs whose maps look alike at every level and share."""
    n = len(log_odds)
    area = np.full(n, 0.01) if area is None else np.asarray(area, float)
    return GateInputs(
        log_odds=np.asarray(log_odds, float),
        top=np.repeat(np.where(area > 0, 0.6, 0.0)[:, None], R, axis=1),
        area=np.repeat(area[:, None], T, axis=1),
        entropy=np.full(n, 0.1),
        agreement=np.full(n, 0.2),
        dice=np.repeat(np.asarray(dice, float)[:, None], S, axis=1),
        positive=np.asarray(positive, float),
    )


@pytest.fixture
def four() -> GateInputs:
    """Two positives with masks of Dice 0.6 and 0.4, two negatives whose masks are false."""
    return inputs([2, 1, 0, -1], [0.6, 0.4, 0, 0], [1, 1, 0, 0])


def test_what_each_rule_earns(four):
    np.testing.assert_array_equal(rules.earned(Rule("empty"), four), [0, 0, 1, 1])
    np.testing.assert_array_equal(rules.earned(Rule("unet"), four), [0.6, 0.4, 0, 0])
    np.testing.assert_array_equal(rules.earned(Rule("gated", cutoff=0.5), four), [0.6, 0.4, 1, 1])
    np.testing.assert_array_equal(rules.earned(Rule("gated", cutoff=1.5), four), [0.6, 0, 1, 1])


def test_the_least_area_empties_small_masks():
    images = inputs([0, 0], [0.5, 0.5], [1, 1], area=[0.001, 0.01])
    np.testing.assert_array_equal(
        rules.keeps(Rule("unet", least_area=0.004), images), [False, True]
    )


def test_an_empty_mask_is_never_kept():
    images = inputs([5], [1.0], [0], area=[0.0])
    assert not rules.keeps(Rule("unet"), images)[0]
    assert rules.earned(Rule("unet"), images)[0] == 1


def test_the_chosen_rule_is_the_best(four):
    rule = choose.choose("gated", four)
    assert rules.earned(rule, four).mean() == pytest.approx(0.75)
    assert 0 < rule.cutoff <= 1


def test_choice_equals_an_exhaustive_search():
    rng = np.random.default_rng(0)
    n = 40
    positive = (rng.random(n) < 0.4).astype(float)
    area = np.sort(rng.random((n, T)) * 0.03, axis=1)[:, ::-1]
    dice = np.where(positive[:, None] == 1, rng.random((n, S)), 0.0)
    alike = np.full(n, 0.5)
    top = np.repeat(rng.random((n, 1)), R, axis=1)
    images = GateInputs(rng.normal(size=n), top, area, alike, alike, dice, positive)
    best = max(
        rules.earned(Rule("unet", m, t, a), images).mean()
        for m in range(S)
        for t in range(T)
        for a in rules.AREAS
    )
    assert rules.earned(choose.choose("unet", images), images).mean() == pytest.approx(best)
    # The gate may open fully, so on the images it was chosen on it is no worse than no gate.
    assert rules.earned(choose.choose("gated", images), images).mean() >= best - 1e-12


def test_fused_uses_classifier_and_map():
    rng = np.random.default_rng(0)
    n = 200
    positive = (rng.random(n) < 0.4).astype(float)
    half = rng.random(n) < 0.5
    # The classifier is right on one half of the images, the network on the other.
    log_odds = np.where(half, 3 * (2 * positive - 1), 0) + 0.1 * rng.normal(size=n)
    top = np.where(half, 0.5, 0.1 + 0.8 * positive)
    images = replace(
        inputs(log_odds, 0.7 * positive, positive), top=np.repeat(top[:, None], R, axis=1)
    )
    folds = np.arange(n) % 4
    fused = choose.nested("fused", images, folds).mean()
    assert fused > choose.nested("gated", images, folds).mean() + 0.02
    assert fused == pytest.approx(0.7 * positive.mean() + 1 - positive.mean(), abs=0.01)


def test_nested_scores_do_not_see_their_own_fold():
    rng = np.random.default_rng(0)
    n = 60
    positive = (rng.random(n) < 0.5).astype(float)
    # Log-odds and masks are pure chance, so an honest score cannot beat all-empty by choosing.
    gains = []
    for _ in range(20):
        images = inputs(rng.normal(size=n), positive * rng.random(n) * 0.6, positive)
        folds = np.arange(n) % 5
        best = rules.earned(choose.choose("gated", images), images).mean()
        gains.append(best - choose.nested("gated", images, folds).mean())
    assert np.mean(gains) > 0


def test_fused_needs_both_classes():
    images = inputs([0, 1, 2], [0.5, 0.5, 0.5], [1, 1, 1])
    assert choose.choose("fused", images).policy == "empty"


def test_the_expected_rule_keeps_masks_where_the_metric_pays():
    """With weights known by hand: keeps exactly where p > 1 / (1 + d)."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, 200)
    images = inputs(odds, np.full(200, 0.5), np.zeros(200))
    dice = 0.3
    rule = Rule("expected", cutoff=0.0, weights=ODDS, dice_weights=(dice, 0.0, *ODDS[2:]))
    p = 1 / (1 + np.exp(-odds))
    np.testing.assert_array_equal(rules.keeps(rule, images), p > 1 / (1 + dice))


def test_the_expected_rule_learns_that_bad_masks_do_not_pay():
    rng = np.random.default_rng(1)
    positive = (rng.random(300) < 0.4).astype(float)
    odds = np.where(positive == 1, 1.0, -1.0) + rng.normal(0, 1, 300)
    good = inputs(odds, 0.8 * positive, positive)
    bad = inputs(odds, 0.05 * positive, positive)
    kept = {
        name: rules.keeps(choose.choose("expected", masks), masks).mean()
        for name, masks in (("good", good), ("bad", bad))
    }
    assert kept["good"] > 0.3
    assert kept["bad"] < kept["good"] / 2


def test_the_nested_choice_of_policy_does_not_use_the_scored_fold():
    rng = np.random.default_rng(2)
    n = 60
    positive = (rng.random(n) < 0.5).astype(float)
    odds = np.where(positive == 1, 1.5, -1.5) + rng.normal(0, 1, n)
    good = inputs(odds, 0.7 * positive, positive)
    folds = np.arange(n) % 3
    earned = choose.nested_default(dict.fromkeys(rules.SOURCES, good), folds)
    # All-empty earns the share of negatives; good masks and a good classifier earn more.
    assert earned.mean() > (positive == 0).mean() + 0.1
    worse = replace(good, dice=good.dice.copy())
    worse.dice[folds == 0] = 0.0
    changed = choose.nested_default(dict.fromkeys(rules.SOURCES, worse), folds)
    fold = folds == 0
    kept = (earned[fold] > 0) & (positive[fold] == 1)
    # What fold 0's masks are worth changes what is earned there, not what is chosen for it.
    assert kept.any() and not changed[fold][kept].any()
    np.testing.assert_array_equal(changed[fold][~kept], earned[fold][~kept])


def noisy(n: int, seed: int = 3) -> GateInputs:
    """Inputs by chance in which every signal is weakly related to the truth."""
    rng = np.random.default_rng(seed)
    positive = (rng.random(n) < 0.4).astype(float)
    hint = np.clip(0.3 * positive[:, None] + 0.7 * rng.random((n, R + 2)), 0, 1)
    area = np.sort(rng.random((n, T)) * 0.03 * (0.3 + positive[:, None]), axis=1)[:, ::-1]
    dice = np.where(positive[:, None] == 1, rng.random((n, S)), 0.0)
    odds = rng.normal(size=n) + positive
    return GateInputs(odds, hint[:, :R], area, hint[:, R], hint[:, R + 1], dice, positive)


@pytest.mark.parametrize("policy", ["gated", "fused", "expected"])
def test_every_policy_chooses_its_triplet_and_smallest_area(policy):
    images = noisy(60)
    rule = choose.choose(policy, images)
    values = np.unique(rules.score(rule, images))
    cutoffs = np.quantile(values, np.linspace(0, 1, 24)) if policy != "expected" else [0.0]
    best = 0.0
    for m in range(S):
        # The Dice to expect is another one for every share.
        dice_weights = choose._dice_weights(images, m) if policy == "expected" else ()
        for t in range(T):
            for a in rules.AREAS:
                for c in cutoffs:
                    other = Rule(policy, m, t, a, float(c), rule.weights, dice_weights)
                    best = max(best, rules.earned(other, images).mean())
    assert rules.earned(rule, images).mean() == pytest.approx(best)


def test_a_smallest_area_helps_where_scores_know_nothing():
    """Small masks are false, and all else is alike: only the area distinguishes them."""
    positive = np.arange(40) % 2.0
    area = np.where(positive == 1, 0.02, 0.0004)
    images = inputs(np.zeros(40), 0.7 * positive, positive, area)
    # The score does not depend on the area either.
    images.area[:, rules.MIDDLE] = 0.02
    for policy in ("gated", "fused"):
        rule = choose.choose(policy, images)
        assert rules.earned(rule, images).mean() == pytest.approx(0.5 + 0.5 * 0.7)
        assert rule.least_area > 0.0004


@pytest.mark.parametrize("name", ["top", "entropy", "agreement"])
def test_the_fused_score_uses_each_signal(name):
    """One signal equals the truth, all others are constant."""
    positive = np.arange(40) % 2.0
    blind = inputs(np.zeros(40), 0.7 * positive, positive)
    signal = np.where(positive == 1, 0.6, 0.3)
    for column in range(R) if name == "top" else [slice(None)]:
        values = getattr(blind, name).copy()
        values[..., column] = signal
        images = replace(blind, **{name: values})
        folds = np.arange(40) // 2 % 4
        assert choose.nested("fused", images, folds).mean() == pytest.approx(0.85)
    assert choose.nested("fused", blind, folds).mean() == pytest.approx(0.5)


def test_a_signal_that_was_alike_in_all_images_weighs_nothing():
    images = noisy(60)
    alike = replace(images, entropy=np.full(60, 0.3))
    for policy in ("fused", "expected"):
        rule = choose.choose(policy, alike)
        number = 1 + rules.SIGNALS.index("entropy")
        assert rule.weights[number] == 0
        assert policy == "fused" or rule.dice_weights[number] == 0


def test_joined_inputs_are_taken_apart_again():
    images = noisy(5)
    parts = rules.join([images.take(np.array([k])) for k in range(5)])
    for name, values in vars(images).items():
        np.testing.assert_array_equal(getattr(parts, name), values)


def test_two_folds_are_enough_to_choose_a_policy_inside():
    images = noisy(60)
    folds = np.arange(60) % 2
    values = choose.nested_default(dict.fromkeys(rules.SOURCES, images), folds)
    # Each half earns what the best rule of the other half gives it.
    for fold in (0, 1):
        held_out, other = images.take(folds == fold), images.take(folds != fold)
        chosen = [choose.choose(policy, other) for policy in rules.POLICIES]
        best = max(chosen, key=lambda rule: rules.earned(rule, other).mean())
        np.testing.assert_array_equal(values[folds == fold], rules.earned(best, held_out))


def test_an_image_is_scored_alone_as_among_others():
    """To the last bit, since the cutoff is the score of one of the images."""
    images = noisy(301)
    for policy in rules.FUSED:
        rule = choose.choose(policy, images)
        alone = [rules.score(rule, images.take(np.array([k])))[0] for k in range(301)]
        np.testing.assert_array_equal(rules.score(rule, images), alone)
