"""How a training's batches reach the devices, in one of two ways; no device waits for the host.

Where all images fit beside the network in each device's memory, they are put there once, and a
compiled gather takes each batch from them. Otherwise, and on processors (their memory is the
host's), a thread makes the next batches while the devices work on one. The step itself is the same
compiled program, so both ways lead to the same weights.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import Array, Int
from numpy.typing import NDArray

from cnn.data.training_images import TrainingImages
from cnn.devices.cluster import from_each_process
from cnn.devices.mesh import batch_sharding, device_memory, replicated, sharded

# Share of a device's memory for the images; the rest is for the network and its training.
SHARE = 0.5
# Batches that a thread makes beforehand.
AHEAD = 2

# What the network sees of some images, (n, h, w, c), and what it should draw, (n, h, w), as bytes.
Batch = tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True)
class Feed:
    """Where a training takes its batches from.

    Parameters
    ----------
    mesh : Mesh
        The devices that share them.
    batches : callable
        Yields what the network sees and what it should draw, for each row of a (steps, batch)
        array of positions.
    """

    mesh: Mesh
    batches: Callable[[NDArray[np.int32]], Iterator[Batch]]


def feed(data: TrainingImages, evidence: bool, mesh: Mesh) -> Feed:
    """Put all images on the devices if they fit there, else prepare to stream them.

    Parameters
    ----------
    data : TrainingImages
    evidence : bool
        Whether the network sees the evidence.
    mesh : Mesh
    """
    planes = 1 + (evidence and data.evidence is not None)
    size = data.images.size * planes + data.masks.size
    fits = all(from_each_process(size <= SHARE * device_memory(mesh)))
    return (on_devices if fits else streamed)(data, evidence, mesh)


def on_devices(data: TrainingImages, evidence: bool, mesh: Mesh) -> Feed:
    """Put all images on the devices; see `feed`."""
    rows = np.arange(len(data.ids))
    whole = replicated((data.inputs(rows, evidence), data.masks[rows]), mesh)
    gather = jax.jit(_take, out_shardings=batch_sharding(mesh))

    def batches(order: NDArray[np.int32]) -> Iterator[Batch]:
        for batch in order:
            yield gather(whole, replicated(batch, mesh))

    return Feed(mesh, batches)


def streamed(data: TrainingImages, evidence: bool, mesh: Mesh) -> Feed:
    """Prepare to send each batch to the devices while they work on the one before; see `feed`."""

    def make(rows: NDArray[np.int32]) -> Batch:
        return sharded((data.inputs(rows, evidence), data.masks[rows]), mesh)

    return Feed(mesh, partial(ahead, make))


def _take(whole: Batch, rows: Int[Array, " n"]) -> Batch:
    return jax.tree.map(lambda array: jnp.take(array, rows, axis=0, mode="clip"), whole)


def ahead(
    make: Callable[[NDArray[np.int32]], Batch], items: Iterable[NDArray[np.int32]]
) -> Iterator[Batch]:
    """Yield what `make` returns for each item; a thread makes the next few beforehand."""
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1, "batches") as thread:
        for item in items:
            waiting.append(thread.submit(make, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
