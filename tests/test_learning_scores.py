"""Scores against brute force and sampling theory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from baseline.learning import scores


def brute_force_dice(mask, truth):
    """Counting pixel by pixel."""
    shared = total = 0
    for a, b in zip(mask.ravel().tolist(), truth.ravel().tolist(), strict=True):
        shared += a and b
        total += a + b
    return 1.0 if total == 0 else 2 * shared / total


@given(st.data())
def test_dice_equals_brute_force(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=8))
    mask, truth = (data.draw(hnp.arrays(bool, shape)) for _ in range(2))
    assert scores.dice(mask, truth) == pytest.approx(brute_force_dice(mask, truth))


def test_dice_of_empty_masks():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert scores.dice(empty, empty) == 1
    assert scores.dice(full, empty) == scores.dice(empty, full) == 0
    assert scores.dice(full, full) == 1


def test_auc_counts_ordered_pairs():
    labels, values = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.4, 0.3, 0.3])
    # Pairs (positive, negative): 0.9 beats both; 0.3 loses to 0.4 and ties with 0.3.
    assert scores.auc(labels, values) == pytest.approx(2.5 / 4)
    assert np.isnan(scores.auc(np.ones(3), np.arange(3.0)))


@pytest.mark.parametrize("seed", range(5))
def test_auc_and_average_precision_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels, values = rng.permutation([0.0] * 20 + [1.0] * 9), rng.integers(0, 8, 29) / 8
    assert scores.auc(labels, values) == pytest.approx(roc_auc_score(labels, values), abs=1e-12)
    expected = average_precision_score(labels, values)
    assert scores.average_precision(labels, values) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(scores.average_precision(labels * 0, values))


def test_bootstrap_interval_of_a_mean_agrees_with_theory():
    values = np.random.default_rng(1).normal(0, 1, 400)
    alone = np.arange(400).astype(object)
    mean = scores.bootstrap(lambda rows: float(values[rows].mean()), alone)
    assert mean.value == pytest.approx(values.mean())
    assert mean.high - mean.low == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_bootstrap_resamples_patients_not_images():
    values = np.repeat(np.random.default_rng(1).normal(0, 1, 40), 10)
    patients = np.repeat(np.arange(40), 10).astype(object)
    grouped = scores.bootstrap(lambda rows: float(values[rows].mean()), patients)
    # Ten copies of a patient say no more than one.
    assert grouped.high - grouped.low == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.3)


def test_wilsons_interval_holds_the_shares_that_a_test_would_not_reject():
    """Its ends are where the observed share is 1.96 standard errors of the true one away."""
    low, high = scores.wilson(np.array([0.3, 0.5]), np.array([20, 8]))
    for true in (low, high):
        error = np.sqrt(true * (1 - true) / [20, 8])
        np.testing.assert_allclose(np.abs(true - [0.3, 0.5]), scores.Z95 * error)
    # Of 0 out of 2 it reaches to z^2 / (n + z^2).
    low, high = scores.wilson(0.0, 2)
    assert (low, high) == (0, pytest.approx(scores.Z95**2 / (2 + scores.Z95**2)))
    assert scores.wilson(1.0, 7)[1] == 1


def test_a_share_where_all_agree_has_wilsons_interval_of_the_patients():
    patients = np.array(["a", "a", "b", "b", "c"], object)
    all_correct = scores.share(np.ones(5), patients)
    assert (all_correct.value, all_correct.high) == (1, 1)
    assert all_correct.low == pytest.approx(1 - scores.Z95**2 / (3 + scores.Z95**2))
    mixed = np.array([1.0, 1, 0, 0, 1])
    assert scores.share(mixed, patients) == scores.mean(mixed, patients)


def test_a_resample_holds_all_images_of_each_patient_that_is_drawn():
    patients = np.array(list("bacab"), object)
    rng = np.random.default_rng(3)
    images = {0: [1, 3], 1: [0, 4], 2: [2]}
    for rows in scores.resamples(patients, 20, seed=3):
        assert list(rows) == [row for drawn in rng.integers(0, 3, 3) for row in images[drawn]]
    assert [len(rows) for rows in scores.resamples(patients[:0], 2)] == [0, 0]
