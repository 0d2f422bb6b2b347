"""Operating points and triage rates on numbers that can be checked by hand."""

import numpy as np
import pandas as pd
import pytest

from baseline.evaluation import operating_points
from baseline.learning import conformal
from tests.helpers.scored_rows import scored_rows


@pytest.fixture
def rows() -> pd.DataFrame:
    return scored_rows()


def test_the_least_threshold_that_keeps_a_specificity_by_hand():
    labels = np.array([0.0] * 10 + [1.0] * 4)
    raw = np.array([*range(10), 9.5, 8.5, 7.5, 0.5])
    # 90% of the negatives lie at 8 or below.
    assert operating_points.threshold(labels, raw, 0.9) == 8
    assert operating_points.threshold(labels, raw, 0.8) == 7
    assert operating_points.threshold(labels, raw, 1.0) == 9


def test_a_threshold_is_scored_on_the_fold_that_it_was_not_chosen_on():
    labels = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    raw = np.array([0.0, 1.0, 2.0, 3.0, 2.0, 3.0, 4.0, 2.5])
    fold = np.repeat([0, 1], 4)
    # Fold 0 is called by 3, the highest negative of fold 1, and fold 1 by 1.
    positive = operating_points.called(labels, raw, fold, "specificity", 1.0)
    assert list(positive) == [False] * 4 + [True] * 4
    # And by the lowest positives, 2.5 and 2, which are themselves called.
    positive = operating_points.called(labels, raw, fold, "sensitivity", 1.0)
    assert list(positive) == [False, False, False, True] + [True] * 4
    points = operating_points.operating_points(
        pd.DataFrame({"label": labels, "raw": raw, "fold": fold, "patient": [*"abcdefgh"]})
    )
    kept = {(point.kept, point.level): point for point in points}
    assert kept["specificity", 0.95].specificity.value == 0.5
    assert kept["specificity", 0.95].sensitivity.value == 0.5
    assert kept["sensitivity", 0.95].sensitivity.value == 0.75


def test_operating_points_keep_about_what_was_meant(rows):
    for point in operating_points.operating_points(rows):
        reach = 3 * np.sqrt(point.level * (1 - point.level) / 400)
        assert abs(getattr(point, point.kept).value - point.level) < reach


def test_triage_rates_are_counted_from_the_decisions(rows):
    rates = operating_points.triage(rows)
    labels, raw = rows["label"].to_numpy(), rows["raw"].to_numpy()
    decision = conformal.cross_triage(labels, raw, rows["fold"].to_numpy())
    assert rates.alpha == conformal.ALPHA
    assert rates.positives_ruled_out.value == pytest.approx((decision[labels == 1] == -1).mean())
    assert rates.negatives_ruled_in.value == pytest.approx((decision[labels == 0] == 1).mean())
    shares = (rates.ruled_out.value, rates.referred.value, rates.ruled_in.value)
    assert sum(shares) == pytest.approx(1)
    assert shares == pytest.approx([(decision == k).mean() for k in (-1, 0, 1)])


def test_flagged_images_are_referred_whatever_their_score(rows):
    flagged = np.arange(len(rows)) % 4 == 0
    rates = operating_points.triage(rows.assign(flagged=flagged))
    plain = conformal.cross_triage(
        rows["label"].to_numpy(), rows["raw"].to_numpy(), rows["fold"].to_numpy()
    )
    for name, decision in (("ruled_out", -1), ("ruled_in", 1)):
        expected = ((plain == decision) & ~flagged).mean()
        assert getattr(rates, name).value == pytest.approx(expected)
    assert rates.referred.value == pytest.approx(((plain == 0) | flagged).mean())
