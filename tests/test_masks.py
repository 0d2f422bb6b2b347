"""Maps to masks: one count of grey levels must equal cutting and comparing at every level."""

import numpy as np
import pytest

from baseline import gate, scores
from cnn import masks


@pytest.mark.parametrize("shape", [(128, 128), (100, 140)])
def test_measure_equals_cutting_at_each_level(shape):
    rng = np.random.default_rng(0)
    levels = masks.to_original(rng.random((32, 32)).astype(np.float32), shape)
    assert levels.shape == shape
    truth = rng.random(shape) < 0.2
    top, area, dice = masks.measure(levels, truth)
    for number in range(len(gate.LEVELS)):
        mask = masks.cut(levels, number)
        assert area[number] == pytest.approx(mask.mean())
        assert dice[number] == pytest.approx(scores.dice(mask, truth))
    assert (levels >= top * 255).mean() >= 0.001
    assert (levels > top * 255).mean() <= 0.001


def test_unknown_truth_and_empty_masks():
    levels = np.zeros((64, 64), np.uint8)
    assert np.isnan(masks.measure(levels, None)[2]).all()
    top, area, dice = masks.measure(levels, np.zeros((64, 64), bool))
    assert top == 0 and (area == 0).all() and (dice == 1).all()
