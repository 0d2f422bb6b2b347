"""One code path for one device and many, in one process and many.

Each device holds the whole network and learns from a part of every batch. Where several processes
train as one (`cnn.devices.cluster`), their devices form one row.
"""

import math
import os
from contextlib import suppress
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from features.run import parallel
from features.run.files import UserError

Tree = TypeVar("Tree")
AXIS = "batch"


def accelerated() -> bool:
    """Whether the network runs on something else than processors.

    Raises
    ------
    UserError
        If JAX finds no device of the kind that JAX_PLATFORMS names.
    """
    try:
        return jax.default_backend() != "cpu"
    except (RuntimeError, AssertionError) as error:  # of a platform unknown, and of one missing
        raise UserError(
            f"JAX_PLATFORMS={jax.config.jax_platforms}: JAX finds no such device here; install "  # type: ignore[attr-defined]
            "its GPU support (make env CUDA=1) and check the driver (nvidia-smi), or unset the "
            "variable."
        ) from error


def device_memory(mesh: Mesh) -> int:
    """Bytes that JAX may use of the smallest device's memory; processors have none of their own."""
    if not accelerated():
        return 0
    statistics = [device.memory_stats() or {} for device in mesh.local_devices]
    return min(of_device.get("bytes_limit", 0) for of_device in statistics)


def split_processor() -> None:
    """Let JAX see a processor of several cores as two devices; call it before anything computes.

    One device runs many of the network's small steps on one core; of two, each takes a half of
    every batch. More than two lose as much by exchanging gradients as they gain. What the user
    sets for JAX is left as it is.
    """
    set_by_user = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    unset = jax.config.jax_num_cpu_devices < 1  # type: ignore[attr-defined]
    if parallel.cores() > 1 and unset and not set_by_user:
        with suppress(RuntimeError):  # JAX has computed already, and keeps its devices
            jax.config.update("jax_num_cpu_devices", 2)


def require_device(accelerator: bool) -> None:
    """Make sure that JAX has a device, and an accelerator, if one is demanded.

    Raises
    ------
    UserError
        If there is none.
    """
    if not accelerated() and accelerator:
        raise UserError(
            "--accelerator: JAX sees processors only; install its GPU support (make env CUDA=1) "
            "and check the driver (nvidia-smi), or leave the option out."
        )


def all_devices(batch: int, parts: int = 1) -> Mesh:
    """All devices as one row, along which batches are cut.

    Of a processor that one process has split, only as many parts as can share a batch evenly.

    Parameters
    ----------
    batch : int
        Images a batch.
    parts : int
        Parts into which each device cuts its share again.

    Raises
    ------
    UserError
        If a batch cannot be cut into equal parts.
    """
    count = jax.device_count()
    if jax.process_count() == 1 and not accelerated() and batch % parts == 0:
        count = math.gcd(count, batch // parts)
    if batch % (count * parts):
        raise UserError(
            f"a batch of {batch} images cannot be shared evenly among {count} devices in {parts} "
            "parts each; give another --batch or --accumulate, or make fewer devices visible "
            "(CUDA_VISIBLE_DEVICES, or JAX_NUM_CPU_DEVICES for processors)."
        )
    return Mesh(np.array(jax.devices()[:count]), (AXIS,))


def replicated(tree: Tree, mesh: Mesh) -> Tree:
    """The arrays of a tree, whole on each device."""
    return _placed(tree, NamedSharding(mesh, PartitionSpec()))


def sharded(tree: Tree, mesh: Mesh) -> Tree:
    """The arrays of a tree, cut along their first axis, a part on each device."""
    return _placed(tree, batch_sharding(mesh))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Arrays cut along their first axis, a part on each device."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def _placed(tree: Tree, sharding: NamedSharding) -> Tree:
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def place(leaf: jax.Array) -> jax.Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(place, tree)
