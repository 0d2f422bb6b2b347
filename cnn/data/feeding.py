"""How a training's batches reach the devices, either way without a device waiting for the host.

Where all images fit beside the network in each device's memory, they are put there once, and a
compiled gather takes each batch from them. Else, and on processors, whose memory is the host's, a
thread makes the next batches while the devices work on one. The step itself is the same compiled
program, so what is learned does not depend on the way.
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

from cnn.data.batches import TrainingImages
from cnn.devices.mesh import batch_sharding, replicated, from_each_process, device_memory, sharded

# Share of a device's memory for the images; the rest is the network's, most of it while it learns.
SHARE = 0.5
# Batches that wait ready where they stream.
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
    data : Labelled
    evidence : bool
        Whether the network sees the evidence.
    mesh : Mesh
    """
    planes = 1 + (evidence and data.evidence is not None)
    size = data.images.size * planes + data.masks.size
    if not all(from_each_process(size <= SHARE * device_memory(mesh))):
        return Feed(mesh, partial(_streamed, data, evidence, mesh))
    every = np.arange(len(data.ids))
    held = replicated((data.seen(every, evidence), data.target(every)), mesh)
    return Feed(mesh, partial(_gathered, held, mesh))


def _gathered(held: Batch, mesh: Mesh, order: NDArray[np.int32]) -> Iterator[Batch]:
    gather = jax.jit(_take, out_shardings=batch_sharding(mesh))
    for rows in order:
        yield gather(held, replicated(rows, mesh))


def _take(held: Batch, rows: Int[Array, " n"]) -> Batch:
    return jax.tree.map(lambda array: jnp.take(array, rows, axis=0, mode="clip"), held)


def _streamed(
    data: TrainingImages, evidence: bool, mesh: Mesh, order: NDArray[np.int32]
) -> Iterator[Batch]:
    def made(rows: NDArray[np.int32]) -> Batch:
        return sharded((data.seen(rows, evidence), data.target(rows)), mesh)

    return ahead(made, order)


def ahead(
    made: Callable[[NDArray[np.int32]], Batch], items: Iterable[NDArray[np.int32]]
) -> Iterator[Batch]:
    """Yield what is made of each item, the next few by a thread beforehand."""
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1, "batches") as thread:
        for item in items:
            waiting.append(thread.submit(made, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
