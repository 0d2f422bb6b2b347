"""Weights and checkpoints come back bit for bit, and what is damaged or of another is refused."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cnn.devices import mesh
from cnn.weights import checkpoint, tensors
from features.run.files import UserError
from tests.helpers.small_disk import small_disk
from tests.helpers.tiny_run import TINY, initial_state


def test_weights_come_back_bit_for_bit(tmp_path):
    params = initial_state(TINY).params
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
    state = initial_state(TINY)
    tree = state, jax.device_get(state.params)
    info = {"seed": 1, "history": [{"epoch": 0, "loss": None}, {"epoch": 1, "loss": 0.1}]}
    for epoch in (1, 4):
        changed = jax.tree.map(lambda leaf, by=epoch: leaf + by, tree)
        checkpoint.save(folder, epoch, changed, info)
        jax.tree.map(assert_array_equal, checkpoint.restore(folder, tree), changed)
        assert [path.name for path in folder.iterdir()] == [str(epoch)]
    assert checkpoint.read_info(folder) == info
    here = mesh.all_devices(4)
    assert here.size == 2
    restored, best = checkpoint.restore(folder, (mesh.replicated(state, here), tree[1]))
    for leaf in jax.tree.leaves(restored):  # for other devices than those that wrote it
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
