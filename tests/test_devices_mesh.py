"""One training on one device, on several and in several processes, killed or not: the same."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cnn.data import batches, feeding, planes
from cnn.devices import mesh as devices
from cnn.network.config import PROFILES
from cnn.prediction import predict
from cnn.training import steps, train
from cnn.weights import tensors
from features.run import parallel
from features.run.files import UserError
from tests.helpers.tiny_run import TINY, final, first_state


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


def test_a_batch_learned_in_parts_takes_the_memory_of_a_part(run):
    config = replace(TINY, unet=replace(TINY.unet, size=64, evidence=False))
    params = first_state(config).params
    learn = jax.jit(steps.gradients, static_argnames=("config", "devices"))

    def held(images: int, parts: int) -> int:
        shapes = [jax.ShapeDtypeStruct((images, 64, 64, *c), np.float32) for c in ((1,), ())]
        cut = replace(config, accumulate=parts)
        return learn.lower(params, *shapes, cut, 1).compile().memory_analysis().temp_size_in_bytes

    # The images themselves are cut into parts too.
    assert held(16, 8) < 2 * held(2, 1) < held(16, 1) / 2


@pytest.mark.parametrize(("batch", "parts", "count"), [(8, 1, 2), (8, 2, 2), (7, 1, 1), (6, 6, 1)])
def test_a_processor_is_split_as_far_as_a_batch_allows(batch, parts, count):
    assert jax.device_count() == 2
    assert devices.all_devices(batch, parts).size == count


FOUR_DEVICES = """
import sys
from dataclasses import replace
from pathlib import Path
import jax
import numpy as np
from cnn import batches, devices, learning
from tests.helpers.tiny_run import TINY, first_state
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
        state, loss = learning.train_step(state, *batch, jax.random.key(0), config, mesh.size)
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
    monkeypatch.setitem(
        PROFILES, "demo", replace(TINY, epochs=2, steps=5, first_epochs=1, weak_share=0.5)
    )
    train.main(train.Settings(run, "demo"))
    # As much as the images with evidence and masks take, and their share of the memory.
    room = 11 * 32 * 32 * 3 / feeding.SHARE
    monkeypatch.setattr(feeding, "room", lambda mesh: room)
    monkeypatch.setattr(feeding, "_streamed", lambda *rest: pytest.fail("streamed"))
    train.main(train.Settings(other, "demo"))
    for fold in range(3):
        for name in ("first/curves.csv", "curves.csv"):
            one, same = (folder / f"cnn/fold{fold}" / name for folder in (run, other))
            assert one.read_text() == same.read_text()
        assert final(run, fold) == final(other, fold)
    monkeypatch.setattr(feeding, "room", lambda mesh: room - 1)
    with pytest.raises(pytest.fail.Exception, match="streamed"):
        train.main(train.Settings(other, "demo", overwrite=True, seed=1))


def test_both_feeds_give_each_row_of_the_order_to_the_devices(run, monkeypatch):
    data = batches.labelled(run, 32, evidence=True, weak=True)
    drawn = planes.write(run / "seen.npy", run, 0, data.table, 32)
    data, mesh = replace(data, evidence=drawn), devices.all_devices(4)
    order = np.random.default_rng(0).integers(0, 11, (7, 4), dtype=np.int32)
    for room in (0, 1e9):
        monkeypatch.setattr(feeding, "room", lambda mesh, room=room: room)
        for evidence in (True, False):
            found = list(feeding.feed(data, evidence, mesh).batches(order))
            for rows, (seen, target) in zip(order, found, strict=True):
                assert_array_equal(seen, data.seen(rows, evidence))
                assert_array_equal(target, data.target(rows))
                assert seen.sharding.is_equivalent_to(devices.batch_sharding(mesh), 4)


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
    assert devices.device_memory(mesh) == 0  # a processor's is the host's

    class Device(NamedTuple):
        stats: dict | None

        def memory_stats(self):
            return self.stats

    class Held(NamedTuple):
        local_devices: list

    monkeypatch.setattr(devices, "accelerated", lambda: True)
    held = [Device({"bytes_limit": 3}), Device({"bytes_limit": 2})]
    assert devices.device_memory(Held(held)) == 2
    assert devices.device_memory(Held([*held, Device(None)])) == 0


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
from cnn import devices, learning, train
from tests.helpers.tiny_run import TINY
train.PROFILES["demo"] = TINY
train.keep_compiled = lambda folder: None
learning.SPACING = 3
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
            [sys.executable, "-m", "cnn.training.train", *options, "--cluster.process", str(number)],
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
        [sys.executable, "-m", "cnn.prediction.predict", "--run", str(tmp_path)],
        env=environment(JAX_PLATFORMS=platform), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"error: JAX_PLATFORMS={platform}: JAX finds no such device here" in done.stderr
    assert "Traceback" not in done.stderr


CHILD = """
import sys
from pathlib import Path
from cnn import learning, predict, train
from tests.helpers.tiny_run import TINY
train.PROFILES["demo"] = TINY
train.keep_compiled = predict.keep_compiled = lambda folder: None
learning.SPACING = 40
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
