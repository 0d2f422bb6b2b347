"""Filters against SciPy, and ridges by hand."""

import numpy as np
import pytest
from scipy import ndimage

from features.pixels import filters
from tests.helpers import box_lungs


def test_gaussian_equals_scipy():
    noise = box_lungs.noise()
    for sigma in (1.0, 1.5, 4.0):
        expected = ndimage.gaussian_filter(noise, sigma, mode="nearest")
        np.testing.assert_allclose(filters.gaussian(noise, sigma), expected, atol=1e-5)


def test_ridge_of_a_gaussian_line_by_hand():
    column = np.arange(41) - 20
    line = np.tile(np.exp(-(column**2) / (2 * 3.0**2)), (41, 1)).astype(np.float32)
    # The second derivative of exp(-x^2 / 2 s^2) at 0 is -1 / s^2, here by finite differences.
    bend = 2 * (1 - np.exp(-1 / 18))
    assert filters.ridge(line, 2.0)[20, 20] == pytest.approx(4 * bend, rel=1e-3)
    normal = np.zeros((2, 41, 41), np.float32)
    normal[1] = 1
    assert filters.ridge_across(line, normal, 2.0)[20, 20] == pytest.approx(4 * bend, rel=1e-3)
    assert filters.ridge_across(line, normal[::-1], 2.0)[20, 20] == 0
    assert filters.ridge(-line, 2.0)[20, 20] == pytest.approx(0, abs=1e-6)
