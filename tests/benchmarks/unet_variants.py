"""What the usual means are worth to the U-Net: ``python -m tests.benchmarks.unet_variants RUN``.

Trains the network of some folds of a run anew, as profile `lite` does and with one thing changed
each time, and scores what it draws on images with pneumothorax of these folds: Dice without a gate,
masks cut at the share of each map's own top score that is best for the images of other patients
(five parts of them). The true masks are few, so the weak ones, drawn by another model, count beside
them. 95% intervals by bootstrap over patients.

X-rays decoded at sizes other than the run's stay in the run folder.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from jaxtyping import PyTree
from numpy.typing import NDArray

from baseline.evidence_map import maps
from baseline.learning import scores
from cnn.data import planes, training_images
from cnn.data.training_images import TrainingImages
from cnn.devices.mesh import split_processor
from cnn.gate.scoreboard import at_others_share
from cnn.network.config import TrainConfig, profile_for
from cnn.network.unet import outline
from cnn.prediction.networks import probabilities
from cnn.training.train_fold import train_fold
from cnn.weights import tensors
from cnn.weights.identity import identify
from cnn.weights.pretrained import pretrained_for
from features.reading import rle
from features.run import command
from features.run.folder import RunFolder
from features.run.network_folder import NetworkFolder
from features.squares.geometry import from_square
from tests.benchmarks.changed_images import (
    Box,
    copies_pasted,
    cropped_to_lungs,
    masks_of_teacher,
    put_back,
    soft_borders,
    with_atlas,
)
from tests.benchmarks.mask_cuts import dice_by_cut

Floats, Bools, Objects = NDArray[np.float64], NDArray[np.bool_], NDArray[np.object_]
AS_IT_IS, SECOND_SEED = "as it is", "another seed"
PARTS = 5
BATCH = 16
# Side of the squares from which lungs are cropped, in pixels.
FINE = 256


@dataclass(frozen=True)
class Settings:
    """Train the U-Net with one thing changed each time, and score it."""

    run: tyro.conf.Positional[Path]
    """Run folder that has its evidence (make evidence)."""
    folds: tuple[int, ...] = (0,)
    """Folds whose networks are trained."""
    only: tuple[str, ...] = ()
    """Names of the changes to try, as the table has them; all by default."""


@dataclass(frozen=True)
class Trained:
    """A network and what it sees.

    Parameters
    ----------
    config : TrainConfig
    params : pytree
    images : TrainingImages
        Those it learned from and those of its fold.
    boxes : sequence of boxes, optional
        Which part of each picture it sees, where that is not the whole.
    """

    config: TrainConfig
    params: PyTree
    images: TrainingImages
    boxes: Sequence[Box] | None = None


def larger(size: int) -> Callable[[TrainConfig], TrainConfig]:
    """The same network on squares of another size."""
    return lambda config: replace(config, unet=replace(config.unet, size=size))


def loss(**weights: float) -> Callable[[TrainConfig], TrainConfig]:
    """Other weights of the terms of the loss."""
    return lambda config: replace(config, loss=replace(config.loss, **weights))


def augmented(factor: float) -> Callable[[TrainConfig], TrainConfig]:
    """Turned, scaled and shifted by a factor more."""

    def change(config: TrainConfig) -> TrainConfig:
        names = ("rotation", "scale", "shift")
        wider = {name: factor * getattr(config.augment, name) for name in names}
        return replace(config, augment=replace(config.augment, **wider))

    return change


# Changes of the settings, and of the images.
OF_SETTINGS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "Dice loss alone": loss(bce=0.0),
    "Dice loss three times": loss(dice=3.0),
    "wider augmentation": augmented(2.0),
    "twice the epochs": lambda config: replace(config, epochs=2 * config.epochs),
    "160 pixels": larger(160),
    "192 pixels": larger(192),
    "256 pixels": larger(256),
}
OF_IMAGES: dict[str, Callable[[TrainingImages, int], TrainingImages]] = {
    "copy-paste": copies_pasted,
    "soft borders": soft_borders,
}
ATLAS, STUDENT = "atlas of lesions", "noisy student"
# Side of the squares that show the lungs alone.
CROPPED = {"cropped to the lungs": 128, "cropped to the lungs, 160 pixels": 160}
ONE_VIEW, TWO_SEEDS = "without mirror image", "mean of two seeds"
NAMES = (
    AS_IT_IS,
    ONE_VIEW,
    SECOND_SEED,
    TWO_SEEDS,
    *OF_SETTINGS,
    *OF_IMAGES,
    ATLAS,
    *CROPPED,
    STUDENT,
)


def train(
    config: TrainConfig, images: TrainingImages, fold: int, seed: int, folder: Path
) -> Trained:
    """Train a network in a folder of its own."""
    pretrained = pretrained_for(None, fold, config)
    identity = identify(config, seed, fold, images, pretrained)
    network = NetworkFolder(folder)
    train_fold(network, images, identity, pretrained)
    arrays, _ = tensors.load(network.weights)
    return Trained(config, tensors.restore(outline(config.unet), arrays, network.weights), images)


def images_of(run: RunFolder, fold: int, size: int, folder: Path) -> TrainingImages:
    """All images of a run that a network can learn from, as that of a fold sees them."""
    images = training_images.read(run, size, evidence=True, weak=True)
    path = folder / f"planes-{size}.npy"
    evidence = planes.write(path, run, fold, images.table, size)
    return replace(images, images=images.images[:], evidence=evidence)


def lungs_of(run: RunFolder, fold: int, images: TrainingImages) -> NDArray[np.bool_]:
    """Where the lungs' cells are, (n, size, size)."""
    cells = maps.read_for_fold(run, fold, pairs=True) | maps.read_for_fold(run, fold)
    full = {
        name: replace(one, probability=np.ones_like(one.probability), lung=np.ones_like(one.lung))
        for name, one in cells.items()
    }
    size = images.images.shape[1]
    return np.array([plane > 0 for plane in planes.draw(full, images.table, size)])


