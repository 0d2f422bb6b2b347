"""Lung fields: contract on any image, invariances, geometry by hand, and real X-rays if present."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from threadpoolctl import threadpool_limits

from features.lungs import cascade, frames
from features.lungs import fields as lungs
from features.lungs_fit import cases as known_lungs
from features.lungs_fit import fit
from features.reading import rle
from tests.helpers.drawn_chest import drawn_chest


def assert_contract(fields: lungs.LungFields, shape: tuple[int, int]) -> None:
    """Never empty, disjoint, one component each, of the input's shape."""
    assert fields.right.shape == fields.left.shape == shape
    assert fields.right.dtype == fields.left.dtype == bool
    assert not (fields.right & fields.left).any()
    for mask in (fields.right, fields.left):
        assert ndimage.label(mask)[1] == 1
    assert 0 <= fields.quality <= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(32, 150), st.integers(32, 150), st.integers(0, 9), st.floats(0, 8))
def test_any_image_meets_the_contract(h: int, w: int, seed: int, blur: float) -> None:
    noise = np.random.default_rng(seed).random((h, w))
    pixels = ndimage.gaussian_filter(noise, blur).astype(np.float32)
    assert_contract(lungs.segment(pixels), (h, w))


def test_the_number_of_threads_changes_no_lung() -> None:
    """Noise, since there the smallest difference in a sum grows largest."""
    for seed in range(4):
        pixels = np.random.default_rng(seed).random((1024, 1024)).astype(np.float32)
        results = []
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                results.append(lungs.segment(pixels))
        assert results[0].quality == results[1].quality
        assert np.array_equal(results[0].right, results[1].right)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_blank_image_gets_the_average_lungs_without_trust(value: float) -> None:
    fields = lungs.segment(np.full((96, 128), value, np.float32))
    assert_contract(fields, (96, 128))
    assert fields.quality == 0
    assert np.array_equal(fields.left, fields.right[:, ::-1])
    assert ndimage.center_of_mass(fields.right)[1] < 64 < ndimage.center_of_mass(fields.left)[1]


@pytest.mark.parametrize("kind", ["noise", "cloud", "limb"])
def test_no_chest_is_not_trusted(kind: str) -> None:
    rng = np.random.default_rng(5)
    x = np.linspace(-1, 1, 200)
    limb = np.sqrt(np.clip(1 - (x / 0.3) ** 2, 0, 1)) + 0.4 * (np.abs(x) < 0.1)
    image = {
        "noise": rng.random((200, 200)),
        "cloud": ndimage.gaussian_filter(rng.random((200, 200)), 12),
        "limb": np.tile(limb, (200, 1)),
    }[kind].astype(np.float32)
    fields = lungs.segment(image)
    assert_contract(fields, (200, 200))
    assert fields.quality < lungs.TRUST


def test_a_drawn_chest_is_found() -> None:
    pixels, right, left = drawn_chest()
    fields = lungs.segment(pixels)
    assert_contract(fields, pixels.shape)
    assert cascade.overlap(fields.right, right) > 0.8
    assert cascade.overlap(fields.left, left) > 0.75


def test_gain_and_offset_do_not_matter() -> None:
    pixels = drawn_chest()[0]
    first, second = lungs.segment(pixels), lungs.segment(0.3 * pixels + 0.4)
    assert cascade.overlap(first.right, second.right) > 0.99
    assert cascade.overlap(first.left, second.left) > 0.99
    assert first.quality == pytest.approx(second.quality, abs=0.02)


def test_a_mirrored_image_gives_mirrored_lungs() -> None:
    pixels = drawn_chest()[0]
    first, second = lungs.segment(pixels), lungs.segment(pixels[:, ::-1])
    assert cascade.overlap(first.right, second.left[:, ::-1]) > 0.99
    assert cascade.overlap(first.left, second.right[:, ::-1]) > 0.99
    assert first.quality == pytest.approx(second.quality, abs=0.02)


def test_size_hardly_matters_and_the_result_is_deterministic() -> None:
    small, large = (lungs.segment(drawn_chest(size)[0]) for size in (200, 600))
    again = lungs.segment(drawn_chest(600)[0])
    assert np.array_equal(large.right, again.right) and np.array_equal(large.left, again.left)
    reduced = ndimage.zoom(large.right.astype(np.float32), 1 / 3, order=1) > 0.5
    assert cascade.overlap(reduced, small.right) > 0.95


def test_bad_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 x 32"):
        lungs.segment(np.zeros((31, 64), np.float32))
    with pytest.raises(ValueError, match="at least 32 x 32"):
        lungs.segment(np.zeros((64, 64, 3), np.float32))
    with pytest.raises(ValueError, match="NaN or infinity"):
        lungs.segment(np.full((64, 64), np.nan, np.float32))


