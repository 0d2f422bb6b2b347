"""Which images weights have learned from, so that no network predicts an image that it knows."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn.data.training_images import TrainingImages
from cnn.weights import tensors
from cnn.weights.pretrained import repair_of


def marks(ids: Iterable[str]) -> list[str]:
    """A short fingerprint of each image's id: 64 bits, so that no two images share one."""
    return [hashlib.sha256(name.encode()).hexdigest()[:16] for name in ids]


def known_images(ids: Sequence[str], info: Mapping[str, Any]) -> list[str]:
    """Those of some images that weights have learned from, as the metadata of their file says."""
    learned = set(info.get("learned_from", ()))
    return [name for name, mark in zip(ids, marks(ids), strict=True) if mark in learned]


def learned_from(images: TrainingImages, fold: int, pretrained: Path | None) -> list[str]:
    """Marks of all images that a fold's network learns from.

    Parameters
    ----------
    images : TrainingImages
    fold : int
        The fold that is left out.
    pretrained : Path, optional
        The weights that its training begins from; what they have learned from counts too.
    """
    outside = marks(
        name
        for name, fold_of_image in zip(images.ids, images.folds, strict=True)
        if fold_of_image != fold
    )
    info = {} if pretrained is None else tensors.load(pretrained, repair_of(pretrained))[1]
    return list(dict.fromkeys([*outside, *info.get("learned_from", ())]))
