"""Compiled kernels give what the libraries that they stand for give, mostly to the last bit."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import ndimage

from features.pixels import filters, regions, sampling


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("sigma", [0.7, 1.6, 4.0])
@pytest.mark.parametrize(("mode", "theirs"), [("symmetric", "reflect"), ("edge", "nearest")])
def test_double_gaussian_equals_scipy(rng, sigma, mode, theirs):
    image = rng.normal(size=(30, 24)).astype(np.float32)
    expected = ndimage.gaussian_filter(image, sigma, mode=theirs)
    assert_array_equal(sampling.precise_gaussian(image, sigma, mode), expected)


def test_bilinear_equals_scipy(rng):
    image = rng.normal(size=(30, 24)).astype(np.float32)
    points = rng.normal(size=(2, 20, 20))  # many of them outside
    x, y = (points / 1.5 + 1) / 2
    at = [y * 30 - 0.5, x * 24 - 0.5]
    expected = ndimage.map_coordinates(image, at, order=1, mode="nearest")
    assert_array_equal(sampling.bilinear(image, points, 1.5), expected)


def test_ranks_by_hand():
    values = np.array([5, 1, 5, 3, 0, 9], np.float32)
    inside = np.array([True, True, True, False, False, False])
    # Among 1, 5, 5: a value above all ranks 1, below all -1, a tie in its own middle.
    expected = np.array([1 + 3, 0 + 1, 1 + 3, 1 + 1, 0, 3 + 3]) / 3 - 1
    assert sampling.ranks(values, inside) == pytest.approx(expected)


def test_distance_equals_scipy(rng):
    for density in (0.3, 0.01):
        target = rng.random((40, 65)) < density
        expected = ndimage.distance_transform_edt(~target)
        squared = regions.squared_distance(target)
        assert_array_equal(np.sqrt(squared, dtype=float), expected)
        near = regions.squared_distance(target, 5)
        assert_array_equal(near[expected <= 5], squared[expected <= 5])
        assert (near[expected > 5] > 25).all()
    assert (regions.squared_distance(np.zeros((3, 4), bool)) >= regions.FAR).all()


def test_pieces_by_hand():
    pieces = np.array([[1, 1, 0], [0, 0, 0], [2, 0, 2]], np.int32)
    values = np.arange(9, dtype=np.float32).reshape(3, 3)
    diagonal, size, total = regions.measure_pieces(pieces, values, 2)
    assert diagonal == pytest.approx([5**0.5, 10**0.5])
    assert_array_equal((size, total), [[2, 2], [1, 14]])


def test_largest_piece_by_hand():
    mask = np.array([[1, 0, 1], [1, 0, 1], [0, 0, 1]], bool)
    assert_array_equal(regions.largest(mask), mask & [False, False, True])
    assert not regions.largest(np.zeros((2, 2), bool)).any()


def test_square_mean_equals_scipy(rng):
    image = rng.random((40, 30)).astype(np.float32)
    assert_array_equal(filters.square_mean(image, 21), ndimage.uniform_filter(image, 21))


def test_direction_is_the_unit_gradient(rng):
    image = rng.random((40, 30)).astype(np.float32)
    gradient = np.array(np.gradient(filters.gaussian(image, 3.0)))
    assert_array_equal(filters.direction(image), gradient / np.hypot(*gradient))
    assert not filters.direction(np.ones((9, 9), np.float32)).any()
