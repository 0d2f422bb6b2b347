"""Probability maps of every X-ray that is scored: ``python -m cnn.prediction.predict --run RUN``.

An image that belongs to a fold is read by that fold's network alone, which has seen neither it nor
its patient; a test image outside the folds gets the mean of all networks. Images stream through in
parts of a fixed length; each finished part is a file, so memory stays flat and a run that was
killed goes on with the part it was at. `index.csv` is written last and says that all are there.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, PyTree, UInt8
from numpy.typing import NDArray

from baseline.evidence_map import maps as heat
from cnn.data import planes
from cnn.data.batches import chunks, padded
from cnn.data.decoded import FEW, fingerprint
from cnn.data.geometry import read_square
from cnn.devices.compilation import keep_compiled
from cnn.devices.mesh import all_devices, replicated, require_device, sharded, split_processor
from cnn.network.unet import UNetConfig, apply, outline
from cnn.prediction.store import is_made, part_path
from cnn.weights import identity, provenance, tensors
from features.run import command, parallel
from features.run.files import UserError, atomic, read_table, stamps, write_csv

PART = 128
BATCH = 8


@dataclass(frozen=True)
class Settings:
    """Settings of the stage."""

    run: Path
    """Run folder; dataset.parquet and the weights in cnn/ are read, cnn/maps/ is written."""
    flip: Literal["auto", "yes", "no"] = "auto"
    """Average each image with its mirror image; auto: as the training profile says."""


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


def load_networks(run: Path, table: pd.DataFrame, flip: bool | None = None) -> Networks:
    """Load the final weights of all folds.

    Parameters
    ----------
    run : Path
    table : DataFrame
        id and fold of the images to judge, see `scored_images`.
    flip : bool, optional
        Whether to average with the mirror image, instead of as the training profile says.

    Raises
    ------
    UserError
        If a fold's weights are missing, damaged, of another version or another configuration than
        the first's, or have learned from images that they would judge.
    """
    again = f"delete {run / 'cnn'} and train again"
    fingerprint = hashlib.sha256()
    params, first = [], None
    for fold in range(int(table["fold"].to_numpy().max(initial=-1)) + 1):
        path = run / "cnn" / f"fold{fold}" / "weights.safetensors"
        if not path.exists():
            raise UserError(
                f"{path}: no such file; train first (python -m cnn.training.train --run {run})."
            )
        arrays, info = tensors.load(path)
        unet, mirrored = identity.network_of(info, path, again)
        first = first or info["config"]
        if info["config"] != first:
            raise UserError(f"{path}: trained with other settings than fold 0; {again}.")
        judged = table["id"][(table["fold"] == fold) | (table["fold"] < 0)]
        if known := provenance.known_images(list(judged), info):
            raise UserError(
                f"{path}: has learned from {len(known)} of the images that it would judge, such as "
                f"{known[0]}; the folds are no longer those of the training, or it began from a "
                f"network that knew them, so {again}."
            )
        params.append(tensors.restore(outline(unet), arrays, path))
        fingerprint.update(path.read_bytes())
    if first is None:
        raise UserError(
            f"{run / 'dataset.parquet'}: no image belongs to a fold; add annotated images to it."
        )
    if unet.evidence:
        fingerprint.update(planes.digest(run).encode())
    flip = mirrored if flip is None else flip
    fingerprint.update(bytes([flip]))
    return Networks(unet, tuple(params), flip, fingerprint.hexdigest()[:16])


@partial(jax.jit, static_argnames=("config", "flip"))
def probabilities(
    params: PyTree, images: UInt8[Array, "n h w c"], config: UNetConfig, flip: bool
) -> Float[Array, "n h w"]:
    """Probability of each pixel to be lesion, from bytes."""
    x = images / 255.0
    p = jax.nn.sigmoid(apply(params, x, config))
    if flip:
        mirrored = jax.nn.sigmoid(apply(params, x[:, :, ::-1], config))
        p = (p + mirrored[:, :, ::-1]) / 2
    return p


def predict_part(
    networks: Networks,
    images: NDArray[np.uint8],
    folds: NDArray[np.int64],
    evidence: Sequence[NDArray[np.uint8]] = (),
) -> NDArray[np.uint8]:
    """Probability maps of some images, each by the networks that may judge it.

    Parameters
    ----------
    networks : Networks
    images : (n, size, size) array of uint8
    folds : (n,) array of int
        The fold of each image; -1 for the mean of all networks.
    evidence : sequence of (n, size, size) arrays of uint8
        The evidence map of each image, for each network that of its own judge; empty if the
        networks see none.

    Returns
    -------
    (n, size, size) array of uint8
        Probabilities times 255, rounded.
    """
    maps = np.zeros(images.shape, np.uint8)
    batch = math.lcm(BATCH, jax.device_count())
    mesh = all_devices(batch)
    params = [replicated(own, mesh) for own in networks.params]
    for fold in np.unique(folds):
        judges = range(len(networks.params)) if fold < 0 else [fold]
        rows = np.flatnonzero(folds == fold)
        for part in chunks(len(rows), batch):
            each = []
            for judge in judges:
                seen = [images[rows[part]], *(own[rows[part]] for own in evidence[judge:][:1])]
                shown = sharded(padded(np.stack(seen, axis=-1), batch), mesh)
                each.append(probabilities(params[judge], shown, networks.config, networks.flip))
            mean = jnp.stack(each).mean(0)[: part.stop - part.start]
            maps[rows[part]] = np.rint(np.asarray(mean) * 255)
    return maps


def _planes(
    heats: dict[str, heat.EvidenceMap], network: int, rows: pd.DataFrame, size: int
) -> NDArray[np.uint8]:
    """Evidence of the images that a network judges; of the others nothing."""
    seen = np.zeros((len(rows), size, size), np.uint8)
    judged = np.flatnonzero((rows["fold"] == network) | (rows["fold"] < 0))
    for place, plane in zip(judged, planes.draw(heats, rows.iloc[judged], size), strict=True):
        seen[place] = plane
    return seen


def scored_images(run: Path) -> pd.DataFrame:
    """Rows of the dataset that get a map: those of a fold, and the test images."""
    table = read_table(run / "dataset.parquet")
    return table[(table["fold"] >= 0) | (table["split"] == "test")].reset_index(drop=True)


def _key(networks: Networks, rows: pd.DataFrame) -> str:
    """What a part's maps depend on: the networks, the images, and which network judges which."""
    columns = (rows[name] for name in ("id", "path", "stamp", "fold"))
    return networks.digest + fingerprint(*columns)


