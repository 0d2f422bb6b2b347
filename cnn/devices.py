"""One code path for one device and many: each holds the whole network and a part of every batch."""

from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from features.files import UserError

Tree = TypeVar("Tree")
AXIS = "batch"


def all_devices(batch: int) -> Mesh:
    """All devices as one row, along which batches are cut.

    Raises
    ------
    UserError
        If a batch of `batch` images cannot be cut into equal parts.
    """
    count = jax.device_count()
    if batch % count:
        raise UserError(
            f"{count} devices: a batch of {batch} images cannot be shared evenly among them; make "
            "fewer visible (CUDA_VISIBLE_DEVICES) or take a profile with another batch."
        )
    return Mesh(np.array(jax.devices()), (AXIS,))


def copied(tree: Tree, mesh: Mesh) -> Tree:
    """The arrays of a tree, whole on each device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shared_out(tree: Tree, mesh: Mesh) -> Tree:
    """The arrays of a tree, cut along their first axis, a part on each device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(AXIS)))
