"""How honest probabilities are: by hand, against scikit-learn, and on samples of known error."""

from functools import partial

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from baseline.learning import calibrate, scores


def sample(seed: int, n: int, slope: float, intercept: float) -> tuple[np.ndarray, ...]:
    """Labels and probabilities whose log-odds must be bent so to be right; two images a patient."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(-0.5, 1.5, n)
    labels = (rng.random(n) < expit(slope * raw + intercept)).astype(float)
    return labels, expit(raw), (np.arange(n) // 2).astype(object)


def test_slope_and_intercept_are_those_of_a_logistic_regression():
    labels, probabilities, patients = sample(0, 400, 0.6, 0.4)
    found = calibrate.quality(labels, probabilities, patients)
    raw = logit(probabilities)[:, None]
    other = LogisticRegression(C=np.inf, tol=1e-10).fit(raw, labels)
    assert found["calibration_slope"].value == pytest.approx(float(other.coef_[0, 0]), abs=1e-5)
    assert found["calibration_slope"].low < 0.6 < found["calibration_slope"].high < 1
    # With this intercept added, as many are expected as are seen.
    shift = found["calibration_intercept"].value
    assert expit(raw[:, 0] + shift).sum() == pytest.approx(labels.sum(), abs=1e-6)


def test_calibration_error_by_hand():
    """Two bins of 25 images, each by 0.2 too high or too low; without chance, were it told."""
    labels = np.r_[np.zeros(20), np.ones(5), np.zeros(10), np.ones(15)]
    probabilities = np.r_[np.full(25, 0.4), np.full(25, 0.8)]
    found = calibrate.calibration_error(labels, probabilities, np.arange(50).astype(object))
    # The variance of each bin's share is p (1 - p) / 25 with the share p: 0.2 and 0.6.
    chance = (0.2 * 0.8 + 0.6 * 0.4) / 2 / 25
    assert found.value == pytest.approx(np.sqrt(0.2**2 - chance), abs=0.01)
    assert (found.low + found.high) / 2 == pytest.approx(0.2, abs=1e-9)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (1.0, -0.8), (0.4, 0.0)])
def test_the_interval_holds_the_true_error_and_the_estimate(slope, intercept, monkeypatch):
    monkeypatch.setattr(scores, "resamples", partial(scores.resamples, replicates=100))
    n, bins = 150, 150 // calibrate.BIN
    raw = np.sort(np.random.default_rng(9).normal(-0.5, 1.5, 200_000))
    gaps = np.array_split(expit(raw) - expit(slope * raw + intercept), bins)
    truth = np.sqrt(np.mean([part.mean() ** 2 for part in gaps]))
    found = [calibrate.calibration_error(*sample(seed, n, slope, intercept)) for seed in range(60)]
    assert all(one.low <= one.value <= one.high for one in found)
    held = np.mean([one.low <= truth <= one.high for one in found])
    # Sixty samples scatter: over 600, tests/benchmarks/calibration_coverage.py finds 0.95 and more.
    assert held >= 0.85
    # Not by being boundless: the interval is less than twice as wide as the largest error here.
    assert np.mean([one.high - one.low for one in found]) < 0.3
    # No estimate is below 0: where the truth is 0 a rest of the bias stays.
    values = np.array([one.value for one in found])
    norms = np.array([(one.low + one.high) / 2 for one in found])
    assert values.mean() == pytest.approx(truth, abs=0.04)
    assert values.mean() - truth < (norms.mean() - truth) / 2


def test_what_cannot_be_told_is_left_out():
    labels, _, patients = sample(0, 60, 1.0, 0.0)
    found = calibrate.quality(labels, np.full(60, 0.3), patients)
    assert "calibration_slope" not in found and "calibration_intercept" in found


def test_probabilities_that_separate_have_the_steepest_slope():
    labels = np.repeat([0.0, 1.0], 30)
    found = calibrate.quality(labels, np.linspace(0.1, 0.9, 60), np.arange(60).astype(object))
    assert found["calibration_slope"].value == calibrate.STEEPEST
    assert found["calibration_slope"].high == calibrate.STEEPEST
