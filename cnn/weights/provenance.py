"""Which settings, data and start a fold's weights belong to, and where a training starts from."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from cnn.data.batches import TrainingImages
from cnn.network.config import TrainConfig
from cnn.network.unet import UNetConfig, initial_params, outline
from cnn.weights import checkpoint, tensors
from cnn.weights.pretrained import SHIPPED
from features.run.files import UserError

ANOTHER_START = (
    "give the weights.safetensors of another run to --init, with {fold} in place of the fold's "
    "number if each fold has its own"
)

WITHOUT_START = "restore the file, which ships with the program, or begin without it: --init none"

# Subfolder of a fold that its first training is kept in.
FIRST = "first"


def marks(ids: Iterable[str]) -> list[str]:
    """A short fingerprint of each image's id: 64 bits, so that no two images share one."""
    return [hashlib.sha256(name.encode()).hexdigest()[:16] for name in ids]


def known_images(ids: Sequence[str], info: Mapping[str, Any]) -> list[str]:
    """Those of some images that weights have learned from, as their file says."""
    seen = set(info.get("learned_from", ()))
    # Former versions kept 32 bits.
    return [
        name for name, mark in zip(ids, marks(ids), strict=True) if mark in seen or mark[:8] in seen
    ]


def learned_from(data: TrainingImages, fold: int, start: Path | None) -> list[str]:
    """Marks of all images that a fold's network learns from, itself or through its start."""
    own = marks(name for name, of in zip(data.ids, data.folds, strict=True) if of != fold)
    before = [] if start is None else tensors.load(start, ANOTHER_START)[1].get("learned_from", ())
    return list(dict.fromkeys([*own, *before]))


def network_of(info: Mapping[str, Any], path: Path, repair: str) -> tuple[UNetConfig, bool]:
    """The network that weights belong to, and whether it is to see mirror images too.

    Parameters
    ----------
    info : mapping
        As `tensors.load` gives it.
    path : Path
        The file, for the sentence.
    repair : str
        What to do about another version's, for the sentence.

    Raises
    ------
    UserError
        If this version of the program knows no such network.
    """
    try:
        held, flip = info["config"]["unet"], info["config"]["flip"]
        if odd := {field.name for field in fields(UNetConfig)} ^ set(held):
            raise KeyError(min(odd))
        return UNetConfig(**{**held, "widths": tuple(held["widths"])}), bool(flip)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"{path}: weights of another version of this program (in their config: {error}); "
            f"{repair}."
        ) from error


def identify(
    config: TrainConfig, seed: int, fold: int, data: TrainingImages, start: Path | None = None
) -> dict[str, Any]:
    """What weights belong to, as JSON content: settings, seed, fold, training set and start.

    Raises
    ------
    UserError
        If there is no such start.
    """
    if start is not None and not start.is_file():
        repair = WITHOUT_START if start == SHIPPED else ANOTHER_START
        raise UserError(f"{start}: no such file to start from; {repair}.")
    begun = None if start is None else hashlib.sha256(start.read_bytes()).hexdigest()[:16]
    content = {
        "config": asdict(config),
        "seed": seed,
        "fold": fold,
        "data": data.digest,
        "start": begun,
    }
    return json.loads(json.dumps(content))  # tuples become lists, as when read back


def is_finished(folder: Path, wanted: dict[str, Any], overwrite: bool = False) -> bool:
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


def initial_weights(
    config: TrainConfig,
    seed: int,
    fold: int,
    data: TrainingImages,
    start: Path | None = None,
    tested: Sequence[str] = (),
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
    tested : sequence of str
        Ids of test images, which the network is to judge too.

    Raises
    ------
    UserError
        If they are of another network, or have learned from these very images.
    """
    params = initial_params(config.unet, np.random.default_rng((seed, fold)))
    if start is None:
        return params
    repair = WITHOUT_START if start == SHIPPED else ANOTHER_START
    arrays, info = tensors.load(start, repair)
    theirs, _ = network_of(info, start, repair)
    _same_build(theirs, config.unet, start)
    scored = [name for name, own in zip(data.ids, data.folds, strict=True) if own == fold]
    for images, what in ((scored, f"fold {fold} is scored on"), (tested, "are tested")):
        if known := known_images(images, info):
            raise UserError(
                f"{start}: has learned from {len(known)} images that {what}, such as {known[0]}; "
                "give weights of a training on other images, or --init none."
            )
    # The network that ships is kept in half precision, since it is but a start.
    wide = {name: a.astype(np.float32) if a.dtype == "f2" else a for name, a in arrays.items()}
    found = tensors.restore(outline(theirs), wide, start, repair)
    if theirs.evidence != config.unet.evidence:
        found["stem"]["kernel"] = _fitted(found["stem"]["kernel"], params["stem"]["kernel"])
        found |= {name: params[name] for name in ("head", "trust") if name in params}
    return {name: found[name] for name in params}


def _same_build(theirs: UNetConfig, own: UNetConfig, start: Path) -> None:
    """Refuse a start whose layers are others; what it sees, and at which size, may differ."""
    for name, value in asdict(own).items():
        if name not in ("size", "evidence", "prior") and getattr(theirs, name) != value:
            raise UserError(
                f"{start}: holds another network than the profile's ({name} {getattr(theirs, name)}"
                f" instead of {value}); give weights of the same profile."
            )


def _fitted(kernel: Array, own: Array) -> Array:
    """The stem of another training, without its channel of the evidence or with an empty one."""
    shared = min(kernel.shape[2], own.shape[2])
    return jnp.zeros_like(own).at[:, :, :shared].set(kernel[:, :, :shared])


def tidy(folder: Path) -> None:
    """Remove what a fold that is finished needs no more, also what a killed run left there."""
    for path in (folder / "evidence.npy", folder / FIRST / "weights.safetensors"):
        path.unlink(missing_ok=True)
    for path in (folder / "checkpoint", folder / FIRST / "checkpoint"):
        shutil.rmtree(path, ignore_errors=True)
