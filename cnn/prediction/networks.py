"""The trained networks of a run: loaded, checked, and used to draw probability maps."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, PyTree, UInt8
from numpy.typing import NDArray

from cnn.data import planes
from cnn.data.batches import chunks, padded
from cnn.devices.mesh import all_devices, replicated, sharded
from cnn.network.unet import UNetConfig, apply, outline
from cnn.weights import provenance, tensors
from cnn.weights.network_kind import network_of
from features.dataset.folds import by_fold
from features.run.files import UserError
from features.run.folder import RunFolder

# Images that a network predicts at once; more, where the devices cannot share them evenly.
BATCH = 8


@dataclass(frozen=True)
class Networks:
    """The networks of all folds.

    Parameters
    ----------
    config : UNetConfig
    params : tuple of pytrees
        Weights, one a fold.
    flip : bool
        Whether an image is averaged with its mirror image.
    digest : str
        Fingerprint of the above.
    """

    config: UNetConfig
    params: tuple[PyTree, ...]
    flip: bool
    digest: str


def load_networks(run: RunFolder, table: pd.DataFrame, flip: bool | None = None) -> Networks:
    """Load the final weights of all folds.

    Parameters
    ----------
    run : RunFolder
    table : DataFrame
        id and fold (Int64) of the images to predict.
    flip : bool, optional
        Whether to average with the mirror image, instead of as the training profile says.

    Raises
    ------
    UserError
        If a fold's weights are missing, damaged, of another version or another configuration than
        the first's, or have learned from images that they would predict.
    """
    repair = f"delete {run.unet} and train again"
    fingerprint = hashlib.sha256()
    params, first_config = [], None
    folds = table["fold"].dropna()
    for fold in range(int(folds.max()) + 1 if len(folds) else 0):
        path = run.unet_fold(fold).weights
        if not path.exists():
            raise UserError(f"{path}: no such file; run `make cnn` first.")
        arrays, info = tensors.load(path)
        unet, mirrored = network_of(info, path, repair)
        first_config = first_config or info["config"]
        if info["config"] != first_config:
            raise UserError(f"{path}: trained with other settings than fold 0; {repair}.")
        predicted = table["id"][is_predicted_by(fold, table["fold"])]
        if known := provenance.known_images(list(predicted), info):
            raise UserError(
                f"{path}: has learned from {len(known)} of the images that it would predict, such "
                f"as {known[0]}; the folds are no longer those of the training, or it began from a "
                f"network that knew them, so {repair}."
            )
        params.append(tensors.restore(outline(unet), arrays, path))
        fingerprint.update(path.read_bytes())
    if first_config is None:
        raise UserError(
            f"{run.dataset.path}: no image belongs to a fold; add annotated images to it."
        )
    if unet.evidence:
        fingerprint.update(planes.digest(run).encode())
    flip = mirrored if flip is None else flip
    fingerprint.update(bytes([flip]))
    return Networks(unet, tuple(params), flip, fingerprint.hexdigest()[:16])


def is_predicted_by(fold: int, folds: pd.Series) -> NDArray[np.bool_]:
    """Which images the network of `fold` predicts: those of its fold, and those of no fold.

    Parameters
    ----------
    fold : int
    folds : (n,) Series of Int64
        Fold of each image, missing where it belongs to none.

    Returns
    -------
    (n,) array of bool
    """
    return folds.isna().to_numpy() | (folds == fold).fillna(False).to_numpy(bool)


@partial(jax.jit, static_argnames=("config", "flip"))
def probabilities(
    params: PyTree, images: UInt8[Array, "n h w c"], config: UNetConfig, flip: bool
) -> Float[Array, "n h w"]:
    """Probability of each pixel to be lesion, from bytes."""
    logits = jax.jit(apply, static_argnames="config")  # traced once, though called twice
    x = images / 255.0
    p = jax.nn.sigmoid(logits(params, x, config))
    if flip:
        mirrored = jax.nn.sigmoid(logits(params, x[:, :, ::-1], config))
        p = (p + mirrored[:, :, ::-1]) / 2
    return p


def predict_part(
    networks: Networks,
    images: NDArray[np.uint8],
    folds: pd.Series,
    evidence: Sequence[NDArray[np.uint8]] = (),
) -> NDArray[np.uint8]:
    """Probability maps of some images, each by the networks that have not learned from it.

    Parameters
    ----------
    networks : Networks
    images : (n, size, size) array of uint8
    folds : (n,) Series of Int64
        The fold of each image; missing for the mean of all networks.
    evidence : sequence of (n, size, size) arrays of uint8
        For each network the evidence maps that it sees beside the images; empty if the networks see
        none.

    Returns
    -------
    (n, size, size) array of uint8
        Probabilities times 255, rounded.
    """
    maps = np.zeros(images.shape, np.uint8)
    # A single image is not padded to a whole batch.
    batch = math.lcm(min(BATCH, len(images)), jax.device_count())
    mesh = all_devices(batch)
    params = [replicated(weights, mesh) for weights in networks.params]
    for fold, rows in by_fold(folds):
        numbers = range(len(params)) if fold is None else [fold]
        for part in chunks(len(rows), batch):
            drawn = []
            for number in numbers:
                channels = [images[rows[part]]]
                if evidence:
                    channels.append(evidence[number][rows[part]])
                inputs = sharded(padded(np.stack(channels, axis=-1), batch), mesh)
                drawn.append(probabilities(params[number], inputs, networks.config, networks.flip))
            mean = jnp.stack(drawn).mean(0)[: part.stop - part.start]
            maps[rows[part]] = np.rint(np.asarray(mean) * 255)
    return maps
