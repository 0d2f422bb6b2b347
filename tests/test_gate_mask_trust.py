"""What a mask may be trusted for: masks whose Dice follows one signal, and others."""

import numpy as np
import pytest

from baseline.gate import mask_trust
from baseline.gate.rules import MASK_SHARES, RANKS, TOP_LEVELS, GateInputs, Rule, signals

RULE = Rule("unet", mask_share=5)


def inputs(rng: np.random.Generator, count: int, noise: float = 0.1) -> GateInputs:
    """Masks that are the better the surer the map is."""
    sure = rng.uniform(0.1, 0.9, count)
    dice = np.clip(sure + rng.normal(0, noise, count), 0, 1)
    return GateInputs(
        log_odds=rng.normal(size=count),
        top=np.repeat(sure[:, None], len(RANKS), axis=1),
        area=np.full((count, len(TOP_LEVELS)), 0.02),
        entropy=np.full(count, 0.1),
        agreement=rng.uniform(size=count),
        dice=np.repeat(dice[:, None], len(MASK_SHARES), axis=1),
        positive=np.ones(count),
    )


def fitted(known: GateInputs, folds: int, rule: Rule = RULE) -> mask_trust.MaskTrust | None:
    """Learned from images of so many folds, all under one rule."""
    of_image = np.arange(len(known.dice)) % folds
    return mask_trust.fit(
        known, rule, dict.fromkeys(range(folds), rule), of_image, names(len(of_image))
    )


def names(count: int) -> np.ndarray:
    return np.array([str(k) for k in range(count)], object)


@pytest.mark.parametrize("seed", range(3))
def test_new_masks_reach_the_bound_as_often_as_it_says(seed):
    rng = np.random.default_rng(seed)
    trust = fitted(inputs(rng, 300), 5)
    assert trust is not None and trust.masks == 300
    new = inputs(rng, 4000)
    expected, at_least = mask_trust.predict(trust, new)
    assert np.abs(expected - new.dice[:, 5]).mean() < 0.12
    assert (new.dice[:, 5] >= at_least).mean() == pytest.approx(mask_trust.LEVEL, abs=0.06)
    assert trust.coverage.low <= mask_trust.LEVEL <= trust.coverage.high
    assert ((at_least >= 0) & (at_least <= expected) & (expected <= 1)).all()


def test_surer_maps_are_expected_to_agree_better():
    rng = np.random.default_rng(0)
    known = inputs(rng, 200)
    trust = fitted(known, 5)
    expected, _ = mask_trust.predict(trust, known)
    assert np.corrcoef(expected, known.top[:, 0])[0, 1] > 0.9
    assert len(trust.weights) == 1 + signals(known).shape[1]


def test_only_kept_masks_count_and_a_false_one_earns_nothing():
    rng = np.random.default_rng(1)
    known = inputs(rng, 120)
    empty = np.arange(120) % 2 == 0
    known.top[empty] = 0.0
    known.dice[~empty] = 0.0  # no pneumothorax where a mask is kept
    trust = fitted(known, 3)
    assert trust.masks == 60
    expected, at_least = mask_trust.predict(trust, known)
    np.testing.assert_allclose(expected[~empty], 0, atol=1e-9)
    assert (at_least == 0).all()


def test_how_many_reach_the_bound_is_counted_under_the_rules_of_other_folds():
    known = inputs(np.random.default_rng(4), 90)
    folds = np.arange(90) % 3
    known.dice[:, 0] = 0.5  # masks at another share are all alike, and reach any bound of theirs
    of_folds = dict.fromkeys(range(3), Rule("unet", mask_share=0))
    trust = mask_trust.fit(known, RULE, of_folds, folds, names(90))
    assert trust.coverage.value == 1 and trust.coverage.low < 1
    assert trust.weights == fitted(known, 3).weights
    # Nothing is kept under them, so nothing can be counted.
    assert (
        mask_trust.fit(known, RULE, dict.fromkeys(range(3), Rule("empty")), folds, names(90))
        is None
    )


def test_too_few_masks_say_nothing():
    rng = np.random.default_rng(2)
    assert fitted(inputs(rng, 19), 5) is None
    assert fitted(inputs(rng, 60), 2) is None


def test_odd_numbers_are_refused():
    trust = fitted(inputs(np.random.default_rng(3), 60), 3)
    assert mask_trust.fault(trust) == ""
    changed = mask_trust.MaskTrust(**(vars(trust) | {"margin": float("nan")}))
    assert "none it can be" in mask_trust.fault(changed)
    shorter = mask_trust.MaskTrust(**(vars(trust) | {"weights": trust.weights[:-1]}))
    assert "another version" in mask_trust.fault(shorter)