def squares(network: Trained, rows: NDArray[np.intp], flip: bool = True) -> NDArray[np.float32]:
    """Probability maps of some of the network's images, (n, size, size)."""
    drawn_maps = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        inputs = network.images.inputs(np.resize(part, BATCH))
        drawn = probabilities(network.params, inputs, network.config.unet, flip)
        drawn_maps.append(np.asarray(drawn)[: len(part)])
    squares_of_all = np.concatenate(drawn_maps)
    if network.boxes is None:
        return squares_of_all
    boxes = [network.boxes[place] for place in rows]
    pairs = zip(squares_of_all, boxes, strict=True)
    return np.array([put_back(square, box, FINE) for square, box in pairs])


def dice_of(drawn: NDArray[np.float32], images: TrainingImages, rows: NDArray[np.intp]) -> Floats:
    """Dice of each image at its own size, by share of the map's top score: (n, cuts)."""
    table = images.table.iloc[rows]
    codes = table["mask"].where(images.known[rows], table["weak_mask"])
    shapes = zip(table["rows"], table["columns"], strict=True)
    return np.array(
        [
            dice_by_cut(
                np.rint(255 * from_square(square, *shape)).astype(np.uint8),
                rle.decode(code, shape),
            )[-1]
            for square, code, shape in zip(drawn, codes, shapes, strict=True)
        ]
    )


