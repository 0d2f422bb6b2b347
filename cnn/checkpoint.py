"""Arrays and what they belong to, together in one file that is whole or absent.

The format is safetensors (https://github.com/huggingface/safetensors): eight bytes with the length
of a JSON header, the header (name, type, shape and place of every array, and free text), the raw
little-endian numbers. Nothing in it is code, unlike in a pickle, and the safetensors library reads
it too. The free text holds the configuration, the epoch and the history.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from numpy.typing import NDArray

from features.files import UserError, atomic

Tree = TypeVar("Tree")

_TYPES = {"F32": np.float32, "I32": np.int32, "U32": np.uint32, "U8": np.uint8, "I64": np.int64}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}


def save(path: Path, tree: Any, info: Mapping[str, Any]) -> None:
    """Write the arrays of a tree with what they belong to, whole or not at all.

    Parameters
    ----------
    path : Path
        The file, `.safetensors` by custom.
    tree : pytree of arrays
        Weights, optimiser state ...; float32, int32, uint32, int64 or uint8.
    info : mapping
        JSON content: configuration, epoch, history.
    """
    header: dict[str, Any] = {"__metadata__": {"info": json.dumps(info, allow_nan=False)}}
    arrays = [(name, np.asarray(leaf)) for name, leaf in _named(tree)]
    end = 0
    for name, array in arrays:
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of eight bytes
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, array in arrays:
            file.write(np.ascontiguousarray(array).tobytes())


def load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a file of `save`.

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
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        info = json.loads(header.pop("__metadata__")["info"])
        body = memoryview(content)[8 + length :]
        arrays = {name: _array(body, entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not a checkpoint of this program ({type(error).__name__}); delete it and "
            "train again."
        ) from error
    return arrays, info


def restore(template: Tree, arrays: Mapping[str, NDArray[Any]], path: Path) -> Tree:
    """Put loaded arrays into the places of `template`, which gives names, shapes and types.

    Raises
    ------
    UserError
        If names, shapes or types differ.
    """
    named = _named(template)
    wanted = {name: (tuple(leaf.shape), np.dtype(leaf.dtype)) for name, leaf in named}
    held = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if wanted != held:
        odd = sorted(name for name in wanted | held if wanted.get(name) != held.get(name))
        raise UserError(
            f"{path}: holds another network than the settings describe (first difference: "
            f"{odd[0]}); give the settings it was trained with, or delete it."
        )
    leaves = [jax.numpy.asarray(arrays[name]) for name, _ in named]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _array(body: memoryview, entry: Mapping[str, Any]) -> NDArray[Any]:
    start, end = entry["data_offsets"]
    return np.frombuffer(body[start:end], _TYPES[entry["dtype"]]).reshape(entry["shape"])


def _named(tree: Any) -> list[tuple[str, Any]]:
    """Leaves of a tree with their paths as names."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]
