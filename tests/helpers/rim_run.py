"""A run of three features of which the right rim alone decides, without any pixels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from features.run.folder import RunFolder
from features.run.tables import Table
from tests.helpers.datasets import dataset

NAMES = ["firstorder.right_rim.mean", "firstorder.left_rim.mean", "shape.image.width"]
Edit = Callable[[pd.DataFrame], pd.DataFrame]


def draw(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of n images, and their labels."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 3)).astype(np.float32), columns=NAMES)
    labels = (table[NAMES[0]] + 0.3 * rng.normal(size=n) < -0.5).to_numpy(float)
    return table, labels


def make_run(folder: Path) -> RunFolder:
    """120 images: 90 labelled, 15 weak, 15 test without labels; three folds."""
    run, number = RunFolder(folder), np.arange(120)
    run.create()
    table, labels = draw(120)
    ids = [f"i{n}" for n in number]
    table.insert(0, "id", ids)
    run.features.write(table)
    trained = number < 105
    run.dataset.write(
        dataset(
            ids,
            patient=[f"p{n}" for n in number],
            split=np.where(number < 90, "train", "test"),
            fold=pd.array(number % 3, "Int64"),
            label=np.where(number < 90, labels, np.nan),
            weak=np.where((number >= 90) & trained, labels * 0.8 + 0.1, np.nan),
        ).assign(fold=lambda t: t["fold"].where(trained))
    )
    return run


def change(table: Table, edit: Edit) -> None:
    """Edit a table of a run in place."""
    table.write(edit(table.read()))


def put(column: str, row: int, value: object) -> Edit:
    """An edit that sets one value."""

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[row, column] = value
        return table

    return edit
