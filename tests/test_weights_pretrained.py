"""Trainings that begin from another network's weights."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cnn.data import training_images
from cnn.network.config import PROFILES
from cnn.network.unet import initial_params
from cnn.training import train
from cnn.weights import pretrained, provenance, tensors
from cnn.weights.initial_weights import initial_weights
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.tiny_run import FIXED, TINY, change, write_weights


def test_a_training_may_begin_from_another_network(run, tiny, tmp_path):
    plain = replace(TINY, unet=replace(TINY.unet, evidence=False, size=64, prior=0.1))
    params = initial_params(plain.unet, np.random.default_rng(9))
    path = write_weights(tmp_path, plain, params)
    data = training_images.read(run, 32, evidence=True)
    weights = initial_weights(TINY, 0, 0, data, path)
    assert_array_equal(weights["stem"]["kernel"][:, :, :32], params["stem"]["kernel"])
    assert not weights["stem"]["kernel"][:, :, 32:].any()
    assert_array_equal(
        weights["down"][1][0]["conv1"]["kernel"], params["down"][1][0]["conv1"]["kernel"]
    )
    assert not weights["head"]["kernel"].any() and weights["trust"] == 1
    back = initial_weights(plain, 0, 0, data, path)  # the same kind: whole
    assert_array_equal(back["head"]["kernel"], params["head"]["kernel"])
    with_evidence = initial_params(TINY.unet, np.random.default_rng(9))
    path = write_weights(tmp_path, TINY, with_evidence)
    narrow = initial_weights(plain, 0, 0, data, path)  # its channel of the evidence goes
    assert_array_equal(narrow["stem"]["kernel"], with_evidence["stem"]["kernel"][:, :, :32])
    assert set(narrow) == set(params)
    assert_array_equal(narrow["head"]["bias"], initial_params(plain.unet, FIXED)["head"]["bias"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"widths": (8, 16, 32)}, r"\(widths \(8, 16, 32\) instead of \(8, 16\)\)"),
        ({"widths": (8, 24)}, r"\(widths \(8, 24\) instead of \(8, 16\)\)"),
        ({"window": 7}, r"\(window 7 instead of 5\)"),
        ({"groups": 8}, r"\(groups 8 instead of 4\)"),
    ],
)
def test_a_network_of_other_layers_is_refused(run, tmp_path, change, sentence):
    # A network that is larger or looks about otherwise has arrays of the same names and shapes too.
    theirs = replace(TINY, unet=replace(TINY.unet, **change))
    path = write_weights(tmp_path, theirs, initial_params(theirs.unet, np.random.default_rng(0)))
    data = training_images.read(run, 32)
    with pytest.raises(UserError, match=f"another network than the profile's {sentence}"):
        initial_weights(TINY, 0, 0, data, path)


def test_weights_of_more_arrays_than_their_network_has_are_refused(run, tmp_path):
    params = initial_params(TINY.unet, np.random.default_rng(0))
    path = write_weights(tmp_path, TINY, params | {"extra": np.ones(1, np.float32)})
    data = training_images.read(run, 32)
    with pytest.raises(UserError, match=r"first difference: extra\); give the .* to --init"):
        initial_weights(TINY, 0, 0, data, path)


@pytest.mark.parametrize(
    ("info", "sentence"),
    [
        ({}, r"another version of this program \(in their config: 'config'\); give .* to --init"),
        ({"config": {"unet": {}, "flip": True}}, r"another version .* config: 'blocks'\)"),
        (None, r"not weights of this program \(SafetensorError\); give .* to --init"),
    ],
)
def test_a_file_of_no_weights_is_refused_and_kept(run, tiny, tmp_path, info, sentence):
    path = tmp_path / "weights.safetensors"
    tensors.save(path, initial_params(TINY.unet, np.random.default_rng(0)), info or {})
    if info is None:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run.root, "demo", init=str(path)))
    assert path.exists() and not list(run.unet.glob("fold*"))


def test_what_a_pretrained_network_has_learned_from_counts_later_too(run, tiny, tmp_path):
    """A network that began from one that began from one that knew the scored images."""
    params = initial_params(TINY.unet, np.random.default_rng(0))
    path = write_weights(tmp_path, TINY, params, learned_from=provenance.marks(["elsewhere", "i0"]))
    dataset = run.dataset.read()
    change(run, id=[f"other{n}" for n in range(14)])
    train.main(train.Settings(run.root, "demo", init=str(path), evidence=False, epochs=1, steps=1))
    between = run.unet_fold(1).weights
    learned = [f"other{n}" for n in (0, 1, 2, 6, 7, 8)]
    expected = provenance.marks([*learned, "elsewhere", "i0"])
    assert tensors.load(between)[1]["learned_from"] == expected
    third = RunFolder(tmp_path / "third")
    third.create()
    third.dataset.write(dataset)
    with pytest.raises(UserError, match=r"has learned from 1 images that fold 0 is scored on.*i0"):
        train.main(train.Settings(third.root, "demo", init=str(between), evidence=False))


def test_a_network_that_knows_the_scored_images_is_refused(run, tiny):
    train.main(train.Settings(run.root, "demo", epochs=1, steps=1))
    other = str(run.unet / "fold{fold}" / "weights.safetensors")
    copy = RunFolder(run.root.parent / "copy")
    shutil.copytree(run.root, copy.root, ignore=shutil.ignore_patterns("cnn"))
    of_fold_1 = other.replace("{fold}", "1")
    with pytest.raises(UserError, match=r"has learned from 3 images that fold 0 is scored on.*i0"):
        train.main(train.Settings(copy.root, "demo", init=of_fold_1))
    train.main(train.Settings(copy.root, "demo", init=other, epochs=1, steps=1))
    _, info = tensors.load(copy.unet_fold(1).weights)
    assert info["pretrained"] is not None


def test_where_a_training_begins():
    lite, demo = PROFILES["lite"], PROFILES["demo"]
    assert pretrained.pretrained_for(None, 0, lite) == pretrained.SHIPPED
    assert pretrained.pretrained_for(None, 0, demo) is None
    assert pretrained.pretrained_for("none", 0, lite) is None
    assert pretrained.pretrained_for("a/fold{fold}/b", 3, demo) == Path("a/fold3/b")


def test_the_shipped_network_fits_lite_and_has_learned_from_phantoms_alone(run):
    lite = PROFILES["lite"]
    data = training_images.read(run, 32)
    params = initial_weights(lite, 0, 0, data, pretrained.SHIPPED)
    info = tensors.load(pretrained.SHIPPED)[1]
    assert not info["config"]["unet"]["evidence"] and info["pretrained"] is None
    assert len(info["learned_from"]) == 2160
    # No head of its own where the evidence map is what a network begins from.
    assert not np.any(params["head"]["kernel"])
    alone = replace(lite, unet=replace(lite.unet, evidence=False))
    assert np.any(initial_weights(alone, 0, 0, data, pretrained.SHIPPED)["head"]["kernel"])


def test_a_network_that_is_kept_is_rounded_to_half_precision(run, tiny, tmp_path):
    train.main(train.Settings(run.root, "demo", only=0, evidence=False, epochs=1, steps=1))
    path = tmp_path / "pretrained.safetensors"
    pretrained.main(pretrained.Settings(run.root, path))
    whole, info = tensors.load(run.unet_fold(0).weights)
    halves, same = tensors.load(path)
    assert info == same
    for name, array in whole.items():
        assert halves[name].dtype == np.float16
        np.testing.assert_allclose(halves[name], array, rtol=1e-3, atol=1e-6)
    images = training_images.read(run, 32)
    with pytest.raises(UserError, match="learned from 3 images that fold 1 is scored on"):
        initial_weights(TINY, 0, 1, images, path)


def test_there_is_nothing_to_keep_of_a_run_without_a_network(run, tmp_path):
    with pytest.raises(UserError, match="no such file; train it first"):
        pretrained.main(pretrained.Settings(run.root, tmp_path / "pretrained.safetensors"))
    assert not (tmp_path / "pretrained.safetensors").exists()
