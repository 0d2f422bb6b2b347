"""Maps to masks: one count of grey levels must equal cutting and comparing at every level."""

import numpy as np
import pytest
from scipy.stats import entropy

from baseline.gate import rules
from baseline.learning import scores
from cnn.gate import masks


@pytest.mark.parametrize("shape", [(128, 128), (100, 140)])
def test_measure_equals_cutting_at_each_level(shape):
    rng = np.random.default_rng(0)
    levels = masks.to_original(rng.random((32, 32)).astype(np.float32), shape)
    assert levels.shape == shape
    truth, zone = rng.random((2, *shape)) < 0.2
    found = masks.measure(levels, zone, truth, -1.5)
    assert found.log_odds == [-1.5] and found.positive == [1.0]
    for number in range(len(rules.MASK_LEVELS)):
        mask = masks.cut(levels, number)
        assert found.area[0, number] == pytest.approx(mask.mean())
        assert found.dice[0, number] == pytest.approx(scores.dice(mask, truth))
    for top, rank in zip(found.top[0], rules.RANKS, strict=True):
        assert (levels >= top * 255).mean() >= rank
        assert (levels > top * 255).mean() <= rank
    chance = levels.ravel() / 255
    told = entropy(np.stack((chance, 1 - chance)), base=2).mean()
    assert found.entropy[0] == pytest.approx(told)
    assert found.agreement[0] == pytest.approx(chance[zone.ravel()].mean())


def test_doubt_and_agreement_by_hand():
    levels = np.zeros((10, 10), np.uint8)
    levels[0] = 255
    zone = np.zeros((10, 10), bool)
    zone[:4, 0] = True
    found = masks.measure(levels, zone, None, 0.0)
    # One of the zone's four pixels is surely drawn; nowhere is there any doubt.
    assert found.agreement == [0.25] and found.entropy == [0.0]
    levels[1] = 128
    found = masks.measure(levels, zone, None, 0.0)
    assert found.agreement[0] == pytest.approx((1 + 128 / 255) / 4)
    assert found.entropy[0] == pytest.approx(0.1, abs=1e-5)


def test_unknown_truth_empty_masks_and_no_zone():
    levels, nowhere = np.zeros((64, 64), np.uint8), np.zeros((64, 64), bool)
    unknown = masks.measure(levels, nowhere, None, 0.0)
    assert np.isnan(unknown.dice).all() and np.isnan(unknown.positive).all()
    found = masks.measure(levels, nowhere, nowhere, 0.0)
    assert (found.top == 0).all() and (found.area == 0).all() and (found.dice == 1).all()
    assert found.entropy == found.agreement == found.positive == [0.0]