def test_the_shipped_model_is_small() -> None:
    assert cascade.MODEL.stat().st_size < 500_000


# --- geometry


def test_area_resize_takes_exact_means() -> None:
    image = np.arange(36, dtype=np.float32).reshape(6, 6)
    by_hand = image.reshape(2, 3, 2, 3).mean(axis=(1, 3))
    assert np.allclose(frames.area_resize(image, (2, 2)), by_hand)
    # three pixels to two: the middle one is shared half and half
    column = np.array([[1.0], [4.0], [10.0]], np.float32) @ np.ones((1, 3), np.float32)
    assert np.allclose(frames.area_resize(column, (2, 2))[:, 0], [2.0, 8.0])


def test_body_box_cuts_blank_borders_only() -> None:
    image = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    assert frames.body_box(image) == (0, 1, 0, 1)
    image[:, :32] = 0
    image[112:] = 0
    assert frames.body_box(image) == (0, 0.875, 0.25, 1)
    assert frames.body_box(np.zeros((128, 128), np.float32)) == (0, 1, 0, 1)


def test_moments_of_a_rectangle() -> None:
    points = frames.grid_points(np.array([[0.5, 0, 0.1], [0, 0.25, -0.2]]), (400, 400))
    for slope_of in ("x", "y"):
        pose = frames.moments(points, np.ones((400, 400)), slope_of)
        half = np.array([0.5, 0.25]) / np.sqrt(3)  # a uniform spread
        assert np.allclose(pose, [0.1, -0.2, *np.log(half), 0], atol=1e-4)


def test_ranks_ignore_a_rising_tone_curve_and_what_lies_outside() -> None:
    image = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    frame = np.array([[1.5, 0.0, 0.2], [0.1, 0.6, 0.0]])
    centres = np.array([[1, 0, 0], [0, 1, 0.0]])
    ranks = frames.ranks_in(image, centres, (64, 64))
    assert np.allclose(ranks, frames.ranks_in(np.exp(3 * image), centres, (64, 64)))
    assert ranks.min() == pytest.approx(-1, abs=1e-3) and abs(ranks.mean()) < 1e-3
    assert np.abs(frames.ranks_in(image, frame, (32, 32))).max() <= 1


# --- real X-rays


def test_jsrt_lungs_are_found(shared_data: Path) -> None:
    cases = known_lungs.read_cases(shared_data / "lung-masks" / "JSRT")[::6]
    table = fit.scores(cases, lungs.segment, "JSRT")
    assert table[:, 0].mean() > 0.94
    assert table[:, 0].min() > 0.75


def test_a_real_lung_half_white_stays_whole(shared_data: Path) -> None:
    """The lower 40% of the right lung drowned: 0.4 of it lost would leave a Dice of 0.75."""
    overlaps = []
    for case in known_lungs.read_cases(shared_data / "lung-masks" / "JSRT")[::12]:
        row = np.indices(case.right.shape)[0]
        low = case.right & (row > np.quantile(np.nonzero(case.right)[0], 0.6))
        share = ndimage.gaussian_filter(low.astype(np.float32), 3)
        white = case.pixels * (1 - share) + share * np.quantile(case.pixels, 0.8)
        fields = lungs.segment(white.astype(np.float32))
        overlaps.append(
            [
                cascade.overlap(fields.right, case.right),
                cascade.overlap(fields.left, case.left),
            ]
        )
    assert np.mean(overlaps, axis=0).min() > 0.87
    assert np.min(overlaps) > 0.7


def test_real_pneumothorax_lies_within_reach_of_the_lungs(shared_data: Path) -> None:
    """Official masks go into the chest wall: 8 of 512 pixels around the lungs belong to it."""
    from features.reading import images  # pydicom is slow to import

    folder = shared_data / "siim-mini"
    rows = [r.split(",") for r in (folder / "stage_2_train.csv").read_text().splitlines()[1:]]
    positive = [(name, code) for name, code in rows if not code.strip().startswith("-1")][:24]
    inside, reached = [], []
    for name, code in positive:
        study, pixels = images.read(folder / "stage_2_images" / f"{name}.dcm")
        fields = lungs.segment(pixels[::2, ::2])
        mask = study.place.to_picture(rle.decode(code.strip()))[::2, ::2]
        lung_fields = fields.right | fields.left
        inside.append(lung_fields[mask].mean())
        reached.append(ndimage.binary_dilation(lung_fields, iterations=8)[mask].mean())
    assert np.mean(inside) > 0.7
    assert np.mean(reached) > 0.85
