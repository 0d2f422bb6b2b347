"""Probability maps: each by networks that have not seen the image, none lost or mixed up."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from baseline.evidence_map import maps as heat
from cnn.data import geometry, planes
from cnn.network.unet import initial_params
from cnn.prediction import predict
from cnn.prediction.store import stream_maps
from cnn.training import train
from cnn.weights import provenance, tensors
from features.run import files
from features.run.files import UserError
from tests.helpers.tiny_run import (
    CELLS,
    FIXED,
    SIDE,
    TINY,
    change,
    evidence_of,
    first_state,
    write_start,
)


def test_each_image_is_judged_by_networks_that_have_not_seen_it(run, tiny, monkeypatch):
    monkeypatch.setattr(predict, "PART", 5)
    train.main(train.Settings(run, "demo"))
    predict.main(predict.Settings(run))
    index = pd.read_csv(run / "cnn" / "maps" / "index.csv")
    assert list(index["id"]) == [f"i{n}" for n in range(13)]  # not the unlabelled one
    assert index["part"].max() == 2
    networks = predict.load_networks(run, predict.scored_images(run))
    maps = np.stack(list(stream_maps(run, ["i0", "i10", "i12"])))

    def judged(name: str, fold: int) -> np.ndarray:
        image = geometry.read_square(run.parent / f"{name}.png", 32)
        said = np.full(16, evidence_of(int(name[1:]), fold), np.float32)
        known = heat.EvidenceMap(*CELLS, said, np.full(16, 0.5, np.float32))
        rows = pd.DataFrame({"id": [name], "rows": [SIDE], "columns": [SIDE]})
        both = np.stack([image, *planes.draw({name: known}, rows, 32)], axis=-1)
        params, config = networks.params[fold], networks.config
        return np.asarray(predict.probabilities(params, both[None], config, False))[0]

    assert_allclose(maps[0], judged("i0", 0), atol=0.003)
    assert_allclose(maps[1], judged("i10", 1), atol=0.003)
    mean = np.mean([judged("i12", fold) for fold in range(3)], axis=0)
    assert_allclose(maps[2], mean, atol=0.003)
    with pytest.raises(UserError, match="image 'i13' has no map"):
        np.stack(list(stream_maps(run, ["i13"])))


def test_maps_of_other_weights_are_made_again(run, tiny):
    train.main(train.Settings(run, "demo"))
    predict.main(predict.Settings(run))
    before = np.stack(list(stream_maps(run, ["i0"])))
    train.main(train.Settings(run, "demo", seed=1, overwrite=True))
    predict.main(predict.Settings(run))
    assert not np.array_equal(np.stack(list(stream_maps(run, ["i0"]))), before)


def test_images_are_averaged_with_their_mirror_image_as_asked(run, tiny):
    train.main(train.Settings(run, "demo"))
    seen = {}
    for flip in ("auto", "yes", "no"):
        predict.main(predict.Settings(run, flip))
        seen[flip] = np.stack(list(stream_maps(run, ["i0"])))
    assert_array_equal(seen["auto"], seen["no"])  # as the profile says
    assert not np.array_equal(seen["yes"], seen["no"])


def test_a_flipped_average_is_the_same_for_the_mirrored_image():
    params = first_state(TINY).params
    params["head"]["kernel"] += 0.3
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 2), np.uint8)
    one = predict.probabilities(params, image, TINY.unet, True)
    other = predict.probabilities(params, image[:, :, ::-1], TINY.unet, True)
    assert_allclose(one, other[:, :, ::-1], atol=1e-6)
    assert not np.allclose(one, predict.probabilities(params, image, TINY.unet, False), atol=1e-3)


def test_networks_that_know_the_images_they_would_judge_are_refused(run, tiny):
    train.main(train.Settings(run, "demo", evidence=False, epochs=1, steps=1))
    predict.load_networks(run, predict.scored_images(run))
    change(run, fold=[0, 0, 1, 1, 1, 0, 2, 2, 2, -1, -1, -1, -1, -1])
    with pytest.raises(UserError, match=r"learned from 1 of the images .* i5; .*cnn and train"):
        predict.main(predict.Settings(run))
    assert not (run / "cnn" / "maps").exists()


def test_a_network_that_knows_a_test_image_is_refused(run, tiny, tmp_path):
    params = initial_params(TINY.unet, np.random.default_rng(0))
    path = write_start(tmp_path, TINY, params, learned_from=provenance.marks(["i12"]))
    settings = train.Settings(run, "demo", init=str(path), evidence=False, epochs=1, steps=1)
    with pytest.raises(UserError, match=r"learned from 1 images that are tested, such as i12"):
        train.main(settings)
    assert not list((run / "cnn").glob("fold*"))
    # Nor if it is tested only after the training.
    change(run, split=["train"] * 9 + ["unlabelled"] * 5)
    train.main(settings)
    change(run, split=["train"] * 9 + ["test"] * 5)
    with pytest.raises(UserError, match=r"fold0.*learned from 1 of the images .* such as i12"):
        predict.main(predict.Settings(run))


@pytest.mark.parametrize("change", [{"unet": {"size": 32}}, {"unet": 3}, {"flip": None}])
def test_weights_of_another_version_are_refused(run, tiny, change):
    content = asdict(TINY) | change
    content = {name: value for name, value in content.items() if value is not None}
    path = run / "cnn" / "fold0" / "weights.safetensors"
    tensors.save(path, initial_params(TINY.unet, FIXED), {"config": content})
    with pytest.raises(UserError, match=r"another version of this program .*; delete .*cnn and"):
        predict.main(predict.Settings(run))


def test_a_damaged_part_is_made_again(run, tiny):
    train.main(train.Settings(run, "demo", evidence=False, epochs=1, steps=1))
    predict.main(predict.Settings(run))
    path = run / "cnn" / "maps" / "part-0000.npz"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense"):
        path.write_bytes(damaged)
        predict.main(predict.Settings(run))
        assert path.read_bytes() == whole


@pytest.mark.parametrize("content", ["", "id,part\ni0,0\n", "id,part,row\ni0,zero,0\n"])
def test_an_index_that_is_none_is_said(run, content):
    files.write_text(run / "cnn" / "maps" / "index.csv", content)
    with pytest.raises(UserError, match=r"index\.csv: no index of maps \(.*; delete it"):
        list(stream_maps(run, ["i0"]))


@pytest.mark.parametrize("place", ["run", "cnn"])
def test_a_file_in_a_folder_s_place_is_said(tmp_path, place):
    run = tmp_path / "run"
    path = run if place == "run" else run / "cnn"
    files.write_text(path, "")
    for main, settings in (
        (train.main, train.Settings(run, "demo")), (predict.main, predict.Settings(run))
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"/{place}: is a file where a folder belongs"):
            main(settings)


def test_missing_weights_and_maps_are_said(run, tiny):
    with pytest.raises(UserError, match=r"weights\.safetensors: no such file; train first"):
        predict.main(predict.Settings(run))
    with pytest.raises(UserError, match=r"index\.csv: no such file; predict first"):
        np.stack(list(stream_maps(run, ["i0"])))
