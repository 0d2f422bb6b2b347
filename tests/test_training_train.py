"""Training: nothing leaks between folds, and it ends alike wherever it was interrupted."""

import json
import shutil
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cnn.data import batches
from cnn.devices import mesh
from cnn.network.config import PROFILES
from cnn.prediction import predict
from cnn.training import panel, steps, train, train_fold
from cnn.training.history import summary
from cnn.weights import checkpoint, provenance, tensors
from features.reading import rle
from features.run import files
from features.run.files import UserError
from tests.helpers.tiny_run import TINY, change, weights_bytes


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "--epochs is 0, but must be at least 1"),
        ({"steps": 0}, "--steps is 0, but must be at least 1"),
        ({"patience": -1}, "--patience is -1, but must be at least 0"),
        ({"first_epochs": -1}, "--first-epochs is -1, but must be at least 0"),
        ({"batch": 3, "accumulate": 2}, "a batch of 3 images cannot be shared .* in 2 parts"),
        ({"seed": -1}, "--seed is -1, but"),
        ({"only": 3}, "--only is 3, but the folds are 0 to 2"),
        ({"weak_share": 1.0}, r"--weak-share is 1\.0, but must be from 0 to below 1"),
        ({"rate": 0.0}, r"--rate is 0\.0, but must lie between 0 and 1"),
        ({"accelerator": True}, "--accelerator: JAX sees processors only"),
        ({"init": "gone/fold{fold}"}, "gone/fold0: no such file to start from"),
        ({"init": "."}, r"^\.: no such file to start from"),
        ({"cluster": mesh.Cluster("nonsense")}, "coordinator nonsense: must be host:port"),
        ({"cluster": mesh.Cluster(":1")}, "coordinator :1: must be host:port"),
        ({"cluster": mesh.Cluster("x:65536")}, "x:65536: .* the port from 1 to 65535"),
        ({"cluster": mesh.Cluster(processes=2)}, "give --cluster.coordinator"),
        ({"cluster": mesh.Cluster("x:1", 2, 2)}, "--cluster.process is 2, but .* from 0 to 1"),
    ],
)
def test_impossible_settings_are_refused(run, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run.root, "demo", **settings))


def test_a_run_keeps_its_precision_on_another_device(run, tiny, monkeypatch):
    asked = train.Settings(run.root, "demo", epochs=1, steps=1, evidence=False)
    train.main(replace(asked, precision="bfloat16"))
    kept = [weights_bytes(run, fold) for fold in range(3)]
    assert train.configured(asked).bfloat16
    train.main(replace(asked, overwrite=True))  # on a processor, where float32 is the rule
    assert [weights_bytes(run, fold) for fold in range(3)] == kept
    assert not train.configured(replace(asked, precision="float32")).bfloat16
    monkeypatch.setattr(train, "accelerated", lambda: True)
    shutil.rmtreerun.unet
    assert train.configured(asked).bfloat16


def test_a_lost_curve_of_a_finished_fold_is_no_fault(run, tiny, capsys):
    asked = train.Settings(run.root, "demo", epochs=1, steps=1, evidence=False)
    train.main(asked)
    (run.unet_fold(0).history.path).unlink()
    capsys.readouterr()
    train.main(asked)
    assert "on the 2 positives" in capsys.readouterr().out


