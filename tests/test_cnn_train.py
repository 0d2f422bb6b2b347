"""Training and prediction: nothing leaks between folds, nothing is lost when a run is killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from baseline import heat
from cnn import (
    batches,
    checkpoint,
    devices,
    feeding,
    geometry,
    panel,
    planes,
    predict,
    steps,
    tensors,
    train,
    weights,
)
from cnn.augment import AugmentConfig
from cnn.curves import summary
from cnn.maps import stream_maps
from cnn.profiles import PROFILES, TrainConfig
from cnn.sources import to_levels
from cnn.unet import UNetConfig, initial_params
from features import files, parallel, rle
from features.files import UserError
from tests.test_files import small_disk

SIDE = 64
TINY = TrainConfig(
    unet=UNetConfig(size=32, widths=(8, 16), groups=4),
    augment=AugmentConfig(rotation=0.0, scale=0.0),
    epochs=3,
    steps=20,
    batch=4,
    weak_epochs=0,
    learning_rate=1e-2,
    ema=0.8,
    flip=False,
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder: 9 labelled images in 3 folds, 2 weakly labelled in fold 1, 2 test, 1 neither.

    A third of the labelled ones has a bright square, which is the lesion.
    """
    generator = np.random.default_rng(0)
    rows = []
    for number in range(14):
        pixels = generator.integers(0, 100, (SIDE, SIDE), dtype=np.uint8)
        mask = np.zeros((SIDE, SIDE), bool)
        if number < 9 and number % 3 == 0:
            mask[8:40, 20:50] = True
        pixels[mask] += 120
        path = tmp_path / f"i{number}.png"
        Image.fromarray(pixels).save(path)
        split = "train" if number < 9 else "unlabelled" if number == 13 else "test"
        fold = number // 3 if number < 9 else 1 if number < 11 else -1
        code = rle.encode(mask) if number < 9 else None
        weak = {9: 0.9, 10: 0.25}.get(number, np.nan)
        rows.append((f"i{number}", str(path), split, code, fold, SIDE, SIDE, weak))
    columns = ["id", "path", "split", "mask", "fold", "rows", "columns", "weak"]
    folder = tmp_path / "run"
    folder.mkdir()
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "dataset.parquet")
    write_evidence(folder)
    return folder


# Rows and columns of the cells; the X-rays, of 64 pixels, have one cell a pixel.
CELLS = tuple(30 + place for place in np.divmod(np.arange(16), 4))


def evidence_of(number: int, judge: int) -> float:
    """What a judge says of every cell of an image."""
    return (number + 1) / 20 + judge / 50