def main(settings: Settings) -> None:
    """Write the maps that are not there yet, then the index."""
    split_processor()
    require_device(accelerator=False)
    table = scored_images(settings.run)
    table["stamp"] = stamps(table["path"])
    flip = None if settings.flip == "auto" else settings.flip == "yes"
    networks = load_networks(settings.run, table, flip)
    keep_compiled(settings.run / "cnn")
    folder = settings.run / "cnn" / "maps"
    parts = dict(enumerate(chunks(len(table), PART)))
    missing = {
        number: rows
        for number, rows in parts.items()
        if not is_made(folder, number, _key(networks, table[rows]))
    }
    if missing:
        (folder / "index.csv").unlink(missing_ok=True)
    size, folds = networks.config.size, range(len(networks.params))
    heats = [heat.read_for_fold(settings.run, k) for k in folds] if networks.config.evidence else []
    paths = [path for rows in missing.values() for path in table["path"][rows]]
    read = partial(read_square, size=size)
    squares = parallel.stream(read, paths, "maps", jobs=-1 if len(paths) > FEW else 1)
    for number, rows in missing.items():
        images = np.stack([next(squares) for _ in range(rows.stop - rows.start)])
        own = [_planes(known, k, table[rows], size) for k, known in enumerate(heats)]
        maps = predict_part(networks, images, table["fold"][rows].to_numpy(np.int64), own)
        with atomic(part_path(folder, number)) as temporary:
            np.savez_compressed(
                temporary,
                maps=maps,
                ids=table["id"][rows].to_numpy(np.str_),
                digest=np.array(_key(networks, table[rows])),
            )
    for _ in squares:  # lets the bar come to its end
        pass
    places = np.arange(len(table))
    write_csv(
        folder / "index.csv",
        table[["id", "fold"]].assign(part=places // PART, row=places % PART),
    )


if __name__ == "__main__":
    command.run(main)
