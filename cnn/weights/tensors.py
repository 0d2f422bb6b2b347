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

# The shipped network was written before weights had a digest in their file; this is its own.
WITHOUT_DIGEST = frozenset({"77796f6c06e2f4570e02a6d7f3621892f8d8b1ad4fed1cb069e143b27bef80bc"})


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
    metadata = {"info": json.dumps(info, allow_nan=False)}
    metadata["digest"] = _digest(arrays, metadata["info"])
    with atomic(path) as temporary:
        save_file(arrays, temporary, metadata)


def _digest(arrays: Mapping[str, NDArray[Any]], info: str) -> str:
    """SHA-256 of the weights with their names, shapes and types, and of what they belong to."""
    digest = hashlib.sha256(info.encode())
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
    """
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata()
            info = dict(json.loads(metadata["info"]))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _check(arrays, metadata)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = error if isinstance(error, _Damaged) else type(error).__name__
        raise UserError(f"{path}: not weights of this program ({reason}); {repair}.") from error
    return arrays, info


class _Damaged(ValueError):
    """Weights that are not those that were written, and why."""


def _check(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    digest = _digest(arrays, metadata["info"])
    if metadata.get("digest", digest if digest in WITHOUT_DIGEST else None) != digest:
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
    leaves = [jax.numpy.asarray(arrays[name]) for name, _ in named]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _named(tree: Any) -> list[tuple[str, Any]]:
    """Leaves of a tree with their paths as names."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]
