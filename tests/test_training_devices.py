"""One training on one device, on several and in several processes, killed or not: the same."""

import shutil
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from cnn.data import feeding, training_images
from cnn.network.config import PROFILES
from cnn.prediction import predict
from cnn.training import steps, train
from cnn.weights import tensors
from features.run.folder import RunFolder
from tests.helpers.processes import environment, free_address, kill, start, wait_for
from tests.helpers.tiny_run import TINY, initial_state, weights_bytes


def test_a_batch_learned_in_parts_gives_the_same_gradient(run):
    data = training_images.read(run, 32)
    rows = np.array([0, 1, 2, 3])
    config = replace(TINY, unet=replace(TINY.unet, evidence=False))
    x, y = data.inputs(rows) / np.float32(255), data.masks[rows] / np.float32(255)
    params = initial_state(config).params
    gradients = jax.jit(steps.gradients, static_argnames=("config", "devices"))
    whole = gradients(params, x, y, config, 1)
    for count in (1, 2):
        parts = gradients(params, x, y, replace(config, accumulate=2), count)
        jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-6), whole, parts)


def test_a_batch_learned_in_parts_takes_the_memory_of_a_part(run):
    config = replace(TINY, unet=replace(TINY.unet, size=64, evidence=False))
    params = initial_state(config).params
    learn = jax.jit(steps.gradients, static_argnames=("config", "devices"))

    def held(images: int, parts: int) -> int:
        shapes = [jax.ShapeDtypeStruct((images, 64, 64, *c), np.float32) for c in ((1,), ())]
        cut = replace(config, accumulate=parts)
        return learn.lower(params, *shapes, cut, 1).compile().memory_analysis().temp_size_in_bytes

    # The images themselves are cut into parts too.
    assert held(16, 8) < 2 * held(2, 1) < held(16, 1) / 2


def test_images_held_on_the_devices_lead_to_the_same_weights_as_streamed_ones(
    run, tiny, monkeypatch
):
    other = RunFolder(run.root.parent / "other")
    shutil.copytree(run.root, other.root)
    monkeypatch.setitem(
        PROFILES, "demo", replace(TINY, epochs=2, steps=5, first_epochs=1, weak_share=0.5)
    )
    train.main(train.Settings(run.root, "demo"))
    # As much as the images with evidence and masks take, and their share of the memory.
    memory = 11 * 32 * 32 * 3 / feeding.SHARE
    monkeypatch.setattr(feeding, "device_memory", lambda mesh: memory)
    monkeypatch.setattr(feeding, "streamed", lambda *rest: pytest.fail("streamed"))
    train.main(train.Settings(other.root, "demo"))
    for fold in range(3):
        streamed, held = run.unet_fold(fold), other.unet_fold(fold)
        for run_files, other_files in ((streamed.first, held.first), (streamed, held)):
            assert run_files.history.path.read_text() == other_files.history.path.read_text()
        assert weights_bytes(run, fold) == weights_bytes(other, fold)
    monkeypatch.setattr(feeding, "device_memory", lambda mesh: memory - 1)
    with pytest.raises(pytest.fail.Exception, match="streamed"):
        train.main(train.Settings(other.root, "demo", overwrite=True, seed=1))


FOUR_DEVICES = """
import sys
from dataclasses import replace
from pathlib import Path
import jax
import numpy as np
from cnn.data import training_images
from cnn.devices.mesh import all_devices, replicated, sharded
from cnn.training.steps import train_step
from features.run.folder import RunFolder
from tests.helpers.tiny_run import TINY, initial_state
assert jax.device_count() == 4
data = training_images.read(RunFolder(Path(sys.argv[1])), 32)
config = replace(TINY, unet=replace(TINY.unet, evidence=False))
curves = []
for mesh in (all_devices(4), jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",))):
    state = replicated(initial_state(config), mesh)
    rows = np.array([3, 4, 6, 8])
    losses = []
    for _ in range(8):
        batch = sharded((data.inputs(rows), data.masks[rows]), mesh)
        assert len(batch[0].sharding.device_set) == mesh.size
        state, loss = train_step(state, *batch, jax.random.key(0), config, mesh.size)
        losses.append(float(loss))
    curves.append(losses)
assert len(set(curves[0])) == 8
np.testing.assert_allclose(*curves, rtol=1e-5)
"""