def write_evidence(run: Path) -> None:
    """A square of cells in the middle of each image, by three folds' judges and their pairs'."""

    def rows(seen: list[tuple[int, int]]) -> pd.DataFrame:
        drawn = [
            {"id": f"i{n}", "probability": evidence_of(n, judge), "judge": judge}
            | {"row": row, "column": column, "lung": 0.5}
            for n, judge in seen
            for row, column in zip(*CELLS, strict=True)
        ]
        return pd.DataFrame(drawn).astype({"probability": np.float32})

    own = [(n, n // 3) for n in range(9)] + [(9, 1), (10, 1)]
    outside = [(n, judge) for n in (11, 12, 13) for judge in range(3)]
    files.write_table(run / "evidence" / "map.parquet", rows(own + outside))
    fold = [*np.repeat([0, 1, 2], 3), 1, 1]
    taught = [(n, judge) for n in range(11) for judge in range(3) if judge != fold[n]]
    files.write_table(run / "evidence" / "pairs.parquet", rows(taught))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """The smallest network that trains in a moment, in the place of the demo's."""
    monkeypatch.setitem(PROFILES, "demo", TINY)
    monkeypatch.setattr(train, "SPACING", TINY.steps)  # a checkpoint after each epoch
    # The compiled programs would go to a folder that vanishes with the test.
    for module in (train, predict):
        monkeypatch.setattr(module, "keep_compiled", lambda folder: None)
    return TINY


def first_state(config: TrainConfig) -> train.TrainState:
    return train.initial_state(initial_params(config.unet, np.random.default_rng(0)), config)


def change(run: Path, **columns: object) -> None:
    table = pd.read_parquet(run / "dataset.parquet").assign(**columns)
    table.to_parquet(run / "dataset.parquet")


# --- geometry ------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_shrinking_is_the_mean_of_blocks(factor):
    image = np.random.default_rng(0).random((32, 32), np.float32)
    small = geometry.to_square(image, 32 // factor)
    blocks = image.reshape(32 // factor, factor, 32 // factor, factor)
    assert_allclose(small, blocks.mean((1, 3)), atol=1e-6)


def test_shrinking_weighs_pixels_by_overlap():
    row = np.array([[3.0, 6.0, 9.0]] * 3, np.float32)
    # Three pixels into two: the middle one is shared in halves.
    assert_allclose(geometry.to_square(row, 2), [[4.0, 8.0], [4.0, 8.0]], rtol=1e-6)


def test_padding_is_dark_and_even_on_both_sides():
    square = geometry.to_square(np.ones((2, 4), np.float32), 4)
    assert_array_equal(square, [[0] * 4, [1] * 4, [1] * 4, [0] * 4])


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([16, 32, 64]))
def test_from_square_puts_every_position_back(rows, columns, size):
    # A map whose value is its own position in the square: linear, so interpolation keeps it.
    place = (np.arange(size, dtype=np.float32) + 0.5) / size
    side = max(rows, columns)
    back = geometry.from_square(np.broadcast_to(place, (size, size)), rows, columns)
    expected = ((side - columns) // 2 + np.arange(columns) + 0.5) / side
    assert back.shape == (rows, columns)
    # Beyond the outermost centres there is nothing to interpolate with.
    clamped = np.clip(expected, place[0], place[-1]) if side > size else expected
    assert_allclose(back, np.broadcast_to(clamped, back.shape), atol=0.51 / side + 1e-5)
    tall = geometry.from_square(np.broadcast_to(place[:, None], (size, size)), columns, rows)
    assert_allclose(tall, back.T, atol=1e-6)


@given(st.integers(1, 64), st.integers(1, 64))
def test_an_image_that_needs_no_resampling_comes_back_unchanged(rows, columns):
    image = np.random.default_rng(rows).random((rows, columns), np.float32)
    square = geometry.to_square(image, max(rows, columns))
    assert_allclose(geometry.from_square(square, rows, columns), image, atol=1e-6)


@given(st.integers(2, 80), st.integers(2, 80), st.integers(2, 80))
def test_resampling_keeps_constants(rows, columns, size):
    square = np.full((size, size), 0.7, np.float32)
    assert_allclose(geometry.from_square(square, rows, columns), 0.7, atol=1e-6)


# --- batches -------------------------------------------------------------------------------------


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


def test_images_are_decoded_once(run):
    first = batches.labelled(run, 32)
    for path in run.parent.glob("*.png"):
        path.unlink()
    again = batches.labelled(run, 32)
    assert_array_equal(first.images, again.images)
    assert first.digest == again.digest


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
    asked = batches.Counts(5, 4, 0.6)
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
    order = batches.training_order(data, (0,), batches.Counts(5, 4, 0.5, 0.4), (0,))
    assert_array_equal(np.bincount(order.ravel(), minlength=11)[:3], 0)
    assert (order > 8).sum() == 8 and (order == 9).sum() == 4
    # Fold 1, to which both belong, does without.
    assert (batches.training_order(data, (1,), batches.Counts(5, 4, 0.5, 0.4), (0,)) < 9).all()


def test_the_evidence_stands_in_for_the_mask_of_a_weak_positive(run):
    data = batches.labelled(run, 32, evidence=True, weak=True)
    drawn = planes.teaching(run / "seen.npy", run, 0, data.table, 32)
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
        seen = planes.teaching(run / "seen.npy", run, fold, data.table, 32)
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


# --- checkpoints ---------------------------------------------------------------------------------


def test_weights_come_back_bit_for_bit(tmp_path):
    params = first_state(TINY).params
    path = tmp_path / "a.safetensors"
    tensors.save(path, params, {"fold": 3})
    arrays, info = tensors.load(path)
    assert info == {"fold": 3}
    jax.tree.map(assert_array_equal, tensors.restore(params, arrays, path), params)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_cut_weights_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors.save(path, {"w": np.ones(100, np.float32)}, {})
    for length in (0, 5, 50, path.stat().st_size - 1):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(path.read_bytes()[:length])
        with pytest.raises(UserError, match=r"cut\.safetensors: not weights"):
            tensors.load(cut)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors.save(path, {"w": np.ones(3, np.float32)}, {})
    arrays, _ = tensors.load(path)
    with pytest.raises(UserError, match=r"holds another network .*first difference: w"):
        tensors.restore({"w": np.ones(4, np.float32)}, arrays, path)


def test_a_checkpoint_comes_back_bit_for_bit_and_replaces_the_one_before(tmp_path):
    folder = tmp_path / "checkpoint"
    assert checkpoint.read_info(folder) is None
    state = first_state(TINY)
    held = state, jax.device_get(state.params)
    info = {"seed": 1, "history": [{"epoch": 0, "loss": None}, {"epoch": 1, "loss": 0.1}]}
    for epoch in (1, 4):
        changed = jax.tree.map(lambda leaf, by=epoch: leaf + by, held)
        checkpoint.save(folder, epoch, changed, info)
        jax.tree.map(assert_array_equal, checkpoint.restore(folder, held), changed)
        assert [path.name for path in folder.iterdir()] == [str(epoch)]
    assert checkpoint.read_info(folder) == info
    here = devices.all_devices(4)
    assert here.size == 2
    found, best = checkpoint.restore(folder, (devices.copied(state, here), held[1]))
    for leaf in jax.tree.leaves(found):  # for other devices than those that wrote it
        assert leaf.sharding.device_set == set(here.devices.flat)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(best))


def test_a_damaged_checkpoint_and_one_of_another_network_are_refused(tmp_path):
    folder = tmp_path / "checkpoint"
    checkpoint.save(folder, 2, {"w": np.ones(3, np.float32)}, {"seed": 1})
    for other in ({"w": np.ones(4, np.float32)}, {"v": np.ones(3, np.float32)}):
        with pytest.raises(UserError, match=r"checkpoint: not a checkpoint of this .* network"):
            checkpoint.restore(folder, other)
    for path in (folder / "2").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"checkpoint: not a checkpoint .*; delete it and train"):
        checkpoint.read_info(folder)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    folder = tmp_path / "checkpoint"
    small, large = ({"w": np.random.default_rng(0).random(n)} for n in (10, 100_000))
    checkpoint.save(folder, 1, small, {"seed": 1})
    with (
        small_disk(20_000),
        pytest.raises(UserError, match=r"checkpoint: could not be written \(File too large\)"),
    ):
        checkpoint.save(folder, 2, large, {"seed": 1})
    assert_array_equal(checkpoint.restore(folder, small)["w"], small["w"])
    checkpoint.save(folder, 2, large, {"seed": 1})
    assert_array_equal(checkpoint.restore(folder, large)["w"], large["w"])
    assert [path.name for path in folder.iterdir()] == ["2"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "--epochs is 0, but must be at least 1"),
        ({"steps": 0}, "--steps is 0, but must be at least 1"),
        ({"patience": -1}, "--patience is -1, but must be at least 0"),
        ({"weak_epochs": -1}, "--weak-epochs is -1, but must be at least 0"),
        ({"batch": 3, "accumulate": 2}, "a batch of 3 images cannot be shared .* in 2 parts"),
        ({"seed": -1}, "--seed is -1, but"),
        ({"accelerator": True}, "--accelerator: JAX sees processors only"),
        ({"init": "gone/fold{fold}"}, "gone/fold0: no such file to start from"),
        ({"init": "."}, r"^\.: no such file to start from"),
        ({"cluster": devices.Cluster("nonsense")}, "coordinator nonsense: must be host:port"),
        ({"cluster": devices.Cluster(":1")}, "coordinator :1: must be host:port"),
        ({"cluster": devices.Cluster("x:65536")}, "x:65536: .* the port from 1 to 65535"),
        ({"cluster": devices.Cluster(processes=2)}, "give --cluster.coordinator"),
        ({"cluster": devices.Cluster("x:1", 2, 2)}, "--cluster.process is 2, but .* from 0 to 1"),
    ],
)
def test_impossible_settings_are_refused(run, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run, "demo", **settings))


