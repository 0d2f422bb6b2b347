"""From X-rays of any shape to the network's square, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from features.reading import images
from features.squares import geometry


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_shrinking_is_the_mean_of_blocks(factor):
    image = np.random.default_rng(0).random((32, 32), np.float32)
    small = geometry.to_square(image, 32 // factor)
    blocks = image.reshape(32 // factor, factor, 32 // factor, factor)
    assert_allclose(small, blocks.mean((1, 3)), atol=1e-6)


def test_shrinking_weighs_pixels_by_overlap():
    row = np.array([[3.0, 6.0, 9.0]] * 3, np.float32)
    # Three pixels into two: the middle one is shared in halves.
    assert_allclose(geometry.to_square(row, 2), [[4.0, 8.0], [4.0, 8.0]], rtol=1e-6)


def test_padding_is_dark_and_even_on_both_sides():
    square = geometry.to_square(np.ones((2, 4), np.float32), 4)
    assert_array_equal(square, [[0] * 4, [1] * 4, [1] * 4, [0] * 4])


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([16, 32, 64]))
def test_from_square_puts_every_position_back(rows, columns, size):
    # A map whose value is its own position in the square: linear, so interpolation keeps it.
    place = (np.arange(size, dtype=np.float32) + 0.5) / size
    side = max(rows, columns)
    back = geometry.from_square(np.broadcast_to(place, (size, size)), rows, columns)
    expected = ((side - columns) // 2 + np.arange(columns) + 0.5) / side
    assert back.shape == (rows, columns)
    # Beyond the outermost centres there is nothing to interpolate with.
    clamped = np.clip(expected, place[0], place[-1]) if side > size else expected
    assert_allclose(back, np.broadcast_to(clamped, back.shape), atol=0.51 / side + 1e-5)
    tall = geometry.from_square(np.broadcast_to(place[:, None], (size, size)), columns, rows)
    assert_allclose(tall, back.T, atol=1e-6)


@given(st.integers(1, 64), st.integers(1, 64))
def test_an_image_that_needs_no_resampling_comes_back_unchanged(rows, columns):
    image = np.random.default_rng(rows).random((rows, columns), np.float32)
    square = geometry.to_square(image, max(rows, columns))
    assert_allclose(geometry.from_square(square, rows, columns), image, atol=1e-6)


@given(st.integers(2, 80), st.integers(2, 80), st.integers(2, 80))
def test_resampling_keeps_constants(rows, columns, size):
    square = np.full((size, size), 0.7, np.float32)
    assert_allclose(geometry.from_square(square, rows, columns), 0.7, atol=1e-6)


def test_real_x_rays_become_squares(shared_data):
    path = sorted((shared_data / "siim-mini" / "stage_2_images").glob("*.dcm"))[0]
    square = geometry.square_bytes(images.read(path)[1], 256)
    assert square.shape == (256, 256)
    assert square.std() > 20
