"""Training: an interrupted one ends with the same weights, and failures are reported."""

import json
import shutil
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from cnn.network.config import PROFILES
from cnn.prediction import predict
from cnn.training import train, train_fold
from cnn.weights import checkpoint, tensors
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.tiny_run import TINY, change, weights_bytes


def test_a_lost_curve_of_a_finished_fold_is_no_fault(run, tiny, capsys):
    settings = train.Settings(run.root, "demo", epochs=1, steps=1, evidence=False)
    train.main(settings)
    run.unet_fold(0).history.path.unlink()
    capsys.readouterr()
    train.main(settings)
    assert "on the 2 positives" in capsys.readouterr().out


def test_training_writes_weights_curves_and_settings(run, tiny, capsys):
    train.main(train.Settings(run.root, "demo"))
    curves = [run.unet_fold(k).history.read()["val_dice"] for k in range(3)]
    first, last = (np.mean([of_fold.iloc[place] for of_fold in curves]) for place in (0, -1))
    output = capsys.readouterr().out
    assert f"on the 3 positives, out of fold: {first:.3f} before" in output
    assert f"{last:.3f} after the last epoch" in output
    for fold in range(3):
        curves = run.unet_fold(fold).history.read()
        columns = ["epoch", "loss", "val_bce", "val_soft_dice", "val_dice", "val_score"]
        assert list(curves.columns) == columns
        assert list(curves["epoch"]) == [0, 1, 2, 3]
        assert np.isfinite(curves.iloc[1:]).all(axis=None)
        assert curves["val_dice"].iloc[-1] > 0.5  # the bright square has been learned
        names = {path.name for path in run.unet_fold(fold).root.iterdir()}
        assert names == {"curves.csv", "curves.png", "panel.png", "weights.safetensors"}
    settings = json.loads(run.unet_settings.read_text())
    assert settings["config"]["unet"]["size"] == 32
    assert len({weights_bytes(run, fold) for fold in range(3)}) == 3
    stamp = run.unet_fold(0).weights.stat().st_mtime_ns
    train.main(train.Settings(run.root, "demo"))  # finished: nothing to do
    assert run.unet_fold(0).weights.stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match="was trained with another seed than these settings"):
        train.main(train.Settings(run.root, "demo", seed=1))
    with pytest.raises(UserError, match=r"another config .* or --overwrite"):
        train.main(train.Settings(run.root, "demo", epochs=2))
    before = weights_bytes(run, 0)
    train.main(train.Settings(run.root, "demo", seed=1, overwrite=True))
    assert weights_bytes(run, 0) != before


def test_what_is_refused_costs_no_trained_weights(run, tiny, tmp_path):
    train.main(train.Settings(run.root, "demo"))
    before = [weights_bytes(run, fold) for fold in range(3)]
    other = tmp_path / "fold0.safetensors"
    other.write_bytes(before[0])  # fits fold 0, and there is none for the others
    init = str(tmp_path / "fold{fold}.safetensors")
    with pytest.raises(UserError, match=r"fold1\.safetensors: no such file of pretrained weights"):
        train.main(train.Settings(run.root, "demo", init=init, overwrite=True))
    assert [weights_bytes(run, fold) for fold in range(3)] == before


def test_broken_training_stops_with_the_checkpoint_kept(run, tiny, monkeypatch):
    real = train_fold.train_epoch

    def breaks(state, images, without, epoch, *rest):
        state, loss = real(state, images, without, epoch, *rest)
        return state, float("nan") if epoch == 2 else loss

    monkeypatch.setattr(train_fold, "train_epoch", breaks)
    sentence = r"U-Net, fold 0: the loss of epoch 3 is nan, so .*epoch 2 is kept.* another --seed"
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run.root, "demo"))
    info = checkpoint.read_info(run.unet_fold(0).checkpoint)
    assert [row["epoch"] for row in info["history"]] == [0, 1, 2]


def test_what_a_killed_run_left_of_a_finished_fold_goes(run, tiny):
    train.main(train.Settings(run.root, "demo", epochs=1, steps=1))
    folder = run.unet_fold(0)
    whole = {path.name for path in folder.root.iterdir()}
    _, info = tensors.load(folder.weights)
    files.write_text(folder.planes, "")
    checkpoint.save(folder.checkpoint, 1, {"w": np.ones(1)}, info)
    files.write_text(folder.first.weights, "")
    checkpoint.save(folder.first.checkpoint, 1, {"w": np.ones(1)}, info)
    train.main(train.Settings(run.root, "demo", epochs=1, steps=1))
    assert {path.name for path in folder.root.iterdir()} == whole | {"first"}
    assert not list(folder.first.root.iterdir())


