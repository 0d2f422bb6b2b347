"""Net benefit and predictive values, by hand."""

import numpy as np
import pandas as pd
import pytest

from baseline.evaluation.decision_curve import THRESHOLDS, decision_curve, worth
from baseline.evaluation.results import NetBenefit
from baseline.learning.scores import Estimate
from baseline.report.decision_section import clearly_better, predictive_values


def test_net_benefit_by_hand():
    """Of ten images three are positive; at 20% a false alarm costs a quarter of a true one."""
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0.0])
    is_alarm = np.array([1, 1, 0, 1, 1, 0, 0, 0, 0, 0], bool)
    assert worth(labels, is_alarm, 0.2).mean() == pytest.approx((2 - 2 / 4) / 10)
    assert worth(labels, np.ones(10, bool), 0.2).mean() == pytest.approx((3 - 7 / 4) / 10)
    assert worth(labels, np.zeros(10, bool), 0.2).mean() == 0


def test_a_perfect_classifier_earns_the_share_of_positives_at_every_threshold():
    labels = np.array([1.0, 0, 0, 0] * 25)
    rows = pd.DataFrame(
        {"label": labels, "probability": labels, "patient": [str(k) for k in range(100)]}
    )
    curve = decision_curve(rows)
    assert [point.threshold for point in curve] == list(THRESHOLDS)
    for point in curve:
        assert point.classifier.value == pytest.approx(0.25)
        odds = point.threshold / (1 - point.threshold)
        assert point.everybody == pytest.approx(0.25 - 0.75 * odds)
        # What calling everybody costs goes up and down with the classifier's worth.
        assert point.gain.value == pytest.approx(0.25 - max(point.everybody, 0))
        assert (point.gain.low > 0) == (point.gain.value > 0.01)


def test_predictive_values_by_a_table_of_ten_thousand():
    """1% of 10,000: 100 sick, of whom 90 are called; 9,900 healthy, of whom 990 are."""
    positive, negative = predictive_values(0.9, 0.9, 0.01)
    assert positive == pytest.approx(90 / (90 + 990))
    assert negative == pytest.approx(8910 / (8910 + 10))
    assert np.isnan(predictive_values(0.0, 1.0, 0.1)[0])


def test_where_it_is_clearly_better():
    def point(threshold: float, low: float) -> NetBenefit:
        gain = Estimate(low + 0.1, low, low + 0.2)
        return NetBenefit(threshold, Estimate(0.2, 0.1, 0.3), 0.1, gain)

    curve = [point(0.02, -0.1), point(0.1, 0.1), point(0.2, -0.1), point(0.3, 0.1), point(0.4, 0.1)]
    assert clearly_better(curve) == (0.3, 0.4)
    assert clearly_better(curve[:1]) is None
    assert clearly_better([]) is None