# --- training ------------------------------------------------------------------------------------


def final(run: Path, fold: int) -> bytes:
    return (run / "cnn" / f"fold{fold}" / "weights.safetensors").read_bytes()


def test_training_writes_weights_curves_and_settings(run, tiny, capsys):
    train.main(train.Settings(run, "demo"))
    curves = [pd.read_csv(run / "cnn" / f"fold{k}" / "curves.csv")["val_dice"] for k in range(3)]
    first, last = (np.mean([one.iloc[place] for one in curves]) for place in (0, -1))
    said = capsys.readouterr().out
    assert f"on the 3 positives, out of fold: {first:.3f} before" in said
    assert f"{last:.3f} after the last epoch" in said
    for fold in range(3):
        curves = pd.read_csv(run / "cnn" / f"fold{fold}" / "curves.csv")
        columns = ["epoch", "loss", "val_bce", "val_soft_dice", "val_dice", "val_score"]
        assert list(curves.columns) == columns
        assert list(curves["epoch"]) == [0, 1, 2, 3]
        assert np.isfinite(curves.iloc[1:]).all(axis=None)
        assert curves["val_dice"].iloc[-1] > 0.5  # the bright square has been learned
        names = {path.name for path in (run / "cnn" / f"fold{fold}").iterdir()}
        assert names == {"curves.csv", "curves.png", "panel.png", "weights.safetensors"}
    settings = json.loads((run / "cnn" / "settings.json").read_text())
    assert settings["config"]["unet"]["size"] == 32
    assert len({final(run, fold) for fold in range(3)}) == 3
    stamp = (run / "cnn" / "fold0" / "weights.safetensors").stat().st_mtime_ns
    train.main(train.Settings(run, "demo"))  # finished: nothing to do
    assert (run / "cnn" / "fold0" / "weights.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match="was trained with another seed than asked for"):
        train.main(train.Settings(run, "demo", seed=1))
    with pytest.raises(UserError, match=r"another config .* or --overwrite"):
        train.main(train.Settings(run, "demo", epochs=2))
    before = final(run, 0)
    train.main(train.Settings(run, "demo", seed=1, overwrite=True))
    assert final(run, 0) != before


def test_broken_training_stops_with_the_checkpoint_kept(run, tiny, monkeypatch):
    real = train.train_epoch

    def breaks(state, data, without, epoch, *rest):
        state, loss = real(state, data, without, epoch, *rest)
        return state, float("nan") if epoch == 2 else loss

    monkeypatch.setattr(train, "train_epoch", breaks)
    sentence = r"U-Net, fold 0: the loss of epoch 3 is nan, so .*epoch 2 is kept.* another --seed"
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run, "demo"))
    info = checkpoint.read_info(run / "cnn" / "fold0" / "checkpoint")
    assert [row["epoch"] for row in info["history"]] == [0, 1, 2]