@pytest.mark.parametrize("which", ["params", "ema"])
@pytest.mark.parametrize("broken", [1, 3])
def test_weights_that_are_no_numbers_are_not_kept(run, tiny, monkeypatch, which, broken):
    real = train_fold.train_epoch

    def breaks(state, images, without, epoch, *rest):
        state, loss = real(state, images, without, epoch, *rest)
        if epoch + 1 == broken:  # the loss, of the weights before the last step, is still good
            tree = getattr(state, which) | {"trust": jax.numpy.float32("nan")}
            state = state._replace(**{which: tree})
        return state, loss

    monkeypatch.setattr(train_fold, "train_epoch", breaks)
    kept = "epoch 2 is kept" if broken == 3 else "nothing was saved"
    sentence = rf"U-Net, fold 0: the loss of epoch {broken} is [01]\..* no numbers any more.*{kept}"
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run.root, "demo"))
    folder = run.unet_fold(0)
    assert not folder.weights.exists()
    if broken == 3:
        info = checkpoint.read_info(folder.checkpoint)
        assert [row["epoch"] for row in info["history"]] == [0, 1, 2]


def test_a_weak_training_that_breaks_says_so_and_what_helps(run, tiny, monkeypatch):
    monkeypatch.setitem(PROFILES, "demo", replace(TINY, steps=1, first_epochs=2, weak_share=0.5))
    monkeypatch.setattr(train_fold, "train_epoch", lambda state, *rest: (state, float("inf")))
    sentence = "fold 0, X-ray alone: the loss of epoch 1 is inf, .*--precision float32, or an"
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run.root, "demo", precision="bfloat16"))


@pytest.mark.parametrize(
    ("steps_", "epochs", "due"), [(3, 9, [4, 7]), (25, 3, [1, 2]), (5, 4, [2]), (4, 2, [])]
)
def test_a_checkpoint_is_due_after_so_many_steps_but_not_after_the_last(
    monkeypatch, steps_, epochs, due
):
    monkeypatch.setattr(train_fold, "SPACING", 10)
    config = replace(TINY, steps=steps_, epochs=epochs)
    assert [epoch for epoch in range(1, epochs + 1) if train_fold.is_due(epoch, config)] == due


def test_a_run_that_stops_anywhere_goes_on_to_the_same_weights(run, tiny, monkeypatch, tmp_path):
    whole = RunFolder(tmp_path / "whole")
    shutil.copytree(run.root, whole.root)
    train.main(train.Settings(whole.root, "demo"))
    calls = []

    def stops(real, *arguments):
        calls.append(real.__module__)
        if len(calls) in (2, 4, 7):  # before a checkpoint, before the final weights ...
            raise KeyboardInterrupt
        real(*arguments)

    for module in (checkpoint, tensors):
        monkeypatch.setattr(module, "save", partial(stops, module.save))
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train.main(train.Settings(run.root, "demo"))
        assert not run.unet_settings.exists()
    train.main(train.Settings(run.root, "demo"))
    assert [calls[place - 1] for place in (2, 4, 7)] == [
        "cnn.weights.checkpoint", "cnn.weights.tensors", "cnn.weights.checkpoint"
    ]  # fmt: skip
    for fold in range(3):
        assert weights_bytes(run, fold) == weights_bytes(whole, fold)
        curves = [folder.unet_fold(fold).history.path for folder in (run, whole)]
        assert curves[0].read_text() == curves[1].read_text()


def test_one_fold_alone_may_be_trained_and_the_others_follow(run, tiny, capsys):
    train.main(train.Settings(run.root, "demo", only=1))
    assert [path.name for path in run.unet.glob("fold*")] == ["fold1"]
    assert "on the 1 positives" in capsys.readouterr().out
    alone = weights_bytes(run, 1)
    with pytest.raises(UserError, match=r"fold0.* run `make cnn` first"):
        predict.main(predict.Settings(run.root))
    train.main(train.Settings(run.root, "demo"))
    assert weights_bytes(run, 1) == alone
    assert len(list(run.unet.glob("fold*"))) == 3


def test_a_fold_without_an_image_to_learn_from_has_a_network_that_predicts_its_own(run, tiny):
    table = run.dataset.read()
    change(run, fold=table["fold"].where(~table["id"].isin(["i9", "i10"]), 3))
    train.main(train.Settings(run.root, "demo", steps=1, epochs=1, evidence=False))
    assert run.unet_fold(3).weights.exists()
    predict.main(predict.Settings(run.root))
    index = run.maps.read().set_index("id")
    assert index.loc["i9", "fold"] == 3