def test_four_devices_have_the_losses_of_one(run):
    flags = environment(JAX_NUM_CPU_DEVICES="4")
    command = [sys.executable, "-c", FOUR_DEVICES, str(run.root)]
    done = subprocess.run(command, env=flags, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


TWO_PROCESSES = """
import sys
from pathlib import Path
from cnn.devices.cluster import Cluster
from cnn.network.config import PROFILES
from cnn.training import train, train_fold
from tests.helpers.tiny_run import TINY
PROFILES["demo"] = TINY
train.keep_compiled = lambda folder: None
train_fold.SPACING = 3
cluster = Cluster()
if len(sys.argv) > 2:
    cluster = Cluster(sys.argv[2], 2, int(sys.argv[3]))
train.main(train.Settings(Path(sys.argv[1]), "demo", epochs=2, steps=3, cluster=cluster))
"""


def start_pair(run: RunFolder) -> list[subprocess.Popen]:
    address = free_address()
    return [start(TWO_PROCESSES, run.root, address, str(number)) for number in range(2)]


def test_two_processes_train_as_one_does_though_killed(run, tmp_path):
    alone = RunFolder(tmp_path / "alone")
    shutil.copytree(run.root, alone.root)
    pair = start_pair(run)
    wait_for(run.unet_fold(1).checkpoint / "1", *pair)
    for child in pair:
        kill(child)
    assert not (run.unet_settings).exists()
    for child in (*start_pair(run), start(TWO_PROCESSES, alone.root)):
        output, _ = child.communicate(timeout=300)
        assert child.returncode == 0, output
    for fold in range(3):
        folders = run.unet_fold(fold), alone.unet_fold(fold)
        of_two, of_one = (folder.history.read() for folder in folders)
        assert_allclose(of_two, of_one, rtol=1e-3, equal_nan=True)
        arrays = [tensors.load(folder.weights)[0] for folder in folders]
        for key in arrays[0]:
            assert_allclose(arrays[0][key], arrays[1][key], atol=1e-3)


def test_processes_end_with_a_sentence_where_the_first_does(tmp_path):
    run, address = RunFolder(tmp_path / "run"), free_address()
    run.create()
    options = ["--run", str(run.root), "--cluster.coordinator", address, "--cluster.processes", "2"]
    pair = [
        subprocess.Popen(
            [sys.executable, "-m", "cnn.training.train", *options, "--cluster.process", number],
            env=environment(), stderr=subprocess.PIPE, text=True,
        )
        for number in "01"
    ]  # fmt: skip
    errors = [child.communicate(timeout=120)[1] for child in pair]
    assert [child.returncode for child in pair] == [2, 2]
    assert f"error: {run.root}/dataset.parquet: no such file" in errors[0]
    assert "error: process 0 of the cluster ended with an error, which it prints;" in errors[1]
    assert not run.unet.exists()


CHILD = """
import sys
from pathlib import Path
from cnn.prediction import predict
from cnn.network.config import PROFILES
from cnn.training import train, train_fold
from tests.helpers.tiny_run import TINY
PROFILES["demo"] = TINY
train.keep_compiled = predict.keep_compiled = lambda folder: None
train_fold.SPACING = 40
train.main(train.Settings(Path(sys.argv[1]), "demo"))
predict.PART = 4
predict.main(predict.Settings(Path(sys.argv[1])))
"""


def test_killed_processes_end_with_the_weights_and_maps_of_one_never_killed(
    run, tiny, tmp_path, monkeypatch
):
    whole = RunFolder(tmp_path / "whole")
    shutil.copytree(run.root, whole.root)
    train.main(train.Settings(whole.root, "demo"))
    monkeypatch.setattr(predict, "PART", 4)
    predict.main(predict.Settings(whole.root))
    # Each file, once it is there, marks a moment at which the process is shot.
    for mark in ("fold0/curves.csv", "fold1/checkpoint/2", "maps/part-0001.npz"):
        child = start(CHILD, run.root)
        wait_for(run.unet / mark, child)
        kill(child)
        assert not run.maps.exists()
    output, _ = (child := start(CHILD, run.root)).communicate(timeout=300)
    assert child.returncode == 0, output
    for path in sorted(whole.unet.glob("fold*/*")) + sorted(whole.unet.glob("maps/*")):
        assert (run.unet / path.relative_to(whole.unet)).read_bytes() == path.read_bytes(), (
            path.name
        )