def test_what_a_killed_run_left_of_a_finished_fold_goes(run, tiny):
    train.main(train.Settings(run, "demo", epochs=1, steps=1))
    folder = run / "cnn" / "fold0"
    whole = {path.name for path in folder.iterdir()}
    _, info = tensors.load(folder / "weights.safetensors")
    files.write_text(folder / "evidence.npy", "")
    checkpoint.save(folder / "checkpoint", 1, {"w": np.ones(1)}, info)
    files.write_text(folder / "weak" / "weights.safetensors", "")
    checkpoint.save(folder / "weak" / "checkpoint", 1, {"w": np.ones(1)}, info)
    train.main(train.Settings(run, "demo", epochs=1, steps=1))
    assert {path.name for path in folder.iterdir()} == whole | {"weak"}
    assert not list((folder / "weak").iterdir())


@pytest.mark.parametrize("which", ["params", "ema"])
@pytest.mark.parametrize("broken", [1, 3])
def test_weights_that_are_no_numbers_are_not_kept(run, tiny, monkeypatch, which, broken):
    real = train.train_epoch

    def breaks(state, data, without, epoch, *rest):
        state, loss = real(state, data, without, epoch, *rest)
        if epoch + 1 == broken:  # the loss, of the weights before the last step, is still good
            tree = getattr(state, which) | {"trust": jax.numpy.float32("nan")}
            state = state._replace(**{which: tree})
        return state, loss

    monkeypatch.setattr(train, "train_epoch", breaks)
    kept = "epoch 2 is kept" if broken == 3 else "nothing was saved"
    sentence = rf"U-Net, fold 0: the loss of epoch {broken} is [01]\..* no numbers any more.*{kept}"
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run, "demo"))
    folder = run / "cnn" / "fold0"
    assert not (folder / "weights.safetensors").exists()
    if broken == 3:
        info = checkpoint.read_info(folder / "checkpoint")
        assert [row["epoch"] for row in info["history"]] == [0, 1, 2]


def test_a_weak_training_that_breaks_says_so_and_what_helps(run, tiny, monkeypatch):
    monkeypatch.setitem(PROFILES, "demo", replace(TINY, steps=1, weak_epochs=2))
    monkeypatch.setattr(train, "train_epoch", lambda state, *rest: (state, float("inf")))
    sentence = "fold 0, weak labels too: the loss of epoch 1 is inf, .*--precision float32, or an"
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run, "demo", precision="bfloat16"))


@pytest.mark.parametrize(
    ("steps_", "epochs", "due"), [(3, 9, [4, 7]), (25, 3, [1, 2]), (5, 4, [2]), (4, 2, [])]
)
def test_a_checkpoint_is_due_after_so_many_steps_but_not_after_the_last(
    monkeypatch, steps_, epochs, due
):
    monkeypatch.setattr(train, "SPACING", 10)
    config = replace(TINY, steps=steps_, epochs=epochs)
    assert [epoch for epoch in range(1, epochs + 1) if train.is_due(epoch, config)] == due


