"""The order in which a fold's network meets its images."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cnn.data import batches, training_images
from cnn.training import train
from features.reading import rle
from features.run.files import UserError
from tests.helpers.tiny_run import change


def test_an_epoch_leaves_its_fold_out_and_evens_the_classes(run):
    data = training_images.read(run, 32)
    plan = batches.EpochPlan(5, 4, 0.6)
    order = batches.training_order(data, (1,), plan, (0, 1, 2))
    assert order.shape == (5, 4)
    assert not (data.folds[order] == 1).any()
    assert data.positive[order].sum() == 12
    counts = np.bincount(order.ravel(), minlength=9)
    assert_array_equal(counts[[0, 6]], [6, 6])
    assert_array_equal(counts[[1, 2, 7, 8]], [2, 2, 2, 2])
    assert_array_equal(order, batches.training_order(data, (1,), plan, (0, 1, 2)))
    assert not np.array_equal(order, batches.training_order(data, (1,), plan, (0, 1, 3)))
    two_left_out = batches.training_order(data, (1, 2), plan, (0, 1, 2))
    assert set(data.folds[two_left_out].ravel()) == {0}


def test_images_with_a_weak_mask_come_in_their_share_and_outside_their_fold(run):
    data = training_images.read(run, 32, weak=True)
    assert data.ids == tuple(f"i{n}" for n in range(11))
    assert_array_equal(data.known, np.arange(11) < 9)
    assert_array_equal(data.positive, [True, False, False] * 3 + [True, False])
    order = batches.training_order(data, (0,), batches.EpochPlan(5, 4, 0.5, 0.2), (0,))
    assert_array_equal(np.bincount(order.ravel(), minlength=11)[:3], 0)
    assert (order > 8).sum() == 4 and (order == 9).sum() == 2
    # Two of eight images have a weak mask, so a quarter is the most.
    most = batches.training_order(data, (0,), batches.EpochPlan(5, 4, 0.5, 0.9), (0,))
    assert (most > 8).sum() == 5
    # Outside fold 1, to which both of them belong, there is none.
    assert (batches.training_order(data, (1,), batches.EpochPlan(5, 4, 0.5, 0.4), (0,)) < 9).all()


def test_a_fold_without_positives_to_learn_from_is_refused(run, tiny):
    codes = ["0 64"] + [rle.EMPTY] * 8 + [None] * 5
    change(run, mask=codes)
    with pytest.raises(UserError, match="fold 0: none of the 6 images outside it has a mask"):
        train.main(train.Settings(run.root, "demo"))
    assert not list(run.unet.glob("fold*"))
