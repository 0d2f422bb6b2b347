"""Which settings, data and start a fold's weights belong to, and where a training starts from."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from numpy.typing import NDArray

from cnn import checkpoint, tensors
from cnn.batches import Labelled
from cnn.profiles import TrainConfig
from cnn.unet import initial_params
from features.files import UserError


def marks(ids: Iterable[str]) -> list[str]:
    """A short fingerprint of each image's id: 32 bits, so that one in a few billion is mistaken."""
    return [hashlib.sha256(name.encode()).hexdigest()[:8] for name in ids]


def start_of(start: str | None, fold: int) -> Path | None:
    """The file from which the training of a fold starts; "{fold}" in it stands for the fold."""
    return None if start is None else Path(start.replace("{fold}", str(fold)))


def identify(
    config: TrainConfig, seed: int, fold: int, data: Labelled, start: Path | None = None
) -> dict[str, Any]:
    """What weights belong to, as JSON content: settings, seed, fold, training set and start.

    Raises
    ------
    UserError
        If there is no such start.
    """
    if start is not None and not start.exists():
        raise UserError(
            f"{start}: no such file to start from; give the weights.safetensors of another run, "
            "with {fold} in place of the fold's number if each fold has its own."
        )
    begun = None if start is None else hashlib.sha256(start.read_bytes()).hexdigest()[:16]
    content = {
        "config": asdict(config),
        "seed": seed,
        "fold": fold,
        "data": data.digest,
        "start": begun,
    }
    return json.loads(json.dumps(content))  # tuples become lists, as when read back


def check(folder: Path, wanted: dict[str, Any], overwrite: bool = False) -> bool:
    """Whether a fold has its final weights.

    Parameters
    ----------
    folder : Path
        The fold's.
    wanted : dict
        Of `identify`.
    overwrite : bool
        Whether to delete weights and checkpoints of anything else, instead of complaining.

    Raises
    ------
    UserError
        If there are such, and they are not to be overwritten.
    """
    final, between = folder / "weights.safetensors", folder / "checkpoint"
    held = {
        final: tensors.load(final)[1] if final.exists() else None,
        between: checkpoint.read_info(between),
    }
    for path, info in held.items():
        odd = [] if info is None else [key for key in wanted if info.get(key) != wanted[key]]
        if odd and not overwrite:
            raise UserError(
                f"{path}: was trained with another {' and '.join(odd)} than asked for; give "
                "the same settings as then, or --overwrite to train anew, or another --run."
            )
        if odd:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return final.exists()


def first_params(
    config: TrainConfig, seed: int, fold: int, data: Labelled, start: Path | None = None
) -> PyTree:
    """Weights before the first step: drawn at random, or of a network trained on other data.

    What lies between stem and head is taken over. A stem that never saw evidence begins by looking
    past it; then, or without evidence, the head is the new network's own, which repeats the
    evidence map, where there is one.

    Parameters
    ----------
    config : TrainConfig
    seed, fold : int
        Start the random numbers.
    data : Labelled
        What is to be learned from.
    start : Path, optional
        Final weights of another training of this program, on phantoms for instance.

    Raises
    ------
    UserError
        If they are of another network, or have learned from these very images.
    """
    params = initial_params(config.unet, np.random.default_rng((seed, fold)))
    if start is None:
        return params
    arrays, info = tensors.load(start)
    scored = [name for name, own in zip(data.ids, data.folds, strict=True) if own == fold]
    seen = set(info.get("learned_from", ()))
    known = [name for name, mark in zip(scored, marks(scored), strict=True) if mark in seen]
    if known:
        raise UserError(
            f"{start}: has learned from {len(known)} images that fold {fold} is scored on, such as "
            f"{known[0]}; give weights of a training on other images."
        )
    same_head = info["config"]["unet"]["evidence"] == config.unet.evidence

    def taken(path: tuple[Any, ...], own: Array) -> Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name.startswith(("head.", "trust")) and not same_head:
            return own
        return jnp.asarray(_fitted(arrays, name, own.shape, start))

    return jax.tree_util.tree_map_with_path(taken, params)


def _fitted(
    arrays: dict[str, NDArray[Any]], name: str, shape: tuple[int, ...], start: Path
) -> NDArray[Any]:
    """An array of another training, for a stem with or without the channel of the evidence."""
    found = arrays.get(name)
    if found is not None and name == "stem.kernel" and found.shape[2] - shape[2] in (-1, 1):
        changed = np.zeros(shape, found.dtype)
        shared = min(found.shape[2], shape[2])
        changed[:, :, :shared] = found[:, :, :shared]
        found = changed if changed.shape == (*found.shape[:2], shape[2], found.shape[3]) else found
    if found is None or found.shape != shape:
        raise UserError(
            f"{start}: holds another network than the profile's (first difference: {name}); give "
            "weights of the same profile."
        )
    return found