def test_training_writes_weights_curves_and_settings(run, tiny, capsys):
    train.main(train.Settings(run.root, "demo"))
    curves = [pd.read_csv(run.unet_fold(k).history.path)["val_dice"] for k in range(3)]
    first, last = (np.mean([one.iloc[place] for one in curves]) for place in (0, -1))
    said = capsys.readouterr().out
    assert f"on the 3 positives, out of fold: {first:.3f} before" in said
    assert f"{last:.3f} after the last epoch" in said
    for fold in range(3):
        curves = pd.read_csv(run.unet_fold(fold).history.path)
        columns = ["epoch", "loss", "val_bce", "val_soft_dice", "val_dice", "val_score"]
        assert list(curves.columns) == columns
        assert list(curves["epoch"]) == [0, 1, 2, 3]
        assert np.isfinite(curves.iloc[1:]).all(axis=None)
        assert curves["val_dice"].iloc[-1] > 0.5  # the bright square has been learned
        names = {path.name for path in (run.unet_fold(fold).root).iterdir()}
        assert names == {"curves.csv", "curves.png", "panel.png", "weights.safetensors"}
    settings = json.loads((run.unet_settings).read_text())
    assert settings["config"]["unet"]["size"] == 32
    assert len({weights_bytes(run, fold) for fold in range(3)}) == 3
    stamp = (run.unet_fold(0).weights).stat().st_mtime_ns
    train.main(train.Settings(run.root, "demo"))  # finished: nothing to do
    assert (run.unet_fold(0).weights).stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match="was trained with another seed than asked for"):
        train.main(train.Settings(run.root, "demo", seed=1))
    with pytest.raises(UserError, match=r"another config .* or --overwrite"):
        train.main(train.Settings(run.root, "demo", epochs=2))
    before = weights_bytes(run, 0)
    train.main(train.Settings(run.root, "demo", seed=1, overwrite=True))
    assert weights_bytes(run, 0) != before


def test_broken_training_stops_with_the_checkpoint_kept(run, tiny, monkeypatch):
    real = train_fold.train_epoch

    def breaks(state, data, without, epoch, *rest):
        state, loss = real(state, data, without, epoch, *rest)
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
    whole = {path.name for path in folder.iterdir()}
    _, info = tensors.load(folder / "weights.safetensors")
    files.write_text(folder / "evidence.npy", "")
    checkpoint.save(folder / "checkpoint", 1, {"w": np.ones(1)}, info)
    files.write_text(folder / "first" / "weights.safetensors", "")
    checkpoint.save(folder / "first" / "checkpoint", 1, {"w": np.ones(1)}, info)
    train.main(train.Settings(run.root, "demo", epochs=1, steps=1))
    assert {path.name for path in folder.iterdir()} == whole | {"first"}
    assert not list((folder / "first").iterdir())


@pytest.mark.parametrize("which", ["params", "ema"])
@pytest.mark.parametrize("broken", [1, 3])
def test_weights_that_are_no_numbers_are_not_kept(run, tiny, monkeypatch, which, broken):
    real = train_fold.train_epoch

    def breaks(state, data, without, epoch, *rest):
        state, loss = real(state, data, without, epoch, *rest)
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
    assert not (folder / "weights.safetensors").exists()
    if broken == 3:
        info = checkpoint.read_info(folder / "checkpoint")
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


