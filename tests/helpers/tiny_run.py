"""A run folder of fourteen small images, and the smallest network that learns from it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cnn.network.augment import AugmentConfig
from cnn.network.config import PROFILES, TrainConfig
from cnn.network.unet import UNetConfig, initial_params
from cnn.prediction import predict
from cnn.training import steps, train, train_fold
from cnn.weights import tensors
from features.reading import rle
from features.run.folder import RunFolder
from features.run.schemas import EVIDENCE_MAP
from tests.helpers.datasets import dataset

SIDE = 64
TINY = TrainConfig(
    unet=UNetConfig(size=32, widths=(8, 16), groups=4),
    augment=AugmentConfig(rotation=0.0, scale=0.0),
    epochs=3,
    steps=20,
    batch=4,
    first_epochs=0,
    learning_rate=1e-2,
    ema=0.8,
    flip=False,
)


# The first sixteen columns of an X-ray.
WEAK_MASK = f"0 {16 * SIDE}"


def make_run(folder: Path) -> RunFolder:
    """A run folder: 9 labelled images in 3 folds, 2 with weak masks in fold 1, 2 test, 1 neither.

    A third of the labelled ones has a bright square, which is the lesion. The images lie beside the
    run folder.
    """
    generator = np.random.default_rng(0)
    paths, codes = [], []
    for number in range(14):
        pixels = generator.integers(0, 100, (SIDE, SIDE), dtype=np.uint8)
        mask = np.zeros((SIDE, SIDE), bool)
        if number < 9 and number % 3 == 0:
            mask[8:40, 20:50] = True
        pixels[mask] += 120
        path = folder / f"i{number}.png"
        Image.fromarray(pixels).save(path)
        paths.append(str(path))
        codes.append(rle.encode(mask) if number < 9 else None)
    run = RunFolder(folder / "run")
    run.create()
    run.dataset.write(
        dataset(
            [f"i{number}" for number in range(14)],
            path=paths,
            split=["train"] * 9 + ["test"] * 4 + ["unlabelled"],
            mask=codes,
            fold=FOLDS,
            rows=SIDE,
            columns=SIDE,
            weak=[*[np.nan] * 9, 0.9, 0.25, *[np.nan] * 3],
            weak_mask=[*[None] * 9, WEAK_MASK, rle.EMPTY, *[None] * 3],
        )
    )
    write_evidence(run)
    return run


FOLDS = pd.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 1, 1, None, None, None], "Int64")
# Rows and columns of the cells; the X-rays, of 64 pixels, have one cell a pixel.
CELL_PLACES = tuple(30 + place for place in np.divmod(np.arange(16), 4))


def evidence_value(number: int, fold: int) -> float:
    """The evidence in every cell of an image, by the model of a fold."""
    return (number + 1) / 20 + fold / 50


def write_evidence(run: RunFolder) -> None:
    """A square of cells in the middle of each image, by the models of three folds and of pairs."""

    def rows(predicted: list[tuple[int, int]]) -> pd.DataFrame:
        cells = [
            (f"i{n}", row, column, evidence_value(n, fold), 0.5, fold)
            for n, fold in predicted
            for row, column in zip(*CELL_PLACES, strict=True)
        ]
        return pd.DataFrame(cells, columns=list(EVIDENCE_MAP.columns))

    fold_of = FOLDS[:11].astype(int)
    in_folds = [(n, fold_of[n]) for n in range(11)]
    outside = [(n, fold) for n in (11, 12, 13) for fold in range(3)]
    run.evidence_map.write(rows(in_folds + outside))
    learned = [(n, fold) for n in range(11) for fold in range(3) if fold != fold_of[n]]
    run.evidence_pairs.write(rows(learned))


def shrink(monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """The smallest network that trains in a moment, in the place of the demo's."""
    monkeypatch.setitem(PROFILES, "demo", TINY)
    monkeypatch.setattr(train_fold, "SPACING", TINY.steps)  # a checkpoint after each epoch
    # The compiled programs would go to a folder that vanishes with the test.
    for module in (train, predict):
        monkeypatch.setattr(module, "keep_compiled", lambda folder: None)
    return TINY


def initial_state(config: TrainConfig) -> steps.TrainState:
    """The state of a network before its first step."""
    return steps.initial_state(initial_params(config.unet, np.random.default_rng(0)), config)


def change(run: RunFolder, **columns: object) -> None:
    """Replace columns of the dataset."""
    run.dataset.write(run.dataset.read().assign(**columns))


def weights_bytes(run: RunFolder, fold: int) -> bytes:
    """The file of a fold's final weights."""
    return run.unet_fold(fold).weights.read_bytes()


FIXED = np.random.default_rng(0)


def write_weights(folder: Path, config: TrainConfig, params: dict, **info: object) -> Path:
    """Weights of another training, as that would have left them."""
    path = folder / "weights.safetensors"
    tensors.save(path, params, {"config": asdict(config)} | info)
    return path
