"""Maps to masks: one count of grey levels must equal cutting and comparing at every share."""

import numpy as np
import pytest
from scipy.stats import entropy

from baseline.gate import rules
from baseline.learning import scores
from cnn.gate import masks


@pytest.mark.parametrize("shape", [(128, 128), (100, 140)])
def test_measure_equals_cutting_at_each_share(shape):
    rng = np.random.default_rng(0)
    grey = masks.to_original(rng.random((32, 32)).astype(np.float32), shape)
    assert grey.shape == shape
    truth, zone = rng.random((2, *shape)) < 0.2
    inputs = masks.measure(grey, zone, truth, -1.5)
    assert inputs.log_odds == [-1.5] and inputs.positive == [1.0]
    for number, level in enumerate(rules.TOP_LEVELS):
        assert inputs.area[0, number] == pytest.approx((grey >= level).mean())
    top = np.rint(255 * inputs.top[0, rules.TOP])
    for number, percent in enumerate(rules.MASK_SHARES):
        mask = masks.cut(grey, number)
        np.testing.assert_array_equal(mask, 100.0 * grey >= percent * top)
        assert inputs.dice[0, number] == pytest.approx(scores.dice(mask, truth))
    for top, rank in zip(inputs.top[0], rules.RANKS, strict=True):
        assert (grey >= top * 255).mean() >= rank
        assert (grey > top * 255).mean() <= rank
    chance = grey.ravel() / 255
    expected = entropy(np.stack((chance, 1 - chance)), base=2).mean()
    assert inputs.entropy[0] == pytest.approx(expected)
    assert inputs.agreement[0] == pytest.approx(chance[zone.ravel()].mean())


def test_a_mask_is_cut_at_a_share_of_the_top_score():
    grey = np.zeros((100, 100), np.uint8)
    grey[:50] = 69
    grey[:20] = 70
    grey[0, :10] = 100  # a thousandth of all pixels
    grey[0, 0] = 255  # a single one is no top score
    seventy = list(rules.MASK_SHARES).index(70)
    assert masks.cut_level(grey, seventy) == 70
    assert masks.cut(grey, seventy).sum() == 20 * 100
    # Fainter maps are cut lower: the mask is the same.
    assert masks.cut(grey // 2, seventy).sum() == 20 * 100
    # A dark map has no mask, and the gate keeps none.
    assert masks.cut_level(np.zeros((100, 100), np.uint8), seventy) == 1


def test_doubt_and_agreement_by_hand():
    grey = np.zeros((10, 10), np.uint8)
    grey[0] = 255
    zone = np.zeros((10, 10), bool)
    zone[:4, 0] = True
    inputs = masks.measure(grey, zone, None, 0.0)
    # One of the zone's four pixels is surely drawn; nowhere is there any doubt.
    assert inputs.agreement == [0.25] and inputs.entropy == [0.0]
    grey[1] = 128
    inputs = masks.measure(grey, zone, None, 0.0)
    assert inputs.agreement[0] == pytest.approx((1 + 128 / 255) / 4)
    assert inputs.entropy[0] == pytest.approx(0.1, abs=1e-5)


def test_unknown_truth_empty_masks_and_no_zone():
    grey, nowhere = np.zeros((64, 64), np.uint8), np.zeros((64, 64), bool)
    unknown = masks.measure(grey, nowhere, None, 0.0)
    assert np.isnan(unknown.dice).all() and np.isnan(unknown.positive).all()
    inputs = masks.measure(grey, nowhere, nowhere, 0.0)
    assert (inputs.top == 0).all() and (inputs.area == 0).all() and (inputs.dice == 1).all()
    assert inputs.entropy == inputs.agreement == inputs.positive == [0.0]
