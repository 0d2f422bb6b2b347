"""Probability maps: each by networks that have not seen the image, none lost or mixed up."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from baseline.evidence_map.maps import EvidenceMap
from cnn.data import planes
from cnn.network.unet import initial_params
from cnn.prediction import networks, predict
from cnn.prediction.store import stream_maps
from cnn.training import train
from cnn.training.settings import Settings as Training
from cnn.weights import provenance, tensors
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from features.squares import store
from features.squares.store import read_square
from tests.helpers.tiny_run import (
    CELL_PLACES,
    FIXED,
    SIDE,
    TINY,
    change,
    evidence_value,
    initial_state,
    write_weights,
)


def training(run: RunFolder, **settings: object) -> Training:
    return Training(run.root, "demo", **settings)


def short_training(run: RunFolder, **settings: object) -> Training:
    """One step on the X-ray alone."""
    return training(run, evidence=False, epochs=1, steps=1, **settings)


def map_of(run: RunFolder, name: str) -> np.ndarray:
    return next(stream_maps(run, [name]))


def test_each_image_is_predicted_by_networks_that_have_not_seen_it(run, tiny, monkeypatch):
    monkeypatch.setattr(predict, "PART", 5)
    train.main(training(run))
    predict.main(predict.Settings(run.root))
    index = run.maps.read()
    assert list(index["id"]) == [f"i{n}" for n in range(13)]  # not the unlabelled one
    assert index["part"].max() == 2
    assert list(index["fold"].dropna()) == [*np.repeat([0, 1, 2], 3), 1, 1]
    trained = networks.load_networks(run, predict.scored_images(run))

    def predicted(name: str, fold: int) -> np.ndarray:
        image = read_square((str(run.root.parent / f"{name}.png"), (SIDE, SIDE)), 32)
        evidence = np.full(16, evidence_value(int(name[1:]), fold), np.float32)
        evidence_map = EvidenceMap(*CELL_PLACES, evidence, np.full(16, 0.5, np.float32))
        rows = pd.DataFrame({"id": [name], "rows": [SIDE], "columns": [SIDE]})
        channels = np.stack([image, *planes.draw({name: evidence_map}, rows, 32)], axis=-1)
        params, config = trained.params[fold], trained.config
        return np.asarray(networks.probabilities(params, channels[None], config, False))[0]

    assert_allclose(map_of(run, "i0"), predicted("i0", 0), atol=0.003)
    assert_allclose(map_of(run, "i10"), predicted("i10", 1), atol=0.003)
    mean = np.mean([predicted("i12", fold) for fold in range(3)], axis=0)
    assert_allclose(map_of(run, "i12"), mean, atol=0.003)
    with pytest.raises(UserError, match="image 'i13' has no map"):
        map_of(run, "i13")


def test_maps_of_other_weights_are_made_again(run, tiny):
    train.main(training(run))
    predict.main(predict.Settings(run.root))
    before = map_of(run, "i0")
    train.main(training(run, seed=1, overwrite=True))
    predict.main(predict.Settings(run.root))
    assert not np.array_equal(map_of(run, "i0"), before)


def test_images_are_averaged_with_their_mirror_image_as_the_settings_say(run, tiny):
    train.main(training(run))
    maps = {}
    for flip in ("auto", "yes", "no"):
        predict.main(predict.Settings(run.root, flip))
        maps[flip] = map_of(run, "i0")
    assert_array_equal(maps["auto"], maps["no"])  # as the profile says
    assert not np.array_equal(maps["yes"], maps["no"])


def test_a_flipped_average_is_the_same_for_the_mirrored_image():
    params = initial_state(TINY).params
    params["head"]["kernel"] += 0.3
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 2), np.uint8)
    probabilities = networks.probabilities
    straight = probabilities(params, image, TINY.unet, True)
    mirrored = probabilities(params, image[:, :, ::-1], TINY.unet, True)
    assert_allclose(straight, mirrored[:, :, ::-1], atol=1e-6)
    assert not np.allclose(straight, probabilities(params, image, TINY.unet, False), atol=1e-3)


def test_networks_that_know_the_images_they_would_predict_are_refused(run, tiny):
    train.main(short_training(run))
    networks.load_networks(run, predict.scored_images(run))
    folds = [0, 0, 1, 1, 1, 0, 2, 2, 2, *[None] * 5]
    change(run, fold=pd.array(folds, "Int64"))
    with pytest.raises(UserError, match=r"learned from 1 of the images .* i5; .*cnn and train"):
        predict.main(predict.Settings(run.root))
    assert not run.maps.path.parent.exists()


def test_a_network_that_knows_a_test_image_is_refused(run, tiny, tmp_path):
    params = initial_params(TINY.unet, np.random.default_rng(0))
    path = write_weights(tmp_path, TINY, params, learned_from=provenance.marks(["i12"]))
    settings = short_training(run, init=str(path))
    with pytest.raises(UserError, match=r"learned from 1 .*test.*i12"):
        train.main(settings)
    assert not run.unet_folds()
    # Nor if it is tested only after the training.
    change(run, split=["train"] * 9 + ["unlabelled"] * 5)
    train.main(settings)
    change(run, split=["train"] * 9 + ["test"] * 5)
    with pytest.raises(UserError, match=r"fold0.*learned from 1 of the images .* as i12"):
        predict.main(predict.Settings(run.root))


@pytest.mark.parametrize("change", [{"unet": {"size": 32}}, {"unet": 3}, {"flip": None}])
def test_weights_of_another_version_are_refused(run, tiny, change):
    content = asdict(TINY) | change
    content = {name: value for name, value in content.items() if value is not None}
    path = run.unet_fold(0).weights
    tensors.save(path, initial_params(TINY.unet, FIXED), {"config": content})
    with pytest.raises(UserError, match=r"another version of this program .*; delete .*cnn and"):
        predict.main(predict.Settings(run.root))


def test_a_run_without_folds_is_a_sentence(run, tiny):
    change(run, fold=pd.array([None] * 14, "Int64"))
    with pytest.raises(UserError, match=r"dataset\.parquet: no image belongs to a fold"):
        predict.main(predict.Settings(run.root))


def test_a_damaged_part_is_made_again(run, tiny):
    train.main(short_training(run))
    predict.main(predict.Settings(run.root))
    path = run.map_part(0)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense"):
        path.write_bytes(damaged)
        predict.main(predict.Settings(run.root))
        assert path.read_bytes() == whole


@pytest.mark.parametrize("content", ["", "id,part\ni0,0\n", "id,fold,part,row\ni0,,zero,0\n"])
def test_an_index_that_is_none_is_a_sentence(run, content):
    files.write_text(run.maps.path, content)
    with pytest.raises(UserError, match=r"index\.csv: not a table of this version \(.*; delete it"):
        map_of(run, "i0")


@pytest.mark.parametrize("place", ["run", "cnn"])
def test_a_file_in_a_folder_s_place_is_a_sentence(run, tmp_path, place):
    blocked = RunFolder(tmp_path / "blocked" if place == "run" else run.root)
    files.write_text(blocked.root if place == "run" else run.unet, "")
    with pytest.raises(UserError, match="is a file where a folder belongs"):
        predict.main(predict.Settings(blocked.root))


def test_missing_weights_and_maps_are_a_sentence(run, tiny):
    with pytest.raises(UserError, match=r"weights\.safetensors: no such file; run `make cnn`"):
        predict.main(predict.Settings(run.root))
    with pytest.raises(UserError, match=r"index\.csv: no such file; run `make cnn` first"):
        map_of(run, "i0")


def test_squares_that_are_there_are_not_decoded_again(run, tiny, monkeypatch):
    """The maps are the same as of files read anew, and files are read where squares are missing."""
    train.main(short_training(run))
    read = []

    def watched(item, size):
        read.append(Path(item[0]).stem)
        return read_square(item, size)

    monkeypatch.setattr(store, "read_square", watched)
    predict.main(predict.Settings(run.root))
    assert not read
    names = list(run.maps.read()["id"])
    maps = [map_of(run, name) for name in names]
    run.squares_from(32).unlink()
    for part in run.maps.path.parent.glob("part-*.npz"):
        part.unlink()
    predict.main(predict.Settings(run.root))
    assert read == names
    for name, before in zip(names, maps, strict=True):
        assert_array_equal(map_of(run, name), before)
