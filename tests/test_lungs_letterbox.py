"""Black and white borders around an X-ray hardly move its lungs; others stay as before."""

import numpy as np
import pytest

from features.lungs import fields, letterbox
from features.lungs.prepared import working_size
from tests.helpers import drawn_chest


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_borders_are_found_and_masks_put_back(level):
    image = np.full((120, 100), level, np.float32)
    image[20:110, 10:100] = np.random.default_rng(1).uniform(0.1, 0.9, (90, 90))
    picture = letterbox.picture_in(image)
    assert picture == (slice(20, 110), slice(10, 100))
    mask = np.random.default_rng(0).random((90, 90)) < 0.5
    whole = letterbox.put_back(mask, picture, image.shape)
    np.testing.assert_array_equal(whole[picture], mask)
    assert whole.sum() == mask.sum()


def test_narrow_borders_and_dark_images_are_left():
    image = np.random.default_rng(0).random((100, 100), np.float32)
    assert letterbox.picture_in(image) == (slice(0, 100), slice(0, 100))
    image[:3] = 0
    assert letterbox.picture_in(image) == (slice(0, 100), slice(0, 100))
    image[:80] = 0
    assert letterbox.picture_in(image)[0] == slice(0, 100)


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("widths", [((60, 60), (0, 0)), ((0, 0), (50, 90)), ((80, 80), (80, 80))])
def test_borders_hardly_move_the_lungs(level, widths):
    image = np.clip(drawn_chest.drawn_chest(512)[0], 0.05, 0.95).astype(np.float32)
    plain = fields.segment(working_size(image))
    framed = np.pad(image, widths, constant_values=level)
    found = fields.segment(working_size(framed))
    inner = tuple(slice(start, start + 512) for start, _ in widths)
    for side in ("right", "left"):
        there = working_size(getattr(found, side).astype(np.float32))
        scale = [
            (np.arange(size) + 0.5) * there.shape[axis] / size
            for axis, size in enumerate(framed.shape)
        ]
        mask = there[scale[0].astype(int)[:, None], scale[1].astype(int)][inner] > 0.5
        truth = getattr(plain, side)
        assert 2 * (mask & truth).sum() > 0.98 * (mask.sum() + truth.sum())


def test_an_image_without_borders_has_the_same_lungs_as_before():
    image = np.clip(drawn_chest.drawn_chest(256)[0], 0.05, 0.95).astype(np.float32)
    image += np.random.default_rng(0).normal(0, 0.01, image.shape).astype(np.float32)
    model = fields.load()
    with fields._libraries().limit(limits=1, user_api="blas"):
        before = fields._segment(model, image)
    after = fields.segment(image)
    np.testing.assert_array_equal(after.right, before.right)
    np.testing.assert_array_equal(after.left, before.left)