class FoldTrial:
    """The networks of one fold, trained where they are asked for.

    Parameters
    ----------
    run : RunFolder
    fold : int
    folder : Path
        For files of the trainings.
    """

    def __init__(self, run: RunFolder, fold: int, folder: Path) -> None:
        self.run, self.fold, self.folder = run, fold, folder
        folder.mkdir()
        lesions = training_images.count_lesions(run, weak=True)
        self.config = profile_for("lite", lesions, evidence=True)
        self.images = images_of(run, fold, self.config.unet.size, folder)
        self.rows = np.flatnonzero((self.images.folds == fold) & self.images.positive)
        self._trained: dict[str, Trained] = {}

    def network(self, name: str) -> Trained:
        """The network with a change."""
        if name not in self._trained:
            self._trained[name] = self._train(name)
        return self._trained[name]

    def _train(self, name: str) -> Trained:
        config, images, seed = self.config, self.images, int(name == SECOND_SEED)
        boxes = None
        if name in OF_SETTINGS:
            config = OF_SETTINGS[name](config)
            if config.unet.size != self.config.unet.size:
                images = images_of(self.run, self.fold, config.unet.size, self.folder)
        elif name in OF_IMAGES:
            images = OF_IMAGES[name](images, self.fold)
        elif name == ATLAS:
            images = with_atlas(images, self.fold, lungs_of(self.run, self.fold, images))
        elif name in CROPPED:
            config = larger(CROPPED[name])(config)
            fine = images_of(self.run, self.fold, FINE, self.folder)
            lungs = lungs_of(self.run, self.fold, fine)
            images, boxes = cropped_to_lungs(fine, lungs, config.unet.size)
        elif name == STUDENT:
            weak = np.flatnonzero(~images.known & (images.folds != self.fold))
            images = masks_of_teacher(images, weak, squares(self.network(AS_IT_IS), weak))
        trained = train(config, images, self.fold, seed, self.folder / name.replace(" ", "-"))
        return replace(trained, boxes=boxes)

    def dice(self, name: str) -> Floats:
        """Dice of the fold's images with pneumothorax, (n, cuts)."""
        if name == ONE_VIEW:
            drawn = squares(self.network(AS_IT_IS), self.rows, flip=False)
        elif name == TWO_SEEDS:
            both = [squares(self.network(one), self.rows) for one in (AS_IT_IS, SECOND_SEED)]
            drawn = np.mean(both, axis=0)
        else:
            drawn = squares(self.network(name), self.rows)
        return dice_of(drawn, self.images, self.rows)


def row(name: str, dice: Floats, first: Floats, known: Bools, patients: Objects) -> str:
    """A row of the table: Dice by true masks and by weak ones, and what is gained."""
    parts = np.unique(patients.astype(str), return_inverse=True)[1] % PARTS
    cells = [name]
    for kind in (known, ~known):
        best, former = (at_others_share(values[kind], parts[kind]) for values in (dice, first))
        cells += [f"{scores.mean(best, patients[kind])} ({kind.sum()})"]
        cells += [str(scores.mean(best - former, patients[kind]))]
    return f"| {' | '.join(cells)} |"


def main(settings: Settings) -> None:
    """Print the table."""
    if unknown := set(settings.only) - set(NAMES):
        raise SystemExit(f"--only {min(unknown)}: known are {', '.join(NAMES)}")
    split_processor()
    run = RunFolder(settings.run).check()
    wanted = {AS_IT_IS, *(settings.only or NAMES)}
    with tempfile.TemporaryDirectory(prefix="variants-") as folder:
        trials = [FoldTrial(run, fold, Path(folder) / str(fold)) for fold in settings.folds]
        known = np.concatenate([trial.images.known[trial.rows] for trial in trials])
        tables = [trial.images.table.iloc[trial.rows] for trial in trials]
        patients = pd.concat(tables)["patient"].to_numpy(object)
        print("| change | Dice, true masks | less first | weak masks | less first | s a fold |")
        print("|---|---|---|---|---|---|")
        first = None
        for name in NAMES:
            if name not in wanted:
                continue
            began = time.monotonic()
            dice = np.concatenate([trial.dice(name) for trial in trials])
            first = dice if first is None else first
            seconds = (time.monotonic() - began) / len(trials)
            print(f"{row(name, dice, first, known, patients)} {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    command.run(main, writes=False)
