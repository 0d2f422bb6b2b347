"""Probability maps of every X-ray that is scored: ``python -m cnn.prediction.predict --run RUN``.

An image that belongs to a fold is predicted by that fold's network alone, which has seen neither it
nor its patient; a test image outside the folds gets the mean of all networks. Images stream through
in parts of a fixed length; each finished part is a file, so memory stays flat and a run that was
killed goes on with the part it was at. The index is written last and marks that all maps are there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import maps as evidence_maps
from baseline.evidence_map.maps import EvidenceMap
from cnn.data import planes
from cnn.data.batches import chunks
from cnn.data.fingerprint import fingerprint
from cnn.devices.compilation import keep_compiled
from cnn.devices.mesh import require_device, split_processor
from cnn.prediction import store
from cnn.prediction.networks import Networks, is_predicted_by, load_networks, predict_part
from features.run import command
from features.run.files import stamps
from features.run.folder import RunFolder, measured
from features.squares.store import load_squares

# Images of a part.
PART = 128


@dataclass(frozen=True)
class Settings:
    """Draw the probability map of every scored X-ray of RUN, into RUN/cnn/maps/."""

    run: Path
    """Run folder; dataset.parquet and the weights in cnn/ are read, cnn/maps/ is written."""
    flip: Literal["auto", "yes", "no"] = "auto"
    """Average each image with its mirror image; auto: as the training profile says."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers read the images."""


def scored_images(run: RunFolder) -> pd.DataFrame:
    """Rows of the dataset that get a map: those of a fold, and the test images."""
    return measured(run.images()).reset_index(drop=True)


def _digest(networks: Networks, rows: pd.DataFrame) -> str:
    """What a part's maps depend on: the networks, the images, and which network predicts which."""
    columns = (rows[name] for name in ("id", "path", "stamp", "fold"))
    return networks.digest + fingerprint(*columns)


def _planes(
    maps: dict[str, EvidenceMap], network: int, rows: pd.DataFrame, size: int
) -> NDArray[np.uint8]:
    """Evidence maps of the images that a network predicts; 0 for all others."""
    levels = np.zeros((len(rows), size, size), np.uint8)
    places = np.flatnonzero(is_predicted_by(network, rows["fold"]))
    for place, plane in zip(places, planes.draw(maps, rows.iloc[places], size), strict=True):
        levels[place] = plane
    return levels


def _predict_parts(
    run: RunFolder,
    networks: Networks,
    parts: dict[int, pd.DataFrame],
    scheduler: str | None,
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield number and maps of each part, in order."""
    size = networks.config.size
    maps_by_network = []
    if networks.config.evidence:
        count = len(networks.params)
        maps_by_network = [evidence_maps.read_for_fold(run, fold) for fold in range(count)]
    squares = load_squares(run, size, scheduler)
    for number, rows in command.progress(parts.items(), "maps", len(parts), "parts"):
        images = squares.of(rows["id"])[:]
        evidence = [_planes(maps, k, rows, size) for k, maps in enumerate(maps_by_network)]
        yield number, predict_part(networks, images, rows["fold"], evidence)


def main(settings: Settings) -> None:
    """Write the maps that are not there yet, then the index."""
    run = RunFolder(settings.run).check()
    split_processor()
    require_device(accelerator=False)
    table = scored_images(run)
    table["stamp"] = stamps(table["path"])
    flip = None if settings.flip == "auto" else settings.flip == "yes"
    networks = load_networks(run, table, flip)
    keep_compiled(run.unet)
    parts = {number: table[rows] for number, rows in enumerate(chunks(len(table), PART))}
    missing = {
        number: rows
        for number, rows in parts.items()
        if not store.is_made(run, number, _digest(networks, rows))
    }
    if missing:
        run.maps.path.unlink(missing_ok=True)
    for number, maps in _predict_parts(run, networks, missing, settings.scheduler):
        rows = missing[number]
        store.write_part(run, number, maps, rows["id"], _digest(networks, rows))
    places = np.arange(len(table))
    run.maps.write(table[["id", "fold"]].assign(part=places // PART, row=places % PART))


if __name__ == "__main__":
    command.run(main)
