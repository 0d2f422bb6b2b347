"""Venn-Abers ranges: by hand, beside scikit-learn's isotonic regression, and their coverage."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from baseline.learning.venn_abers import probability_range


def test_by_hand():
    labels, raw = np.array([0.0, 1, 0, 1]), np.array([-2.0, -1, 1, 2])
    # Between the middle ones, which disagree: 0, (1 + 0 + label) / 3, 1.
    low, high = probability_range(0.0, labels, raw)
    assert (low, high) == pytest.approx((1 / 3, 2 / 3))
    # Above all: as healthy it joins the pool of the middle and the highest.
    assert probability_range(3.0, labels, raw) == pytest.approx((2 / 4, 1.0))
    assert probability_range(-3.0, labels, raw)[0] == 0


@pytest.mark.parametrize("seed", range(5))
def test_it_is_isotonic_regression_with_the_image_added(seed):
    rng = np.random.default_rng(seed)
    raw = np.round(rng.normal(0, 2, 60), 1)  # with ties
    labels = (rng.random(60) < 1 / (1 + np.exp(-raw))).astype(float)
    for new in (*np.round(rng.normal(0, 2, 10), 1), raw[0]):
        wanted = [
            IsotonicRegression()
            .fit(np.append(raw, new), np.append(labels, label))
            .predict([new])[0]
            for label in (0.0, 1.0)
        ]
        low, high = probability_range(new, labels, raw)
        np.testing.assert_allclose((low, high), wanted, atol=1e-12)
        assert low <= high


def test_the_ranges_hold_the_frequency():
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 2, 4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-raw))).astype(float)
    ranges = np.array(
        [probability_range(raw[k], labels[3000:], raw[3000:]) for k in range(0, 3000)]
    )
    for part in np.array_split(np.argsort(raw[:3000]), 5):
        low, high = ranges[part].mean(axis=0)
        noise = 2.6 * np.sqrt(0.25 / len(part))
        assert low - noise <= labels[part].mean() <= high + noise