def test_a_run_that_stops_anywhere_goes_on_to_the_same_final(run, tiny, monkeypatch, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(run, whole)
    train.main(train.Settings(whole, "demo"))
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
            train.main(train.Settings(run, "demo"))
        assert not (run / "cnn" / "settings.json").exists()
    train.main(train.Settings(run, "demo"))
    assert [calls[place - 1] for place in (2, 4, 7)] == [
        "cnn.checkpoint", "cnn.tensors", "cnn.checkpoint"
    ]  # fmt: skip
    for fold in range(3):
        assert final(run, fold) == final(whole, fold)
        curves = [r / "cnn" / f"fold{fold}" / "curves.csv" for r in (run, whole)]
        assert curves[0].read_text() == curves[1].read_text()


# --- early stopping, other starts, many devices ----------------------------------------------


@pytest.mark.parametrize(
    ("score", "best"), [([0.3, 0.5, 0.4, 0.45], 1), ([0.6, 0.5, 0.4], 0), ([0.1, 0.2, 0.2, 0.3], 3)]
)
def test_early_stopping_looks_at_a_fold_of_its_own_and_keeps_the_best_epoch(
    run, tiny, monkeypatch, score, best
):
    taught, told, averages = [], iter(score), []
    order, judge = train.training_order, train.validate

    def watched(data, without, *rest):
        taught.append(without)
        return order(data, without, *rest)

    def validate(params, data, fold, config):
        found = judge(params, data, fold, config)
        if fold == 2:
            return found
        averages.append(params)
        return found | {"score": next(told)}

    monkeypatch.setattr(train, "training_order", watched)
    monkeypatch.setattr(train, "validate", validate)
    data = batches.labelled(run, 32)
    config = replace(TINY, epochs=3, steps=2, patience=2, unet=replace(TINY.unet, evidence=False))
    identity = weights.identify(config, 0, 2, data)
    params = jax.device_get(weights.first_params(config, 0, 2, data))
    train.train_fold(run / "cnn" / "fold2", data, 2, config, identity, params)
    assert set(taught) == {(2, 0)}
    curves = pd.read_csv(run / "cnn" / "fold2" / "curves.csv")
    assert list(curves["stop_score"]) == score
    path = run / "cnn" / "fold2" / "weights.safetensors"
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
    found = steps.validate(None, batches.labelled(run, 32), 0, TINY)
    assert found == pytest.approx({"bce": 2, "soft_dice": 0.5, "dice": 0.6, "score": 1.3 / 3})


def test_no_phase_learns_from_the_fold_that_early_stopping_looks_at(run):
    data = batches.labelled(run, 32, evidence=True, weak=True)
    config = replace(TINY, weak_epochs=4, patience=2)
    trainings = train.phases(config, data)
    assert list(trainings) == ["weak", ""]
    assert {train.left_out(2, data, phase) for phase in trainings.values()} == {(2, 0)}
    assert trainings["weak"].patience >= trainings["weak"].epochs == 4


def test_early_stopping_needs_a_lesion_to_look_at(run, tiny):
    table = pd.read_parquet(run / "dataset.parquet")
    change(run, mask=[rle.EMPTY if n == 3 else code for n, code in enumerate(table["mask"])])
    with pytest.raises(UserError, match="stopping of fold 0 looks at fold 1, where no image has"):
        train.main(train.Settings(run, "demo", evidence=False, patience=1))
    assert not list(run.glob("cnn/fold*"))


def test_the_summary_tells_the_dice_of_the_weights_that_are_kept(run, tmp_path):
    data = batches.labelled(run, 32)
    for fold in range(3):  # one positive each
        curves = {"epoch": range(4), "val_dice": [0.1, 0.3 * fold, 0.8, 0.9]}
        curves |= {"stop_score": [0.0, 0.7, 0.7, 0.6]}
        files.write_csv(tmp_path / f"fold{fold}" / "curves.csv", pd.DataFrame(curves))
    said = summary(tmp_path, data, replace(TINY, patience=2))
    assert "0.100 before" in said and "0.300 in the epochs that early stopping keeps" in said
    assert "0.900 after the last epoch" in summary(tmp_path, data, TINY)


def test_early_stopping_needs_three_folds(run, tiny):
    change(run, fold=[0] * 5 + [1] * 4 + [-1] * 5)
    with pytest.raises(UserError, match="of 2 folds none is left to learn from"):
        train.main(train.Settings(run, "demo", evidence=False, patience=1))


FIXED = np.random.default_rng(0)


def write_start(folder: Path, config: TrainConfig, params: dict, **more: object) -> Path:
    """Weights of another training, as that would have left them."""
    path = folder / "weights.safetensors"
    tensors.save(path, params, {"config": asdict(config)} | more)
    return path


def test_another_network_is_a_start(run, tiny, tmp_path):
    plain = replace(TINY, unet=replace(TINY.unet, evidence=False, size=64, prior=0.1))
    params = initial_params(plain.unet, np.random.default_rng(9))
    path = write_start(tmp_path, plain, params)
    data = batches.labelled(run, 32, evidence=True)
    found = weights.first_params(TINY, 0, 0, data, path)
    assert_array_equal(found["stem"]["kernel"][:, :, :32], params["stem"]["kernel"])
    assert not found["stem"]["kernel"][:, :, 32:].any()
    assert_array_equal(
        found["down"][1][0]["conv1"]["kernel"], params["down"][1][0]["conv1"]["kernel"]
    )
    assert not found["head"]["kernel"].any() and found["trust"] == 1
    back = weights.first_params(plain, 0, 0, data, path)  # the same kind: whole
    assert_array_equal(back["head"]["kernel"], params["head"]["kernel"])
    lost = initial_params(TINY.unet, np.random.default_rng(9))
    path = write_start(tmp_path, TINY, lost)
    narrow = weights.first_params(plain, 0, 0, data, path)  # its channel of the evidence goes
    assert_array_equal(narrow["stem"]["kernel"], lost["stem"]["kernel"][:, :, :32])
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
def test_a_start_of_another_build_is_refused(run, tmp_path, change, sentence):
    # A network that is larger or looks about otherwise has arrays of the same names and shapes too.
    theirs = replace(TINY, unet=replace(TINY.unet, **change))
    path = write_start(tmp_path, theirs, initial_params(theirs.unet, np.random.default_rng(0)))
    data = batches.labelled(run, 32)
    with pytest.raises(UserError, match=f"another network than the profile's {sentence}"):
        weights.first_params(TINY, 0, 0, data, path)


def test_a_start_of_more_arrays_than_its_network_has_is_refused(run, tmp_path):
    params = initial_params(TINY.unet, np.random.default_rng(0))
    path = write_start(tmp_path, TINY, params | {"extra": np.ones(1, np.float32)})
    data = batches.labelled(run, 32)
    with pytest.raises(UserError, match=r"first difference: extra\); give the .* to --init"):
        weights.first_params(TINY, 0, 0, data, path)


@pytest.mark.parametrize(
    ("info", "sentence"),
    [
        ({}, r"another version of this program \(in their config: 'config'\); give .* to --init"),
        ({"config": {"unet": {}, "flip": True}}, r"another version .* config: 'blocks'\)"),
        (None, r"not weights of this program \(SafetensorError\); give .* to --init"),
    ],
)
def test_a_start_that_is_none_is_left_alone(run, tiny, tmp_path, info, sentence):
    path = tmp_path / "weights.safetensors"
    tensors.save(path, initial_params(TINY.unet, np.random.default_rng(0)), info or {})
    if info is None:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=sentence):
        train.main(train.Settings(run, "demo", init=str(path)))
    assert path.exists() and not list(run.glob("cnn/fold*"))


