"""Which settings, data and pretrained network the weights of a fold belong to."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnn.data.training_images import TrainingImages
from cnn.network.config import TrainConfig
from cnn.weights import checkpoint, tensors
from cnn.weights.pretrained import repair_of
from features.run.files import UserError
from features.run.network_folder import NetworkFolder


@dataclass(frozen=True)
class Identity:
    """What weights belong to: two trainings of one identity end with the same weights.

    Parameters
    ----------
    config : TrainConfig
    seed : int
    fold : int
        The fold that is left out.
    data : str
        Fingerprint of the training set.
    pretrained : str or None
        Fingerprint of the weights that the training begins from; None for random ones.
    """

    config: TrainConfig
    seed: int
    fold: int
    data: str
    pretrained: str | None

    def as_json(self) -> dict[str, Any]:
        """The same as JSON content, in the form in which it is read back."""
        return json.loads(json.dumps(asdict(self)))  # tuples become lists


def identify(
    config: TrainConfig,
    seed: int,
    fold: int,
    images: TrainingImages,
    pretrained: Path | None = None,
) -> Identity:
    """The identity of a fold's weights.

    Raises
    ------
    UserError
        If there is no such pretrained network.
    """
    digest = None
    if pretrained is not None:
        if not pretrained.is_file():
            raise UserError(
                f"{pretrained}: no such file of pretrained weights; {repair_of(pretrained)}."
            )
        digest = hashlib.sha256(pretrained.read_bytes()).hexdigest()[:16]
    return Identity(config, seed, fold, images.digest, digest)


def is_finished(folder: NetworkFolder, identity: Identity, overwrite: bool = False) -> bool:
    """Whether a fold has its final weights.

    Parameters
    ----------
    folder : NetworkFolder
    identity : Identity
        What they must belong to.
    overwrite : bool
        Whether weights and checkpoints of another identity count for nothing, instead of being
        refused.

    Raises
    ------
    UserError
        If there are such, and they are not to be overwritten.
    """
    others = _of_others(folder, identity)
    if others and not overwrite:
        path, different = next(iter(others.items()))
        raise UserError(
            f"{path}: was trained with another {' and '.join(different)} than these settings "
            "have; give the same settings as then, or --overwrite to train anew, or another --run."
        )
    return folder.weights.exists() and folder.weights not in others


def discard_others(folder: NetworkFolder, identity: Identity) -> None:
    """Delete the weights and the checkpoint of a fold, where they are of another identity."""
    for path in _of_others(folder, identity):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _of_others(folder: NetworkFolder, identity: Identity) -> dict[Path, list[str]]:
    """Weights and checkpoint of another identity, and what is different in them."""
    wanted = identity.as_json()
    kept = {
        folder.weights: tensors.load(folder.weights)[1] if folder.weights.exists() else None,
        folder.checkpoint: checkpoint.read_info(folder.checkpoint),
    }
    different = {
        path: [name for name in wanted if info.get(name) != wanted[name]]
        for path, info in kept.items()
        if info is not None
    }
    return {path: names for path, names in different.items() if names}


def tidy(folder: NetworkFolder) -> None:
    """Remove what a fold that is finished needs no more, also what a killed run left there."""
    for path in (folder.planes, folder.first.weights):
        path.unlink(missing_ok=True)
    for path in (folder.checkpoint, folder.first.checkpoint):
        shutil.rmtree(path, ignore_errors=True)
