"""The report's tables and bars: scores, shares, directions and profiles of the outcomes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import trained_run
from baseline.explanation.attributions import Explanation
from baseline.learning.metrics import Agreement, ClassifierMetrics, ClassifierScores
from baseline.learning.scores import Estimate
from baseline.report import gallery, result_tables
from baseline.report.result_tables import ShareBar
from tests.helpers.noise_run import NASTY


def test_only_sets_that_were_scored_have_a_column():
    half = Estimate(0.5, 0.4, 0.6)
    scores = ClassifierScores(10, 5, 8, half, half, half)
    columns = result_tables.score_columns(ClassifierMetrics(scores, Agreement(7, half), None))
    assert [column.name for column in columns] == [
        "Out of fold, true labels", "Agreement with weak labels (not truth)"
    ]  # fmt: skip
    assert [column.scores.images for column in columns] == [10, 7]


def test_bars_are_shares_of_the_largest():
    sums = pd.DataFrame({"a": [0.1, -0.1], "b": [0.4, -0.4], "c": [0.0, 0.0]})
    assert result_tables.share_bars(sums) == [
        ShareBar("b", pytest.approx(0.4), 100.0),
        ShareBar("a", pytest.approx(0.1), 25.0),
        ShareBar("c", 0.0, 0.0),
    ]


def test_a_direction_needs_a_clear_rank_correlation():
    names = ("up", "down", "even", "constant")
    x = np.arange(20.0)
    features = pd.DataFrame({"up": x, "down": x, "even": (x - 9.5) ** 2, "constant": 1.0})
    values = np.column_stack((x, -(x**3), x, x))
    explanation = Explanation(x.astype(str).astype(object), names, np.zeros(20), values)
    trained = SimpleNamespace(explanation=explanation, held_out=features)
    directions = [result_tables.direction(trained, name) for name in names]
    assert directions == ["for", "against", "it depends", "it depends"]


def test_values_are_counted_and_missing_ones_named():
    column = pd.Series(["AP", "PA", "AP", None], dtype="string")
    assert result_tables.counted(column) == "AP 2, PA 1, unknown 1"


def test_failures_show_who_is_affected(noise_run):
    trained = trained_run.read(noise_run)
    predicted = trained.predicted
    truth = predicted["label"].to_numpy()
    # Every second prediction is wrong.
    wrong = np.arange(len(truth)) % 2 == 1
    changed = predicted.assign(probability=np.abs(truth - wrong))
    changed_run = SimpleNamespace(predicted=changed, dataset=trained.dataset)
    areas = gallery.areas(trained.dataset)
    profiles = result_tables.outcome_profiles(changed_run, areas)
    by_name = {profile.name: profile for profile in profiles}
    labelled = truth[:100]
    assert by_name["false negative"].images == (labelled[1::2] == 1).sum()
    assert by_name["true positive"].images == (labelled[::2] == 1).sum()
    # All masks are 40 of 64 x 64 pixels; only images of odd numbers have a sex.
    assert by_name["false negative"].area == pytest.approx(40 / 64**2)
    assert by_name["true negative"].area is None
    assert by_name["false positive"].sex == f"{NASTY} {(labelled[1::2] == 0).sum()}"
