"""One code path for one device and many, in one process and many.

Each device holds the whole network and learns from a part of every batch. Where several processes
take part, all hold the images and draw the same batches, each device takes its part, and the first
process alone writes.
"""

import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from features.run import parallel
from features.run.files import UserError

Tree = TypeVar("Tree")
AXIS = "batch"


@dataclass(frozen=True)
class Cluster:
    """Several processes, on one machine or many, that train as one."""

    coordinator: str | None = None
    """host:port of the first process, the same for all; without it this process is alone. The run
    folder must be one that all processes see."""
    processes: int = 1
    """Number of processes."""
    process: int = 0
    """Number of this one, from 0."""

    def join(self) -> None:
        """Wait until all processes are there.

        Raises
        ------
        UserError
            If the numbers do not fit, or the others do not come.
        """
        if not 0 <= self.process < self.processes:
            raise UserError(
                f"--cluster.process is {self.process}, but must be from 0 to "
                f"{self.processes - 1}, one less than --cluster.processes."
            )
        if self.coordinator is None:
            if self.processes > 1:
                raise UserError("--cluster.processes: give --cluster.coordinator host:port too.")
            return
        host, _, port = self.coordinator.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 2**16):
            raise UserError(
                f"--cluster.coordinator {self.coordinator}: must be host:port, the port from 1 to "
                f"{2**16 - 1}; give the first process's, for instance 10.0.0.1:1234."
            )
        try:
            jax.distributed.initialize(self.coordinator, self.processes, self.process)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"--cluster.coordinator {self.coordinator}: {self.processes} processes did not "
                f"come together ({str(error).splitlines()[0]}); start all with the same "
                "coordinator and number."
            ) from error
        # The first word among all, which is waited for half a minute only, comes before any work.
        from_each_process(True)


def is_first_process() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def first_process_first(work: Callable[[], Tree]) -> Tree:
    """Do what leaves files behind: the first process before all others, who then find them.

    Returns
    -------
    What `work` returns, in every process.

    Raises
    ------
    UserError
        If another process failed at it; the one that did raises what `work` raised.
    """
    found: list[Tree] = []
    for turn in (True, False):
        fault = None
        try:
            if is_first_process() == turn:
                found.append(work())
        except Exception as error:  # whatever it is, the others must not wait
            fault = error
        failed = from_each_process(fault is not None)
        if fault is not None:
            raise fault
        if any(failed):
            raise UserError(
                f"process {failed.index(True)} of the cluster ended with an error, which it tells; "
                "repair that and start all processes again."
            )
    return found[0]


def from_each_process(value: bool) -> list[bool]:
    """What each process says, in every process."""
    return multihost_utils.process_allgather(np.array(value)).tolist()


def accelerated() -> bool:
    """Whether the network runs on something else than processors.

    Raises
    ------
    UserError
        If JAX finds no device of the kind that it is told to use.
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
    found = [device.memory_stats() or {} for device in mesh.local_devices]
    return min(stats.get("bytes_limit", 0) for stats in found)


def split_processor() -> None:
    """Let JAX see a processor of several cores as two devices; call it before anything computes.

    One device runs many of the network's small steps on one core; of two, each takes a half of
    every batch. More than two spend on exchanging gradients what they gain. What the user sets for
    JAX counts.
    """
    chosen = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    free = jax.config.jax_num_cpu_devices < 1  # type: ignore[attr-defined]
    if parallel.cores() > 1 and free and not chosen:
        with suppress(RuntimeError):  # JAX has computed already, and keeps its devices
            jax.config.update("jax_num_cpu_devices", 2)


def require_device(accelerator: bool) -> None:
    """Make sure that JAX has a device, and an accelerator, if one is asked for.

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

    Of one process's parts of a processor, no more than can share a batch evenly.

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