def test_what_a_start_has_learned_from_is_not_forgotten(run, tiny, tmp_path):
    """A network that began from one that began from one that knew the scored images."""
    params = initial_params(TINY.unet, np.random.default_rng(0))
    path = write_start(tmp_path, TINY, params, learned_from=weights.marks(["elsewhere", "i0"]))
    whole = pd.read_parquet(run / "dataset.parquet")
    change(run, id=[f"other{n}" for n in range(14)])
    train.main(train.Settings(run, "demo", init=str(path), evidence=False, epochs=1, steps=1))
    between = run / "cnn" / "fold1" / "weights.safetensors"
    taught = [f"other{n}" for n in (0, 1, 2, 6, 7, 8)]
    expected = weights.marks([*taught, "elsewhere", "i0"])
    assert tensors.load(between)[1]["learned_from"] == expected
    third = tmp_path / "third"
    third.mkdir()
    whole.to_parquet(third / "dataset.parquet")
    with pytest.raises(UserError, match=r"has learned from 1 images that fold 0 is scored on.*i0"):
        train.main(train.Settings(third, "demo", init=str(between), evidence=False))


def test_a_start_that_knows_the_scored_images_is_refused(run, tiny):
    train.main(train.Settings(run, "demo", epochs=1, steps=1))
    other = str(run / "cnn" / "fold{fold}" / "weights.safetensors")
    copy = run.parent / "copy"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("cnn"))
    start = other.replace("{fold}", "1")
    with pytest.raises(UserError, match=r"has learned from 3 images that fold 0 is scored on.*i0"):
        train.main(train.Settings(copy, "demo", init=start))
    train.main(train.Settings(copy, "demo", init=other, epochs=1, steps=1))
    _, info = tensors.load(copy / "cnn" / "fold1" / "weights.safetensors")
    assert info["start"] is not None


def test_a_batch_learned_in_parts_teaches_the_same(run):
    data = batches.labelled(run, 32)
    rows = np.array([0, 1, 2, 3])
    config = replace(TINY, unet=replace(TINY.unet, evidence=False))
    x, y = data.seen(rows) / np.float32(255), data.masks[rows] / np.float32(255)
    params = first_state(config).params
    found = jax.jit(steps.gradients, static_argnames=("config", "devices"))
    whole = found(params, x, y, config, 1)
    for count in (1, 2):
        parts = found(params, x, y, replace(config, accumulate=2), count)
        jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-6), whole, parts)


@pytest.mark.parametrize(("batch", "parts", "count"), [(8, 1, 2), (8, 2, 2), (7, 1, 1), (6, 6, 1)])
def test_a_processor_is_split_as_far_as_a_batch_allows(batch, parts, count):
    assert jax.device_count() == 2
    assert devices.all_devices(batch, parts).size == count


def test_the_share_of_positives_slides(run, tiny, monkeypatch):
    seen = []
    real = train.training_order

    def watched(data, without, counts, key):
        seen.append(counts.positive_share)
        return real(data, without, counts, key)

    monkeypatch.setattr(train, "training_order", watched)
    sliding = replace(TINY, steps=2, positive_shares=(0.8, 0.4))
    monkeypatch.setitem(PROFILES, "demo", sliding)
    train.main(train.Settings(run, "demo", evidence=False))
    assert_allclose(seen[-3:], [0.8, 0.6, 0.4])


def test_weak_labels_teach_first_and_the_final_training_goes_on_from_there(run, tiny, monkeypatch):
    begun, met = [], []
    real, order = train.train_fold, train.training_order

    def watched(folder, data, fold, config, identity, params):
        begun.append((folder.name, config.unet.evidence, config.epochs, config.weak_share))
        params = jax.device_get(params)
        real(folder, data, fold, config, identity, params)
        if folder.name == "weak":
            begun.append(tensors.load(folder / "weights.safetensors")[0])
        else:
            begun.append(params)

    def drawn(data, without, counts, key):
        found = order(data, without, counts, key)
        met.append((without[0], counts.weak_share, (found > 8).mean()))
        return found

    monkeypatch.setattr(train, "train_fold", watched)
    monkeypatch.setattr(train, "training_order", drawn)
    monkeypatch.setitem(PROFILES, "demo", replace(TINY, epochs=1, steps=5, weak_epochs=2))
    train.main(train.Settings(run, "demo"))
    phases = [(("weak", False, 2, 0.5), (f"fold{k}", True, 1, 0.0)) for k in range(3)]
    assert begun[::2] == [one for pair in phases for one in pair]
    assert_array_equal(begun[3]["down"][0][0]["conv1"]["kernel"], begun[1]["down.0.0.conv1.kernel"])
    assert {(k, weak, share) for k, weak, share in met} >= {
        (0, 0.5, 0.5), (1, 0.5, 0.0), (2, 0.5, 0.5), (0, 0.0, 0.0)
    }  # fmt: skip
    assert not list(run.glob("cnn/fold*/weak/*.safetensors"))
    assert len(list(run.glob("cnn/fold*/weak/curves.csv"))) == 3


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