def test_a_run_that_stops_anywhere_goes_on_to_the_same_final(run, tiny, monkeypatch, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(run, whole)
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
        assert not (run.unet_settings).exists()
    train.main(train.Settings(run.root, "demo"))
    assert [calls[place - 1] for place in (2, 4, 7)] == [
        "cnn.weights.checkpoint", "cnn.weights.tensors", "cnn.weights.checkpoint"
    ]  # fmt: skip
    for fold in range(3):
        assert weights_bytes(run, fold) == weights_bytes(whole, fold)
        curves = [r / "cnn" / f"fold{fold}" / "curves.csv" for r in (run, whole)]
        assert curves[0].read_text() == curves[1].read_text()


@pytest.mark.parametrize(
    ("score", "best"), [([0.3, 0.5, 0.4, 0.45], 1), ([0.6, 0.5, 0.4], 0), ([0.1, 0.2, 0.2, 0.3], 3)]
)
def test_early_stopping_looks_at_a_fold_of_its_own_and_keeps_the_best_epoch(
    run, tiny, monkeypatch, score, best
):
    taught, told, averages = [], iter(score), []
    order, judge = train_fold.training_order, train_fold.validate

    def watched(data, without, *rest):
        taught.append(without)
        return order(data, without, *rest)

    def validate(params, data, fold, config):
        found = judge(params, data, fold, config)
        if fold == 2:
            return found
        averages.append(params)
        return found | {"score": next(told)}

    monkeypatch.setattr(train_fold, "training_order", watched)
    monkeypatch.setattr(train_fold, "validate", validate)
    data = training_images.read(run, 32)
    config = replace(TINY, epochs=3, steps=2, patience=2, unet=replace(TINY.unet, evidence=False))
    identity = identify(config, 0, 2, data)
    params = jax.device_get(initial_weights(config, 0, 2, data))
    train_fold.train_fold(run.unet_fold(2), data, 2, config, identity, params)
    assert set(taught) == {(2, 0)}
    curves = pd.read_csv(run.unet_fold(2).history.path)
    assert list(curves["stop_score"]) == score
    path = run.unet_fold(2).weights
    kept = tensors.restore(params, tensors.load(path)[0], path)
    jax.tree.map(assert_array_equal, kept, averages[best])


def test_a_training_is_watched_by_the_challenges_score(run, monkeypatch):
    """Fold 0 has one image with a lesion and two without, which score 1 where no mask is drawn."""
    dice = np.zeros((len(steps.LEVELS), 3))
    dice[4] = 0.6, 0.0, 0.0  # at 0.5: 0.2 on average
    dice[7] = 0.3, 1.0, 0.0
    dice[8] = 0.0, 1.0, 0.0
    made_up = np.concatenate([[[1.0, 2.0, 3.0], [0.5, 0.0, 0.0]], dice])
    padding = np.zeros((len(made_up), TINY.batch - 3))
    monkeypatch.setattr(steps, "eval_step", lambda *rest: np.concatenate([made_up, padding], 1))
    found = steps.validate(None, training_images.read(run, 32), 0, TINY)
    assert found == pytest.approx({"bce": 2, "soft_dice": 0.5, "dice": 0.6, "score": 1.3 / 3})


def test_no_phase_learns_from_the_fold_that_early_stopping_looks_at(run):
    data = training_images.read(run, 32, evidence=True, weak=True)
    config = replace(TINY, first_epochs=4, patience=2)
    trainings = train_fold.phases(config, data)
    assert list(trainings) == ["first", ""]
    assert {train_fold.left_out(2, data, phase) for phase in trainings.values()} == {(2, 0)}
    assert trainings["first"].patience >= trainings["first"].epochs == 4


def test_early_stopping_needs_a_lesion_to_look_at(run, tiny):
    table = pd.read_parquet(run / "dataset.parquet")
    change(run, mask=[rle.EMPTY if n == 3 else code for n, code in enumerate(table["mask"])])
    with pytest.raises(UserError, match="stopping of fold 0 looks at fold 1, where no image has"):
        train.main(train.Settings(run.root, "demo", evidence=False, patience=1))
    assert not list(run.unet.glob("fold*"))


def test_the_summary_tells_the_dice_of_the_weights_that_are_kept(run, tmp_path):
    data = training_images.read(run, 32)
    for fold in range(3):  # one positive each
        curves = {"epoch": range(4), "val_dice": [0.1, 0.3 * fold, 0.8, 0.9]}
        curves |= {"stop_score": [0.0, 0.7, 0.7, 0.6]}
        files.write_csv(tmp_path / f"fold{fold}" / "curves.csv", pd.DataFrame(curves))
    said = summary(tmp_path, range(3), data, replace(TINY, patience=2))
    assert "0.100 before" in said and "0.300 in the epochs that early stopping keeps" in said
    assert "0.900 after the last epoch" in summary(tmp_path, range(3), data, TINY)


def test_early_stopping_needs_three_folds(run, tiny):
    change(run, fold=[0] * 5 + [1] * 4 + [-1] * 5)
    with pytest.raises(UserError, match="of 2 folds none is left to learn from"):
        train.main(train.Settings(run.root, "demo", evidence=False, patience=1))


def test_one_fold_alone_may_be_trained_and_the_others_follow(run, tiny, capsys):
    train.main(train.Settings(run.root, "demo", only=1))
    assert [path.name for path in run.unet.glob("fold*")] == ["fold1"]
    assert "on the 1 positives" in capsys.readouterr().out
    alone = weights_bytes(run, 1)
    with pytest.raises(UserError, match=r"fold0.* train first"):
        predict.main(predict.Settings(run.root))
    train.main(train.Settings(run.root, "demo"))
    assert weights_bytes(run, 1) == alone
    assert len(list(run.unet.glob("fold*"))) == 3


def test_a_fold_without_an_image_to_learn_from_has_a_network_that_judges_its_own(run, tiny):
    table = pd.read_parquet(run / "dataset.parquet")
    change(run, fold=table["fold"].where(~table["id"].isin(["i9", "i10"]), 3))
    train.main(train.Settings(run.root, "demo", steps=1, epochs=1, evidence=False))
    assert (run.unet_fold(3).weights).exists()
    predict.main(predict.Settings(run.root))
    index = pd.read_csv(run.unet / "maps" / "index.csv", index_col="id")
    assert index.loc["i9", "fold"] == 3


def test_a_rate_of_ones_own_is_another_training(run, tiny):
    config = train.configured(train.Settings(run.root, "demo", rate=0.5))
    assert config == replace(TINY, learning_rate=0.5)


def test_the_share_of_positives_slides(run, tiny, monkeypatch):
    seen = []
    real = train_fold.training_order

    def watched(data, without, counts, key):
        seen.append(counts.positive_share)
        return real(data, without, counts, key)

    monkeypatch.setattr(train_fold, "training_order", watched)
    sliding = replace(TINY, steps=2, positive_shares=(0.8, 0.4))
    monkeypatch.setitem(PROFILES, "demo", sliding)
    train.main(train.Settings(run.root, "demo", evidence=False))
    assert_allclose(seen[-3:], [0.8, 0.6, 0.4])


def test_weak_labels_teach_first_and_the_final_training_goes_on_from_there(run, tiny, monkeypatch):
    begun, met = [], []
    real, order = train_fold.train_fold, train_fold.training_order

    def watched(folder, data, fold, config, identity, params):
        begun.append((folder.name, config.unet.evidence, config.epochs, config.weak_share))
        params = jax.device_get(params)
        real(folder, data, fold, config, identity, params)
        if folder.name == "first":
            begun.append(tensors.load(folder / "weights.safetensors")[0])
        else:
            begun.append(params)

    def drawn(data, without, counts, key):
        found = order(data, without, counts, key)
        met.append((without[0], counts.weak_share, (found > 8).mean()))
        return found

    monkeypatch.setattr(train_fold, "train_fold", watched)
    monkeypatch.setattr(train_fold, "training_order", drawn)
    monkeypatch.setitem(
        PROFILES, "demo", replace(TINY, epochs=1, steps=5, first_epochs=2, weak_share=0.5)
    )
    train.main(train.Settings(run.root, "demo"))
    phases = [(("first", False, 2, 0.5), (f"fold{k}", True, 1, 0.0)) for k in range(3)]
    assert begun[::2] == [one for pair in phases for one in pair]
    assert_array_equal(begun[3]["down"][0][0]["conv1"]["kernel"], begun[1]["down.0.0.conv1.kernel"])
    assert {(k, weak, share) for k, weak, share in met} >= {
        (0, 0.5, 0.5), (1, 0.5, 0.0), (2, 0.5, 0.5), (0, 0.0, 0.0)
    }  # fmt: skip
    assert not list(run.unet.glob("fold*/first/*.safetensors"))
    assert len(list(run.unet.glob("fold*/first/curves.csv"))) == 3


def test_the_panel_shows_truth_and_mask():
    image = np.full((8, 8), 100, np.uint8)
    true, drawn = np.zeros((2, 8, 8), bool)
    true[1:6, 1:6] = True
    drawn[1:6, 1:4] = True
    found = panel.outlined(image, true, drawn)
    assert tuple(found[1, 1]) == (255, 255, 255)
    assert tuple(found[1, 5]) == (255, 255, 0)
    assert tuple(found[3, 3]) == (0, 255, 255)
    assert tuple(found[3, 4]) == tuple(found[7, 7]) == (100, 100, 100)
