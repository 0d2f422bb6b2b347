"""Final weights and what they belong to, together in one safetensors file: whole or absent.

Nothing in such a file is code, unlike in a pickle, and any library reads it. Its metadata holds, as
JSON, the configuration and the training set.
"""

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
    with atomic(path) as temporary:
        save_file(arrays, temporary, {"info": json.dumps(info, allow_nan=False)})


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
        If the file is not whole or not of this format.
    """
    try:
        with safe_open(path, "np") as file:
            info = dict(json.loads(file.metadata()["info"]))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not weights of this program ({type(error).__name__}); {repair}."
        ) from error
    return arrays, info


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
