"""Final weights and what they belong to, together in one safetensors file: whole or absent.

Nothing in such a file is code, unlike in a pickle, and any library reads it. Its metadata holds, as
JSON, the configuration and the training set.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from features.run.files import UserError, atomic

Tree = TypeVar("Tree")

# Under this name the digest stands beside what weights belong to.
DIGEST = "digest"
# The shipped network was written before weights had a digest in their file; this is its own.
WITHOUT_DIGEST = frozenset({"e75080d84a2c185b8ffb7c37b6f710dad6cde9b44b6bd9df29203eebb72f1c33"})


def save(path: Path, tree: Any, info: Mapping[str, Any]) -> None:
    """Write the arrays of a tree with what they belong to, whole or not at all.

    Parameters
    ----------
    path : Path
        The file, `.safetensors` by custom.
    tree : pytree of arrays
        The weights.
    info : mapping
        JSON content: configuration, training set.
    """
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in _named(tree)}
    noted = dict(info) | {DIGEST: _digest(arrays, info)}
    with atomic(path) as temporary:
        # One entry alone: safetensors writes several in any order.
        save_file(arrays, temporary, {"info": json.dumps(noted, allow_nan=False)})


def _digest(arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> str:
    """SHA-256 of the weights with their names, shapes and types, and of what they belong to."""
    digest = hashlib.sha256(json.dumps(info, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def load(
    path: Path, repair: str = "delete it and train again"
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a file of `save`.

    Parameters
    ----------
    path : Path
    repair : str
        What to do about a bad file, for the sentence.

    Returns
    -------
    arrays : dict of arrays by name
    info : dict
        As given to `save`.

    Raises
    ------
    UserError
        If the file is not whole, not of this format, or holds a weight that is no number.
    OSError
        If it may not be read.
    """
    if path.is_file():
        path.open("rb").close()  # a file that may not be read is no damaged one
    try:
        with safe_open(path, "np") as file:
            info = dict(json.loads(file.metadata()["info"]))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _check(arrays, info)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = error if isinstance(error, _Damaged) else type(error).__name__
        raise UserError(f"{path}: not weights of this program ({reason}); {repair}.") from error
    return arrays, info


class _Damaged(ValueError):
    """Weights that are not those that were written, and why."""


def _check(arrays: Mapping[str, NDArray[Any]], info: dict[str, Any]) -> None:
    """Refuse weights that are not as they were written; the digest goes out of `info`."""
    noted = info.pop(DIGEST, None)
    digest = _digest(arrays, info)
    if noted != digest and not (noted is None and digest in WITHOUT_DIGEST):
        raise _Damaged("their digest is not the one that was written with them")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise _Damaged(f"a weight of {name} is no finite number")


def restore(
    template: Tree,
    arrays: Mapping[str, NDArray[Any]],
    path: Path,
    repair: str = "give the settings it was trained with, or delete it",
) -> Tree:
    """Put loaded arrays into the places of `template`, which gives names, shapes and types.

    Parameters
    ----------
    template : pytree of arrays
    arrays : mapping
        Arrays by name, as of `load`.
    path : Path
        Their file, for the sentence.
    repair : str
        What to do about other arrays, for the sentence.

    Raises
    ------
    UserError
        If names, shapes or types differ.
    """
    named = _named(template)
    wanted = {name: (tuple(leaf.shape), np.dtype(leaf.dtype)) for name, leaf in named}
    loaded = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if wanted != loaded:
        different = [
            name for name in sorted(wanted | loaded) if wanted.get(name) != loaded.get(name)
        ]
        raise UserError(
            f"{path}: holds another network than the settings describe (first difference: "
            f"{different[0]}); {repair}."
        )
    leaves = jax.device_put([arrays[name] for name, _ in named])
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _named(tree: Any) -> list[tuple[str, Any]]:
    """Leaves of a tree with their paths as names."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]