FOUR_DEVICES = """
import sys
from dataclasses import replace
from pathlib import Path
import jax
import numpy as np
from cnn import batches, devices, train
from tests.test_cnn_train import TINY, first_state
assert jax.device_count() == 4
data = batches.labelled(Path(sys.argv[1]), 32)
config = replace(TINY, unet=replace(TINY.unet, evidence=False))
curves = []
for mesh in (devices.all_devices(4), jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",))):
    state = devices.copied(first_state(config), mesh)
    rows = np.array([3, 4, 6, 8])
    losses = []
    for _ in range(8):
        batch = devices.shared_out((data.seen(rows), data.masks[rows]), mesh)
        assert len(batch[0].sharding.device_set) == mesh.size
        state, loss = train.train_step(state, *batch, jax.random.key(0), config, mesh.size)
        losses.append(float(loss))
    curves.append(losses)
assert len(set(curves[0])) == 8
np.testing.assert_allclose(*curves, rtol=1e-5)
"""


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])} | more


def start(program: str, *arguments: Path | str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def kill(child: subprocess.Popen) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=10)  # which closes its pipe too


def wait_for(path: Path, *children: subprocess.Popen) -> None:
    while not path.exists():
        for child in children:
            assert child.poll() is None, f"ended before {path} was there: {child.communicate()[0]}"
        time.sleep(0.002)


def test_images_held_on_the_devices_teach_bit_for_bit_what_streamed_ones_do(run, tiny, monkeypatch):
    other = run.parent / "other"
    shutil.copytree(run, other)
    monkeypatch.setitem(PROFILES, "demo", replace(TINY, epochs=2, steps=5, weak_epochs=1))
    train.main(train.Settings(run, "demo"))
    # As much as the images with evidence and masks take, and their share of the memory.
    room = 11 * 32 * 32 * 3 / feeding.SHARE
    monkeypatch.setattr(feeding, "room", lambda mesh: room)
    monkeypatch.setattr(feeding, "_streamed", lambda *rest: pytest.fail("streamed"))
    train.main(train.Settings(other, "demo"))
    for fold in range(3):
        for name in ("weak/curves.csv", "curves.csv"):
            one, same = (folder / f"cnn/fold{fold}" / name for folder in (run, other))
            assert one.read_text() == same.read_text()
        assert final(run, fold) == final(other, fold)
    monkeypatch.setattr(feeding, "room", lambda mesh: room - 1)
    with pytest.raises(pytest.fail.Exception, match="streamed"):
        train.main(train.Settings(other, "demo", overwrite=True, seed=1))


def test_both_feeds_give_each_row_of_the_order_to_the_devices(run, monkeypatch):
    data = batches.labelled(run, 32, evidence=True, weak=True)
    drawn = planes.teaching(run / "seen.npy", run, 0, data.table, 32)
    data, mesh = replace(data, evidence=drawn), devices.all_devices(4)
    order = np.random.default_rng(0).integers(0, 11, (7, 4), dtype=np.int32)
    for room in (0, 1e9):
        monkeypatch.setattr(feeding, "room", lambda mesh, room=room: room)
        for evidence in (True, False):
            found = list(feeding.feed(data, evidence, mesh).batches(order))
            for rows, (seen, target) in zip(order, found, strict=True):
                assert_array_equal(seen, data.seen(rows, evidence))
                assert_array_equal(target, data.target(rows))
                assert seen.sharding.is_equivalent_to(devices.along(mesh), 4)


