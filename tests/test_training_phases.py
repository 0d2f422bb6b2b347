"""The trainings of a fold: first and final, with and without early stopping."""

from dataclasses import replace

import jax
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cnn.data import training_images
from cnn.network.config import PROFILES
from cnn.training import train, train_fold
from cnn.training.phases import Phase, left_out, phases
from cnn.weights import tensors
from cnn.weights.identity import identify
from cnn.weights.initial_weights import initial_weights
from features.reading import rle
from features.run.files import UserError
from tests.helpers.tiny_run import TINY, change


@pytest.mark.parametrize(
    ("score", "best"), [([0.3, 0.5, 0.4, 0.45], 1), ([0.6, 0.5, 0.4], 0), ([0.1, 0.2, 0.2, 0.3], 3)]
)
def test_early_stopping_looks_at_a_fold_of_its_own_and_keeps_the_best_epoch(
    run, tiny, monkeypatch, score, best
):
    left_out, scores, averages = [], iter(score), []
    order, score_fold = train_fold.training_order, train_fold.validate

    def watched(images, without, *rest):
        left_out.append(without)
        return order(images, without, *rest)

    def validate(params, images, fold, config, most=None):
        scored = score_fold(params, images, fold, config, most)
        if fold == 2:
            return scored
        averages.append(params)
        return replace(scored, score=next(scores))

    monkeypatch.setattr(train_fold, "training_order", watched)
    monkeypatch.setattr(train_fold, "validate", validate)
    images = training_images.read(run, 32)
    config = replace(TINY, epochs=3, steps=2, patience=2, unet=replace(TINY.unet, evidence=False))
    identity = identify(config, 0, 2, images)
    params = jax.device_get(initial_weights(config, 0, 2, images))
    folder = run.unet_fold(2)
    train_fold.train_phase(folder, images, Phase(config, False), identity, [], params)
    assert set(left_out) == {(2, 0)}
    assert list(folder.history.read()["stop_score"]) == score
    kept = tensors.restore(params, tensors.load(folder.weights)[0], folder.weights)
    jax.tree.map(assert_array_equal, kept, averages[best])


def test_no_phase_learns_from_the_fold_that_early_stopping_looks_at(run):
    images = training_images.read(run, 32, evidence=True, weak=True)
    config = replace(TINY, first_epochs=4, patience=2)
    trainings = phases(config)
    assert [phase.is_first for phase in trainings] == [True, False]
    assert {left_out(2, images, phase.config) for phase in trainings} == {(2, 0)}
    assert trainings[0].config.patience >= trainings[0].config.epochs == 4


def test_early_stopping_needs_a_lesion_to_look_at(run, tiny):
    table = run.dataset.read()
    change(run, mask=[rle.EMPTY if n == 3 else code for n, code in enumerate(table["mask"])])
    with pytest.raises(UserError, match="stopping of fold 0 looks at fold 1, where no image has"):
        train.main(train.Settings(run.root, "demo", evidence=False, patience=1))
    assert not list(run.unet.glob("fold*"))


def test_early_stopping_needs_three_folds(run, tiny):
    change(run, fold=[0] * 5 + [1] * 4 + [None] * 5)
    with pytest.raises(UserError, match="of 2 folds none is left to learn from"):
        train.main(train.Settings(run.root, "demo", evidence=False, patience=1))


def test_both_trainings_have_weak_masks_and_the_final_one_goes_on(run, tiny, monkeypatch):
    trainings, weights, shares = [], [], []
    real, order = train_fold.train_phase, train_fold.training_order

    def watched(folder, images, phase, identity, learned, params):
        config = phase.config
        name = folder.root.name
        trainings.append((name, config.unet.evidence, config.epochs, config.weak_share))
        params = jax.device_get(params)
        real(folder, images, phase, identity, learned, params)
        weights.append(tensors.load(folder.weights)[0] if phase.is_first else params)

    def drawn(images, without, plan, key):
        rows = order(images, without, plan, key)
        shares.append((without[0], plan.weak_share, (rows > 8).mean()))
        return rows

    monkeypatch.setattr(train_fold, "train_phase", watched)
    monkeypatch.setattr(train_fold, "training_order", drawn)
    monkeypatch.setitem(
        PROFILES, "demo", replace(TINY, epochs=1, steps=5, first_epochs=2, weak_share=0.5)
    )
    train.main(train.Settings(run.root, "demo"))
    expected = [(("first", False, 2, 0.5), (f"fold{k}", True, 1, 0.5)) for k in range(3)]
    assert trainings == [training for pair in expected for training in pair]
    learned, begun = weights[0]["down.0.0.conv1.kernel"], weights[1]["down"][0][0]["conv1"]
    assert_array_equal(begun["kernel"], learned)
    # Outside folds 0 and 2 a quarter of the images has a weak mask, outside fold 1 none.
    assert set(shares) == {(0, 0.5, 0.25), (1, 0.5, 0.0), (2, 0.5, 0.25)}
    assert not list(run.unet.glob("fold*/first/*.safetensors"))
    assert len(list(run.unet.glob("fold*/first/curves.csv"))) == 3


def test_the_share_of_positives_changes_evenly(run, tiny, monkeypatch):
    shares = []
    real = train_fold.training_order

    def watched(images, without, plan, key):
        shares.append(plan.positive_share)
        return real(images, without, plan, key)

    monkeypatch.setattr(train_fold, "training_order", watched)
    sliding = replace(TINY, steps=2, positive_shares=(0.8, 0.4))
    monkeypatch.setitem(PROFILES, "demo", sliding)
    train.main(train.Settings(run.root, "demo", evidence=False))
    assert_allclose(shares[-3:], [0.8, 0.6, 0.4])
