"""How honest probabilities are: by hand, against scikit-learn, and on samples of known error."""

from functools import partial

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from baseline.learning import calibrate, scores


def test_calibration_recovers_known_log_odds():
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < expit(0.5 * raw - 1)).astype(float)
    fitted = calibrate.fit(raw, labels)
    assert fitted.slope == pytest.approx(0.5, abs=0.03)
    assert fitted.intercept == pytest.approx(-1, abs=0.05)


def test_calibration_never_reverses_a_ranking():
    raw, labels = np.array([2.0, 1, -1, -2]), np.array([0.0, 0, 1, 1])
    assert calibrate.fit(raw, labels).slope == 0


def test_cross_fitted_calibration_does_not_see_its_own_fold():
    rng = np.random.default_rng(0)
    raw, folds = rng.normal(size=90), np.repeat([0, 1, 2], 30)
    labels = (rng.random(90) < 0.4).astype(float)
    before = calibrate.cross_fit(raw, labels, folds)
    labels[folds == 0] = 1 - labels[folds == 0]
    after = calibrate.cross_fit(raw, labels, folds)
    np.testing.assert_array_equal(before[folds == 0], after[folds == 0])
    assert (before[folds == 1] != after[folds == 1]).all()


def sample(seed: int, n: int, slope: float, intercept: float) -> tuple[np.ndarray, ...]:
    """Labels and probabilities whose log-odds must be bent so to be right; two images a patient."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(-0.5, 1.5, n)
    labels = (rng.random(n) < expit(slope * raw + intercept)).astype(float)
    return labels, expit(raw), (np.arange(n) // 2).astype(object)


def test_slope_and_intercept_are_those_of_a_logistic_regression():
    labels, probabilities, patients = sample(0, 400, 0.6, 0.4)
    quality = calibrate.quality(labels, probabilities, patients)
    raw = logit(probabilities)[:, None]
    other = LogisticRegression(C=np.inf, tol=1e-10).fit(raw, labels)
    assert quality.slope.value == pytest.approx(float(other.coef_[0, 0]), abs=1e-5)
    assert quality.slope.low < 0.6 < quality.slope.high < 1
    # With this intercept added, as many are expected as are seen.
    shift = quality.intercept.value
    assert expit(raw[:, 0] + shift).sum() == pytest.approx(labels.sum(), abs=1e-6)


def test_calibration_error_by_hand():
    """Two bins of 25 images, each by 0.2 too high or too low, less what chance would give."""
    labels = np.r_[np.zeros(20), np.ones(5), np.zeros(10), np.ones(15)]
    probabilities = np.r_[np.full(25, 0.4), np.full(25, 0.8)]
    error = calibrate.calibration_error(labels, probabilities, np.arange(50).astype(object))
    # The variance of each bin's share is p (1 - p) / 25 with the share p: 0.2 and 0.6.
    chance = (0.2 * 0.8 + 0.6 * 0.4) / 2 / 25
    assert error.value == pytest.approx(np.sqrt(0.2**2 - chance), abs=0.01)
    assert (error.low + error.high) / 2 == pytest.approx(0.2, abs=1e-9)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (1.0, -0.8), (0.4, 0.0)])
def test_the_interval_holds_the_true_error_and_the_estimate(slope, intercept, monkeypatch):
    monkeypatch.setattr(scores, "resamples", partial(scores.resamples, replicates=100))
    n, bins = 150, 150 // calibrate.BIN
    raw = np.sort(np.random.default_rng(9).normal(-0.5, 1.5, 200_000))
    gaps = np.array_split(expit(raw) - expit(slope * raw + intercept), bins)
    truth = np.sqrt(np.mean([part.mean() ** 2 for part in gaps]))
    errors = [calibrate.calibration_error(*sample(seed, n, slope, intercept)) for seed in range(60)]
    assert all(error.low <= error.value <= error.high for error in errors)
    held = np.mean([error.low <= truth <= error.high for error in errors])
    # Sixty samples scatter: over 600, tests/benchmarks/calibration_coverage.py finds 0.95 and more.
    assert held >= 0.85
    # Not by being boundless: the interval is less than twice as wide as the largest error here.
    assert np.mean([error.high - error.low for error in errors]) < 0.3
    # No estimate is below 0: where the truth is 0 a rest of the bias stays.
    values = np.array([error.value for error in errors])
    norms = np.array([(error.low + error.high) / 2 for error in errors])
    assert values.mean() == pytest.approx(truth, abs=0.04)
    assert values.mean() - truth < (norms.mean() - truth) / 2


def test_what_cannot_be_estimated_is_left_out():
    labels, _, patients = sample(0, 60, 1.0, 0.0)
    quality = calibrate.quality(labels, np.full(60, 0.3), patients)
    assert quality.slope is None and quality.intercept is not None


def test_probabilities_that_separate_have_the_steepest_slope():
    labels = np.repeat([0.0, 1.0], 30)
    quality = calibrate.quality(labels, np.linspace(0.1, 0.9, 60), np.arange(60).astype(object))
    assert quality.slope.value == quality.slope.high == calibrate.STEEPEST
