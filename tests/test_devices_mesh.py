"""Which devices a training gets: a split processor, an accelerator's memory, a missing platform."""

import subprocess
import sys
from typing import NamedTuple

import jax
import pytest

from cnn.devices import mesh
from features.run import parallel
from tests.helpers.processes import environment


@pytest.mark.parametrize(("batch", "parts", "count"), [(8, 1, 2), (8, 2, 2), (7, 1, 1), (6, 6, 1)])
def test_a_processor_is_split_as_far_as_a_batch_allows(batch, parts, count):
    assert jax.device_count() == 2
    assert mesh.all_devices(batch, parts).size == count


def test_the_memory_of_the_smallest_device_counts(monkeypatch):
    assert mesh.device_memory(mesh.all_devices(4)) == 0  # a processor's is the host's

    class Device(NamedTuple):
        stats: dict | None

        def memory_stats(self):
            return self.stats

    class Devices(NamedTuple):
        local_devices: list

    monkeypatch.setattr(mesh, "accelerated", lambda: True)
    pair = [Device({"bytes_limit": 3}), Device({"bytes_limit": 2})]
    assert mesh.device_memory(Devices(pair)) == 2
    assert mesh.device_memory(Devices([*pair, Device(None)])) == 0


DEVICES = """
from cnn.devices import mesh
mesh.split_processor()
import jax
print(jax.device_count())
mesh.split_processor()
assert mesh.all_devices(4).size == jax.device_count()
"""


@pytest.mark.parametrize(("set_by_user", "count"), [(None, 2), ("1", 1)])
def test_a_processor_is_two_devices_unless_the_user_says_otherwise(set_by_user, count):
    if parallel.cores() < 2:
        pytest.skip("one core makes one device")
    variables = {key: value for key, value in environment().items() if key != "JAX_NUM_CPU_DEVICES"}
    variables |= {"JAX_NUM_CPU_DEVICES": set_by_user} if set_by_user else {}
    command = [sys.executable, "-c", DEVICES]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, [str(count)]), done.stderr


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_missing_platform_ends_with_a_sentence(run, platform):
    done = subprocess.run(
        [sys.executable, "-m", "cnn.prediction.predict", "--run", str(run.root)],
        env=environment(JAX_PLATFORMS=platform), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"error: JAX_PLATFORMS={platform}: JAX finds no such device here" in done.stderr
    assert "Traceback" not in done.stderr
