"""The state of a training between two epochs, kept by Orbax: a checkpoint is whole or absent.

It holds arrays (weights, their moving average, the optimiser's) and, as JSON, what they belong to
and the history so far. The order of the data and the random key are not saved: both are functions
of seed, fold, epoch and step. Processes that train as one write it together.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from features.run.files import UserError, refusal, unwritable

Tree = TypeVar("Tree")
OPTIONS = ocp.CheckpointManagerOptions(
    max_to_keep=1, cleanup_tmp_directories=True, enable_async_checkpointing=False
)


def save(folder: Path, epoch: int, tree: Any, info: Mapping[str, Any]) -> None:
    """Write a checkpoint; the one before it goes once this one is whole.

    Parameters
    ----------
    folder : Path
        Where the training's checkpoints lie, each in a folder named after its epoch.
    epoch : int
        The last epoch that is done.
    tree : pytree of arrays
        Everything that changes from step to step.
    info : mapping
        JSON content: settings, data, history.

    Raises
    ------
    UserError
        If the disk takes no more; the checkpoint before is kept.
    """
    content = ocp.args.Composite(
        arrays=ocp.args.StandardSave(tree), info=ocp.args.JsonSave(dict(info))
    )
    try:
        with ocp.CheckpointManager(folder.absolute(), options=OPTIONS) as manager:
            manager.save(epoch, args=content)
    except Exception as error:  # whichever library's
        words = refusal(error)
        if words is None:
            raise
        raise unwritable(folder, words) from error


def read_info(folder: Path) -> dict[str, Any] | None:
    """What the last checkpoint in a folder belongs to, as given to `save`; None without any.

    Each process reads for itself and does not wait for the others.

    Raises
    ------
    UserError
        If it is damaged.
    """
    if not folder.exists():
        return None
    here = jax.process_index()
    this_process_alone = ocp.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}
    )
    options = ocp.CheckpointManagerOptions(
        create=False, enable_async_checkpointing=False, multiprocessing_options=this_process_alone
    )
    with _read(folder, options) as (manager, epoch):
        if epoch is None:
            return None
        return manager.restore(epoch, args=ocp.args.Composite(info=ocp.args.JsonRestore())).info


def restore(folder: Path, template: Tree) -> Tree:
    """Read the arrays of the last checkpoint in a folder.

    Parameters
    ----------
    folder : Path
        As of `save`; there is a checkpoint in it.
    template : pytree of arrays
        Shapes and types to expect, and on which devices to put them; the checkpoint may have been
        written by another number of devices or processes.

    Raises
    ------
    UserError
        If it is damaged, or of another network.
    """

    def place(leaf: Any) -> Any:
        return leaf if isinstance(leaf, np.ndarray) else ocp.utils.to_shape_dtype_struct(leaf)

    wanted = jax.tree.map(place, template)
    with _read(folder, OPTIONS) as (manager, epoch):
        arrays = ocp.args.StandardRestore(wanted)
        restored: Tree = manager.restore(epoch, args=ocp.args.Composite(arrays=arrays)).arrays
        if jax.tree.map(_kind, restored) != jax.tree.map(_kind, template):
            raise ValueError("other shapes")  # Orbax checks the shapes of JAX's own arrays alone
        return restored


def _kind(leaf: Any) -> str:
    return f"{leaf.shape} {leaf.dtype}"


@contextmanager
def _read(
    folder: Path, options: ocp.CheckpointManagerOptions
) -> Iterator[tuple[ocp.CheckpointManager, int | None]]:
    """The manager of a folder and the epoch of its last checkpoint."""
    try:
        with ocp.CheckpointManager(folder.absolute(), options=options) as manager:
            yield manager, manager.latest_step()
    except MemoryError:
        raise
    except Exception as error:  # whatever Orbax, tensorstore or the system make of it
        raise UserError(
            f"{folder}: not a checkpoint of this program and network ({type(error).__name__}); "
            "delete it and train again."
        ) from error
