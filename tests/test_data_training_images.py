"""What a fold learns from: its images with their masks, and which of them are left alone."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from cnn.data import planes, training_images
from features.reading import rle
from features.run.files import UserError
from features.squares import store
from tests.helpers.tiny_run import SIDE, change


def test_labelled_images_and_their_masks(run):
    data = training_images.read(run, 32)
    assert data.ids == tuple(f"i{n}" for n in range(9))
    assert_array_equal(data.folds, np.repeat([0, 1, 2], 3))
    assert_array_equal(data.positive, np.arange(9) % 3 == 0)
    with Image.open(run.root.parent / "i0.png") as image:
        pixels = np.asarray(image, float)
    assert_allclose(data.images[0], pixels.reshape(32, 2, 32, 2).mean((1, 3)), atol=0.51)
    assert_array_equal(np.unique(data.masks[0]), [0, 255])
    assert_array_equal(np.argwhere(data.masks[0]).min(0), [4, 10])
    assert_array_equal(np.argwhere(data.masks[0]).max(0), [19, 24])


def test_images_are_decoded_once_and_again_if_they_change(run, monkeypatch):
    first = training_images.read(run, 32)
    with monkeypatch.context() as patch:
        patch.setattr(store, "read_square", None)
        again = training_images.read(run, 32)
    assert_array_equal(first.images[:], again.images[:])
    assert first.digest == again.digest
    # The same pixels in a newer file are the same data; other pixels are not.
    path = run.root.parent / "i0.png"
    path.write_bytes(path.read_bytes())
    assert training_images.read(run, 32).digest == first.digest
    path.write_bytes((run.root.parent / "i3.png").read_bytes())
    other = training_images.read(run, 32)
    assert_array_equal(other.images[0], first.images[3])
    assert other.digest != first.digest
    path.unlink()
    with pytest.raises(UserError, match=r"i0\.png: no such file any more"):
        training_images.read(run, 32)


def test_masks_of_other_annotations_are_not_used(run):
    before = training_images.read(run, 32)
    masks = [rle.EMPTY] * 8 + ["0 64"] + [None] * 5
    change(run, mask=masks)
    after = training_images.read(run, 32)
    assert_array_equal(after.positive, np.arange(9) == 8)
    assert after.masks[8].any()
    assert not after.masks[0].any()
    assert before.digest != after.digest


def test_weak_masks_are_learned_from_unless_the_weak_label_contradicts_them(run):
    data = training_images.read(run, 32, weak=True)
    assert_array_equal(data.masks[9] > 0, np.tile(np.arange(32) < 8, (32, 1)))
    assert not data.masks[10].any()
    assert_array_equal(data.known, np.arange(11) < 9)
    assert_array_equal(data.positive[9:], [True, False])
    change(run, weak=[*[np.nan] * 9, 0.4, 0.6, *[np.nan] * 3])
    assert training_images.read(run, 32, weak=True).ids == tuple(f"i{n}" for n in range(9))


def test_the_evidence_is_a_plane_that_may_be_left_out(run):
    data = training_images.read(run, 32, evidence=True)
    data = replace(data, evidence=planes.write(run.root / "seen.npy", run, 0, data.table, 32))
    assert data.inputs(np.array([0, 8])).shape == (2, 32, 32, 2)
    assert data.inputs(np.array([0, 8]), evidence=False).shape == (2, 32, 32, 1)


def test_the_truth_of_a_test_image_is_not_learned_from(run):
    change(run, mask=[rle.EMPTY] * 8 + ["64 64"] * 6)
    data = training_images.read(run, 32, weak=True)
    assert_array_equal(np.flatnonzero(data.known & data.positive), [8])
    assert_array_equal(data.masks[9] > 0, np.tile(np.arange(32) < 8, (32, 1)))


def test_an_image_of_another_size_than_its_mask_is_refused(run):
    Image.linear_gradient("L").resize((SIDE, 2 * SIDE)).save(run.root.parent / "i4.png")
    with pytest.raises(UserError, match=r"i4\.png: has 128x64 pixels, but had 64x64 when"):
        training_images.read(run, 32)
    assert not list(run.unet.glob("*"))


def test_a_dataset_without_known_masks_is_refused(run):
    change(run, mask=None)
    with pytest.raises(UserError, match=r"dataset\.parquet: no training image has a known mask"):
        training_images.read(run, 32)
