"""The pneumothoraces that are drawn: kinds, sides and sizes as the distribution says."""

from collections import Counter

import numpy as np
import pytest

from features.implant.parameters import _RANGES, KINDS, sample


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    return [sample(rng) for _ in range(4000)]


def test_kinds_and_sides_are_as_frequent_as_they_should_be(drawn):
    counts = Counter(parameters.collapse.kind for parameters in drawn)
    for kind in KINDS:
        assert counts[kind] / len(drawn) == pytest.approx(_RANGES[kind].share, abs=0.03)
    right = np.mean([parameters.collapse.side == "right" for parameters in drawn])
    assert right == pytest.approx(0.55, abs=0.03)
    assert sum(ranges.share for ranges in _RANGES.values()) == pytest.approx(1)


def test_sizes_go_from_two_millimetres_to_a_whole_lung(drawn):
    depths = np.array([parameters.collapse.depth for parameters in drawn])
    assert 2 <= depths.min() < 2.1
    assert 190 < depths.max() <= 200
    apical = np.array([p.collapse.depth for p in drawn if p.collapse.kind == "apical"])
    # Evenly in the logarithm: the median is the geometric mean of the ends.
    assert np.median(apical) == pytest.approx(np.sqrt(2 * 80), rel=0.1)


def test_the_mediastinum_stays(drawn):
    assert all(parameters.collapse.shift == 0 for parameters in drawn)
