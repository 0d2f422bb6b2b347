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
from cnn.training import train, train_fold
from cnn.weights import tensors
from features.reading import rle
from features.run import files

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


def make_run(tmp_path: Path) -> Path:
    """A run folder: 9 labelled images in 3 folds, 2 weakly labelled in fold 1, 2 test, 1 neither.

    A third of the labelled ones has a bright square, which is the lesion.
    """
    generator = np.random.default_rng(0)
    rows = []
    for number in range(14):
        pixels = generator.integers(0, 100, (SIDE, SIDE), dtype=np.uint8)
        mask = np.zeros((SIDE, SIDE), bool)
        if number < 9 and number % 3 == 0:
            mask[8:40, 20:50] = True
        pixels[mask] += 120
        path = tmp_path / f"i{number}.png"
        Image.fromarray(pixels).save(path)
        split = "train" if number < 9 else "unlabelled" if number == 13 else "test"
        fold = number // 3 if number < 9 else 1 if number < 11 else -1
        code = rle.encode(mask) if number < 9 else None
        weak = {9: 0.9, 10: 0.25}.get(number, np.nan)
        rows.append((f"i{number}", str(path), split, code, fold, SIDE, SIDE, weak))
    columns = ["id", "path", "split", "mask", "fold", "rows", "columns", "weak"]
    folder = tmp_path / "run"
    folder.mkdir()
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "dataset.parquet")
    write_evidence(folder)
    return folder


# Rows and columns of the cells; the X-rays, of 64 pixels, have one cell a pixel.
CELLS = tuple(30 + place for place in np.divmod(np.arange(16), 4))


def evidence_of(number: int, judge: int) -> float:
    """What a judge says of every cell of an image."""
    return (number + 1) / 20 + judge / 50


def write_evidence(run: Path) -> None:
    """A square of cells in the middle of each image, by three folds' judges and their pairs'."""

    def rows(seen: list[tuple[int, int]]) -> pd.DataFrame:
        drawn = [
            {"id": f"i{n}", "probability": evidence_of(n, judge), "judge": judge}
            | {"row": row, "column": column, "lung": 0.5}
            for n, judge in seen
            for row, column in zip(*CELLS, strict=True)
        ]
        return pd.DataFrame(drawn).astype({"probability": np.float32})

    own = [(n, n // 3) for n in range(9)] + [(9, 1), (10, 1)]
    outside = [(n, judge) for n in (11, 12, 13) for judge in range(3)]
    files.write_table(run / "evidence" / "map.parquet", rows(own + outside))
    fold = [*np.repeat([0, 1, 2], 3), 1, 1]
    taught = [(n, judge) for n in range(11) for judge in range(3) if judge != fold[n]]
    files.write_table(run / "evidence" / "pairs.parquet", rows(taught))


def shrink(monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """The smallest network that trains in a moment, in the place of the demo's."""
    monkeypatch.setitem(PROFILES, "demo", TINY)
    monkeypatch.setattr(train_fold, "SPACING", TINY.steps)  # a checkpoint after each epoch
    # The compiled programs would go to a folder that vanishes with the test.
    for module in (train, predict):
        monkeypatch.setattr(module, "keep_compiled", lambda folder: None)
    return TINY


def first_state(config: TrainConfig) -> train_fold.TrainState:
    return train_fold.initial_state(initial_params(config.unet, np.random.default_rng(0)), config)


def change(run: Path, **columns: object) -> None:
    table = pd.read_parquet(run / "dataset.parquet").assign(**columns)
    table.to_parquet(run / "dataset.parquet")


def final(run: Path, fold: int) -> bytes:
    return (run / "cnn" / f"fold{fold}" / "weights.safetensors").read_bytes()


FIXED = np.random.default_rng(0)


def write_start(folder: Path, config: TrainConfig, params: dict, **more: object) -> Path:
    """Weights of another training, as that would have left them."""
    path = folder / "weights.safetensors"
    tensors.save(path, params, {"config": asdict(config)} | more)
    return path
