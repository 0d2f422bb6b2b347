"""Measures of the quality gate on pictures whose answer is known by hand."""

import numpy as np
import pytest

from features.lungs.fields import LungFields
from features.quality import edges, lung_frame, measures


def lungs_of(side: int = 64) -> list[np.ndarray]:
    """Two boxes that are each other's mirror."""
    right = np.zeros((side, side), np.float32)
    right[side // 4 : 3 * side // 4, side // 8 : 3 * side // 8] = 1
    return [right, np.ascontiguousarray(right[:, ::-1])]


@pytest.mark.parametrize("quarter", range(4))
def test_a_ramp_has_edges_of_one_direction(quarter):
    """Brighter to the right is direction 0; each quarter turn clockwise is two further."""
    ramp = np.rot90(np.tile(np.linspace(-1, 1, 64, dtype=np.float32), (64, 1)), -quarter)
    found = edges.directions(np.ascontiguousarray(ramp)).reshape(edges.DIRECTIONS, 8, 8)
    strength = found.sum(axis=(1, 2))
    assert strength.argmax() == 2 * quarter
    assert strength[2 * quarter] > 0.99 * strength.sum()
    np.testing.assert_allclose(found[2 * quarter], 3 * np.sqrt(2 / 63), rtol=0.15)


def test_a_slanting_edge_counts_in_both_directions():
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, 64)])
    angle = np.pi / 8  # half way between direction 0 and 1
    ramp = (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)
    strength = (edges.directions(ramp).reshape(edges.DIRECTIONS, 64) ** 2).sum(axis=1)
    assert strength[0] == pytest.approx(strength[1], rel=0.05)
    assert strength[:2].sum() > 0.99 * strength.sum()


def test_the_pose_of_two_boxes():
    x, y, width, height, slope = lung_frame.pose_of(lungs_of())
    assert (x, y, slope) == pytest.approx((0, 0, 0), abs=1e-9)
    # Centres at -0.5 and 0.5, each 0.5 wide and 1 high: the variances of uniform boxes.
    assert np.exp(width) == pytest.approx(np.sqrt(0.25 + 0.5**2 / 12), rel=0.01)
    assert np.exp(height) == pytest.approx(1 / np.sqrt(12), rel=0.01)


def test_lines_along_the_borders_see_what_lies_there():
    picture = np.zeros((64, 64), np.float32)
    picture[-12:] = 1  # the lower fifth
    pose = lung_frame.pose_of(lungs_of())
    places = lung_frame.places(picture, pose)
    assert places.shape == (lung_frame.COUNT,)
    points = lung_frame.ROW_POINTS
    along = places[: len(lung_frame.ALONG_ROWS) * 2 * points].reshape(-1, 2, points)
    np.testing.assert_allclose(along[:4, 0], 1, atol=0.02)  # lower border
    np.testing.assert_allclose(along[:, 1], 0, atol=0.02)  # upper border


def test_a_mirrored_picture_gives_the_negative_asymmetry():
    rng = np.random.default_rng(4)
    picture = rng.normal(size=(64, 64)).astype(np.float32)
    lungs = lungs_of()
    lungs[1][20:30, 40:60] = 1
    plain = lung_frame.asymmetry(picture, lung_frame.pose_of(lungs))
    swapped = [np.ascontiguousarray(lung[:, ::-1]) for lung in lungs[::-1]]
    mirrored = lung_frame.asymmetry(
        np.ascontiguousarray(picture[:, ::-1]), lung_frame.pose_of(swapped)
    )
    assert np.abs(plain).max() > 0.1
    np.testing.assert_allclose(mirrored, -plain, atol=2e-5)


def test_a_heart_at_the_right_of_the_frame_is_seen_there():
    picture = np.zeros((64, 64), np.float32)
    picture[34:46, 34:46] = 1
    pose = lung_frame.pose_of(lungs_of())
    found = lung_frame.asymmetry(picture, pose).reshape(lung_frame.GRID, -1)
    row, column = np.unravel_index(found.argmin(), found.shape)
    assert row >= lung_frame.GRID // 2 and column >= 4


def test_lungs_without_a_pixel_have_a_pose():
    none = [np.zeros((64, 64), np.float32)] * 2
    assert np.isfinite(lung_frame.pose_of(none)).all()


def test_the_numbers_are_where_their_names_say():
    half = np.zeros((128, 128), bool)
    half[32:96, 16:48] = True
    fields = LungFields(half, half[:, ::-1], 0.5)
    picture = np.random.default_rng(5).random((128, 128)).astype(np.float32)
    tall, wide = (measures.measure(picture, fields, ratio) for ratio in (1.5, 1 / 1.5))
    changed = np.flatnonzero(tall != wide)
    np.testing.assert_array_equal(changed, [measures.SHAPE])
    assert tall[measures.SHAPE] == pytest.approx(3 * np.log(1.5))
    assert len(tall) == measures.COUNT
