"""What a fold learns from: its images, masks and evidence, and the order in which they come."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from cnn.data import batches, planes
from cnn.gate.sources import to_levels
from cnn.prediction import predict
from cnn.prediction.store import stream_maps
from cnn.training import train
from features.reading import rle
from features.run import files
from features.run.files import UserError
from tests.helpers.tiny_run import SIDE, change, evidence_of


def test_labelled_images_and_their_masks(run):
    data = batches.labelled(run, 32)
    assert data.ids == tuple(f"i{n}" for n in range(9))
    assert_array_equal(data.folds, np.repeat([0, 1, 2], 3))
    assert_array_equal(data.positive, np.arange(9) % 3 == 0)
    with Image.open(run.parent / "i0.png") as image:
        pixels = np.asarray(image, float)
    assert_allclose(data.images[0], pixels.reshape(32, 2, 32, 2).mean((1, 3)), atol=0.51)
    assert_array_equal(np.unique(data.masks[0]), [0, 255])
    assert_array_equal(np.argwhere(data.masks[0]).min(0), [4, 10])
    assert_array_equal(np.argwhere(data.masks[0]).max(0), [19, 24])


def test_images_are_decoded_once_and_again_if_they_change(run, monkeypatch):
    first = batches.labelled(run, 32)
    with monkeypatch.context() as patch:
        patch.setattr(batches, "read_pair", None)
        again = batches.labelled(run, 32)
    assert_array_equal(first.images, again.images)
    assert first.digest == again.digest
    # The same pixels in a newer file are the same data; other pixels are not.
    path = run.parent / "i0.png"
    path.write_bytes(path.read_bytes())
    assert batches.labelled(run, 32).digest == first.digest
    path.write_bytes((run.parent / "i3.png").read_bytes())
    other = batches.labelled(run, 32)
    assert_array_equal(other.images[0], first.images[3])
    assert other.digest != first.digest
    path.unlink()
    with pytest.raises(UserError, match=r"i0\.png: no such file any more"):
        batches.labelled(run, 32)


def test_decoded_images_of_other_annotations_are_not_used(run):
    before = batches.labelled(run, 32)
    masks = [rle.EMPTY] * 8 + ["0 64"] + [None] * 5
    change(run, mask=masks)
    after = batches.labelled(run, 32)
    assert_array_equal(after.positive, np.arange(9) == 8)
    assert after.masks[8].any()
    assert not after.masks[0].any()
    assert before.digest != after.digest


def test_an_epoch_leaves_its_fold_out_and_evens_the_classes(run):
    data = batches.labelled(run, 32)
    asked = batches.EpochPlan(5, 4, 0.6)
    order = batches.training_order(data, (1,), asked, (0, 1, 2))
    assert order.shape == (5, 4)
    assert not (data.folds[order] == 1).any()
    assert data.positive[order].sum() == 12
    counts = np.bincount(order.ravel(), minlength=9)
    assert_array_equal(counts[[0, 6]], [6, 6])
    assert_array_equal(counts[[1, 2, 7, 8]], [2, 2, 2, 2])
    assert_array_equal(order, batches.training_order(data, (1,), asked, (0, 1, 2)))
    assert not np.array_equal(order, batches.training_order(data, (1,), asked, (0, 1, 3)))
    both = batches.training_order(data, (1, 2), asked, (0, 1, 2))
    assert set(data.folds[both].ravel()) == {0}


def test_weakly_labelled_images_are_met_for_their_share_and_outside_their_fold(run):
    data = batches.labelled(run, 32, evidence=True, weak=True)
    assert data.ids == tuple(f"i{n}" for n in range(11))
    assert_array_equal(data.known, np.arange(11) < 9)
    assert_array_equal(data.positive, [True, False, False] * 3 + [True, False])
    assert not data.masks[9:].any()
    order = batches.training_order(data, (0,), batches.EpochPlan(5, 4, 0.5, 0.4), (0,))
    assert_array_equal(np.bincount(order.ravel(), minlength=11)[:3], 0)
    assert (order > 8).sum() == 8 and (order == 9).sum() == 4
    # Fold 1, to which both belong, does without.
    assert (batches.training_order(data, (1,), batches.EpochPlan(5, 4, 0.5, 0.4), (0,)) < 9).all()


def test_the_evidence_stands_in_for_the_mask_of_a_weak_positive(run):
    data = batches.labelled(run, 32, evidence=True, weak=True)
    drawn = planes.write(run / "seen.npy", run, 0, data.table, 32)
    shown = replace(data, evidence=drawn)
    target = shown.target(np.array([0, 10, 9]))
    assert_array_equal(target[0], data.masks[0])
    assert not target[1].any()
    level = to_levels(np.array(evidence_of(9, 0), np.float32))
    assert_array_equal(np.unique(target[2]), [0, level])
    assert shown.seen(np.array([0, 9])).shape == (2, 32, 32, 2)
    assert shown.seen(np.array([0, 9]), evidence=False).shape == (2, 32, 32, 1)


def test_the_truth_of_a_test_image_is_not_met(run):
    change(run, mask=[rle.EMPTY] * 8 + ["0 64"] * 6)
    data = batches.labelled(run, 32, evidence=True, weak=True)
    assert_array_equal(np.flatnonzero(data.known & data.positive), [8])
    assert not data.masks[9:].any()


def test_an_image_of_another_size_than_its_mask_is_refused(run):
    Image.new("L", (SIDE, 2 * SIDE)).save(run.parent / "i4.png")
    with pytest.raises(UserError, match=r"i4\.png: has 128x64 pixels, but had 64x64 when"):
        batches.labelled(run, 32)
    assert not list(run.glob("cnn/*"))


def test_nothing_to_learn_from_is_said(run):
    change(run, mask=None)
    with pytest.raises(UserError, match=r"dataset\.parquet: no training image has a known mask"):
        batches.labelled(run, 32)


def test_a_fold_without_positives_to_learn_from_is_said(run, tiny):
    codes = ["0 64"] + [rle.EMPTY] * 8 + [None] * 5
    change(run, mask=codes)
    with pytest.raises(UserError, match="fold 0: none of the 6 images outside it has a lesion"):
        train.main(train.Settings(run, "demo"))
    assert not list(run.glob("cnn/fold*"))


def test_a_fold_learns_through_the_judges_that_know_neither_it_nor_the_image(run):
    data = batches.labelled(run, 32, evidence=True)
    for fold in range(3):
        seen = planes.write(run / "seen.npy", run, fold, data.table, 32)
        levels = to_levels(np.array([evidence_of(n, fold) for n in range(9)], np.float32))
        # Four cells are a pixel of the square.
        assert_array_equal(seen[:, 15:17, 15:17], np.repeat(levels, 4).reshape(9, 2, 2))
        assert (seen > 0).sum() == 9 * 4
    held = replace(data, evidence=seen).seen(np.array([4, 2]))
    assert_array_equal(held[..., 0], data.images[[4, 2]])
    assert_array_equal(held[..., 1], seen[[4, 2]])


def test_other_evidence_is_another_training_set(run):
    before = batches.labelled(run, 32, evidence=True).digest
    assert batches.labelled(run, 32, evidence=True).digest == before
    table = pd.read_parquet(run / "evidence" / "pairs.parquet")
    files.write_table(run / "evidence" / "pairs.parquet", table.assign(probability=np.float32(0)))
    assert batches.labelled(run, 32, evidence=True).digest != before


def test_missing_evidence_is_said_and_may_be_done_without(run, tiny):
    shutil.rmtree(run / "evidence")
    with pytest.raises(UserError, match=r"map\.parquet: no such file; .* or train without it"):
        train.main(train.Settings(run, "demo"))
    train.main(train.Settings(run, "demo", evidence=False, epochs=1, steps=1))
    predict.main(predict.Settings(run))
    assert np.stack(list(stream_maps(run, ["i0"]))).shape == (1, 32, 32)