def test_batches_are_made_ahead_but_not_far_and_their_errors_are_heard():
    made = []

    def make(item):
        made.append(item)
        if item == 5:
            raise UserError("five")
        return item

    found = feeding.ahead(make, range(9))
    assert next(found) == 0
    assert len(made) <= 1 + feeding.AHEAD
    assert [next(found) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(UserError, match="five"):
        next(found)
    started = feeding.ahead(make, range(9))
    next(started)
    started.close()  # ends, and the thread with it
    assert not [one for one in threading.enumerate() if one.name.startswith("batches")]


def test_an_accelerator_s_memory_is_asked_for(monkeypatch):
    mesh = devices.all_devices(4)
    assert devices.room(mesh) == 0  # a processor's is the host's

    class Device(NamedTuple):
        stats: dict | None

        def memory_stats(self):
            return self.stats

    class Held(NamedTuple):
        local_devices: list

    monkeypatch.setattr(devices, "accelerated", lambda: True)
    held = [Device({"bytes_limit": 3}), Device({"bytes_limit": 2})]
    assert devices.room(Held(held)) == 2
    assert devices.room(Held([*held, Device(None)])) == 0


def test_four_devices_lose_as_one_does(run):
    flags = environment(JAX_NUM_CPU_DEVICES="4")
    command = [sys.executable, "-c", FOUR_DEVICES, str(run)]
    done = subprocess.run(command, env=flags, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


DEVICES = """
from cnn import devices
devices.split_processor()
import jax
print(jax.device_count())
devices.split_processor()
assert devices.all_devices(4).size == jax.device_count()
"""


@pytest.mark.parametrize(("asked", "count"), [(None, 2), ("1", 1)])
def test_a_processor_is_two_devices_unless_the_user_says_otherwise(asked, count):
    if parallel.cores() < 2:
        pytest.skip("one core makes one device")
    found = {key: value for key, value in environment().items() if key != "JAX_NUM_CPU_DEVICES"}
    found |= {"JAX_NUM_CPU_DEVICES": asked} if asked else {}
    command = [sys.executable, "-c", DEVICES]
    done = subprocess.run(command, env=found, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, [str(count)]), done.stderr


TWO_PROCESSES = """
import sys
from pathlib import Path
from cnn import devices, train
from tests.test_cnn_train import TINY
train.PROFILES["demo"] = TINY
train.keep_compiled = lambda folder: None
train.SPACING = 3
cluster = devices.Cluster()
if len(sys.argv) > 2:
    cluster = devices.Cluster(sys.argv[2], 2, int(sys.argv[3]))
train.main(train.Settings(Path(sys.argv[1]), "demo", epochs=2, steps=3, cluster=cluster))
"""


def address_of_none() -> str:
    """Host and port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def start_pair(run: Path) -> list[subprocess.Popen]:
    address = address_of_none()
    return [start(TWO_PROCESSES, run, address, str(number)) for number in range(2)]


def test_two_processes_train_as_one_does_though_killed(run, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(run, alone)
    pair = start_pair(run)
    wait_for(run / "cnn" / "fold1" / "checkpoint" / "1", *pair)
    for child in pair:
        kill(child)
    assert not (run / "cnn" / "settings.json").exists()
    for child in (*start_pair(run), start(TWO_PROCESSES, alone)):
        said, _ = child.communicate(timeout=300)
        assert child.returncode == 0, said
    for fold in range(3):
        name = f"cnn/fold{fold}/curves.csv"
        both, one = (pd.read_csv(folder / name) for folder in (run, alone))
        assert_allclose(both, one, rtol=1e-3, equal_nan=True)
        arrays = [
            tensors.load(folder / f"cnn/fold{fold}/weights.safetensors")[0]
            for folder in (run, alone)
        ]
        for key in arrays[0]:
            assert_allclose(arrays[0][key], arrays[1][key], atol=1e-3)


def test_processes_end_with_a_sentence_where_the_first_does(tmp_path):
    run, address = tmp_path / "run", address_of_none()
    options = ["--run", str(run), "--cluster.coordinator", address, "--cluster.processes", "2"]
    pair = [
        subprocess.Popen(
            [sys.executable, "-m", "cnn.train", *options, "--cluster.process", str(number)],
            env=environment(), stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    told = [child.communicate(timeout=120)[1] for child in pair]
    assert [child.returncode for child in pair] == [2, 2]
    assert f"error: {run}/dataset.parquet: no such file" in told[0]
    assert "error: process 0 of the cluster ended with an error, which it tells; repair" in told[1]
    assert not run.exists()


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_platform_that_is_not_there_is_said(tmp_path, platform):
    done = subprocess.run(
        [sys.executable, "-m", "cnn.predict", "--run", str(tmp_path)],
        env=environment(JAX_PLATFORMS=platform), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"error: JAX_PLATFORMS={platform}: JAX finds no such device here" in done.stderr
    assert "Traceback" not in done.stderr


CHILD = """
import sys
from pathlib import Path
from cnn import predict, train
from tests.test_cnn_train import TINY
train.PROFILES["demo"] = TINY
train.keep_compiled = predict.keep_compiled = lambda folder: None
train.SPACING = 40
train.main(train.Settings(Path(sys.argv[1]), "demo"))
predict.PART = 4
predict.main(predict.Settings(Path(sys.argv[1])))
"""


def test_killed_processes_end_with_the_weights_and_maps_of_one_never_killed(
    run, tiny, tmp_path, monkeypatch
):
    whole = tmp_path / "whole"
    shutil.copytree(run, whole)
    train.main(train.Settings(whole, "demo"))
    monkeypatch.setattr(predict, "PART", 4)
    predict.main(predict.Settings(whole))
    # Each file, once it is there, marks a moment at which the process is shot.
    for mark in ("fold0/curves.csv", "fold1/checkpoint/2", "maps/part-0001.npz"):
        child = start(CHILD, run)
        wait_for(run / "cnn" / mark, child)
        kill(child)
        assert not (run / "cnn" / "maps" / "index.csv").exists()
    said, _ = (child := start(CHILD, run)).communicate(timeout=300)
    assert child.returncode == 0, said
    for path in sorted(whole.glob("cnn/fold*/*")) + sorted(whole.glob("cnn/maps/*")):
        assert (run / path.relative_to(whole)).read_bytes() == path.read_bytes(), path.name


# --- prediction ----------------------------------------------------------------------------------


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
        known = heat.Heat(*CELLS, said, np.full(16, 0.5, np.float32))
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
    path = write_start(tmp_path, TINY, params, learned_from=weights.marks(["i12"]))
    train.main(train.Settings(run, "demo", init=str(path), evidence=False, epochs=1, steps=1))
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


def test_real_x_rays_become_squares(shared_data):
    path = sorted((shared_data / "siim-mini" / "stage_2_images").glob("*.dcm"))[0]
    square = geometry.read_square(path, 256)
    assert square.shape == (256, 256)
    assert square.std() > 20
