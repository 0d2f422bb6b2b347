"""The weights before the first step: drawn at random, or taken from a pretrained network."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from cnn.data.training_images import TrainingImages
from cnn.network.config import TrainConfig
from cnn.network.unet import UNetConfig, initial_params, outline
from cnn.weights import tensors
from cnn.weights.network_kind import network_of
from cnn.weights.pretrained import repair_of
from cnn.weights.provenance import known_images
from features.run.files import UserError


def initial_weights(
    config: TrainConfig,
    seed: int,
    fold: int,
    images: TrainingImages,
    pretrained: Path | None = None,
    test_ids: Sequence[str] = (),
) -> PyTree:
    """Weights before the first step: drawn at random, or of a network trained on other data.

    All layers between stem and head are those of the pretrained network. If only one of the two
    networks sees the evidence map, the stem's weights for the map are left out or 0, and the head
    is the new network's own, which repeats the map if there is one.

    Parameters
    ----------
    config : TrainConfig
    seed, fold : int
        Seeds of the random numbers.
    images : TrainingImages
        The images to learn from, and those of the fold that is scored.
    pretrained : Path, optional
        Final weights of another training of this program, on phantoms for instance.
    test_ids : sequence of str
        Test images, which the network is to predict too.

    Raises
    ------
    UserError
        If the pretrained weights are of another network, or have learned from images that are
        scored or tested.
    """
    random = initial_params(config.unet, np.random.default_rng((seed, fold)))
    if pretrained is None:
        return random
    repair = repair_of(pretrained)
    arrays, info = tensors.load(pretrained, repair)
    unet, _ = network_of(info, pretrained, repair)
    _check_layers(unet, config.unet, pretrained)
    scored = [
        name
        for name, fold_of_image in zip(images.ids, images.folds, strict=True)
        if fold_of_image == fold
    ]
    for ids, what in ((scored, f"fold {fold} is scored on"), (test_ids, "are tested")):
        if known := known_images(ids, info):
            raise UserError(
                f"{pretrained}: has learned from {len(known)} images that {what}, such as "
                f"{known[0]}; give weights of a training on other images, or --init none."
            )
    # The network that ships is kept in half precision, since it is only a beginning.
    wide = {name: a.astype(np.float32) if a.dtype == "f2" else a for name, a in arrays.items()}
    weights = tensors.restore(outline(unet), wide, pretrained, repair)
    if unet.evidence != config.unet.evidence:
        weights["stem"]["kernel"] = _fitted(weights["stem"]["kernel"], random["stem"]["kernel"])
        weights |= {name: random[name] for name in ("head", "trust") if name in random}
    return {name: weights[name] for name in random}


def _check_layers(pretrained: UNetConfig, wanted: UNetConfig, path: Path) -> None:
    """Refuse a network of other layers; its inputs and their size may differ."""
    for name, value in asdict(wanted).items():
        value_there = getattr(pretrained, name)
        if name not in ("size", "evidence", "prior") and value_there != value:
            raise UserError(
                f"{path}: holds another network than the profile's ({name} {value_there} instead "
                f"of {value}); give weights of the same profile."
            )


def _fitted(kernel: Array, wanted: Array) -> Array:
    """A pretrained stem, without its channel of the evidence or with an empty one."""
    shared = min(kernel.shape[2], wanted.shape[2])
    return jnp.zeros_like(wanted).at[:, :, :shared].set(kernel[:, :, :shared])
