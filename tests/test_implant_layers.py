"""The layer of ribs keeps what goes on along a line, and leaves out spots and short strokes."""

import numpy as np
import pytest
from scipy import ndimage

from features.implant.layers import steady


def strokes(length: float) -> np.ndarray:
    """A bright oblique stroke of this length on a plain picture."""
    row, column = np.mgrid[:120, :120] - 60.0
    along, across = 0.8 * column + 0.6 * row, 0.6 * column - 0.8 * row
    line = np.exp(-0.5 * across**2) * (np.abs(along) < length / 2)
    return ndimage.gaussian_filter(line, 0.7).astype(np.float32)


@pytest.mark.parametrize(("length", "low", "high"), [(200, 0.85, 1.1), (4, 0.0, 0.6)])
def test_long_lines_stay_and_short_ones_go(length: float, low: float, high: float):
    image = strokes(length)
    layer = steady(image, np.ones(image.shape, bool))
    assert low < layer[60, 60] / image[60, 60] < high


def test_a_plain_slope_is_all_steady():
    image = np.tile(np.linspace(0, 1, 90, dtype=np.float32), (80, 1))
    layer = steady(image, np.ones(image.shape, bool))
    assert layer[20:-20, 20:-20] == pytest.approx(image[20:-20, 20:-20], abs=1e-3)


def test_elsewhere_the_picture_is_just_smoothed():
    image = strokes(200)
    layer = steady(image, np.zeros(image.shape, bool))
    assert layer.max() < 0.7 * image.max()
