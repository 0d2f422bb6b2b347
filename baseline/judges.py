"""A judge of lungs: says which lung has collapsed, and where in a collapsed lung the air lies.

Two boosters make one judge. The first reads the feature table lung by lung (the lung's measures,
and what they are less the other's) and says how likely this lung has collapsed. The second reads
the cells and says where the air is if it has; it learns from the lungs with a mask alone. Their
product is a map: P(air here) = P(this lung) P(here | this lung).

A weak label says nothing about the side. So the lungs are taught in turns: each weakly labelled
image shares its label among its two lungs as the booster of the turn before would (expectation and
maximisation; multiple-instance learning, Dietterich et al., Artificial Intelligence 89, 1997).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from baseline import classifier
from baseline.tables import teaching
from features import cells as lung_cells
from features import files
from features.cells import Cells
from features.table import read as read_features
from features.zones import SIDES

Floats = NDArray[np.float64]

# A lung counts as collapsed if it holds this share of the image's mask.
LEAST_SHARE = 0.1
# How often the weak labels are shared out among the lungs anew.
TURNS = 4
# Many small steps: each tree sees few features and images, so the sum of many is steadier.
LUNGS = {
    "learning_rate": 0.02,
    "num_leaves": 8,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.03,
    "bagging_fraction": 0.7,
    "lambda_l2": 5.0,
    "rounds": 1200,
}
CELLS = {
    "learning_rate": 0.033,
    "num_leaves": 16,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.5,
    "lambda_l2": 5.0,
    "rounds": 300,
}


@dataclass(frozen=True)
class Judge:
    """Says which lung has collapsed, and where in a collapsed lung the air is."""

    lungs: lgb.Booster
    cells: lgb.Booster

    def lung(self, view: pd.DataFrame) -> Floats:
        """Probability that each lung of `by_lung` has collapsed, (n, 2)."""
        raw = np.asarray(self.lungs.predict(view.to_numpy(np.float32), raw_score=True), float)
        return expit(raw).reshape(2, -1).T

    def place(self, values: NDArray[np.floating]) -> Floats:
        """Probability of air in each cell of a collapsed lung, (n,)."""
        return expit(
            np.asarray(self.cells.predict(np.asarray(values, np.float32), raw_score=True), float)
        )


def by_lung(table: pd.DataFrame) -> pd.DataFrame:
    """The feature table lung by lung: all right lungs, then all left ones.

    Parameters
    ----------
    table : (n, m) DataFrame

    Returns
    -------
    (2 n, k) DataFrame
        For each measure of a zone the lung's own value and, under "less", what it exceeds the other
        lung's by; then what belongs to the image. Comparisons without side are left out.
    """
    sides, image, columns = _split(tuple(map(str, table.columns)))
    values = table.to_numpy()
    own, shared = [values[:, side] for side in sides], values[:, image]
    parts = [np.hstack((a, a - b, shared)) for a, b in (own, own[::-1])]
    return pd.DataFrame(np.vstack(parts), columns=columns)


@lru_cache(maxsize=8)
def _split(names: tuple[str, ...]) -> tuple[list[list[int]], list[int], pd.Index]:
    """Places of the right and left lung's features and of the image's, and what `by_lung` names."""
    place = {name: number for number, name in enumerate(names)}
    zone = [name.split(".")[1] for name in names]
    right = [name for name, of in zip(names, zone, strict=True) if of.startswith(f"{SIDES[0]}_")]
    left = [name.replace(f".{SIDES[0]}_", f".{SIDES[1]}_") for name in right]
    image = [name for name, of in zip(names, zone, strict=True) if of == "image"]
    one = [name.replace(f".{SIDES[0]}_", ".") for name in right]
    columns = pd.Index([*one, *(f"less.{name}" for name in one), *image])
    sides = [[place[name] for name in side] for side in (right, left)]
    return sides, [place[name] for name in image], columns


def load(run: Path, fold: int) -> Judge:
    """Read the judge that saw none of a fold's images.

    Raises
    ------
    UserError
        If it is missing or is no LightGBM model.
    """
    folder = run / "evidence"
    return Judge(*(classifier.load(folder / f"{what}{fold}.txt") for what in ("lungs", "cells")))


def hear(judge: Judge, view: pd.DataFrame, cells: Cells) -> tuple[Floats, Floats]:
    """What a judge says of one image.

    Parameters
    ----------
    judge : Judge
    view : (2, k) DataFrame
        Of `by_lung`.
    cells : Cells

    Returns
    -------
    lungs : (2,) array in [0, 1]
        Probability that the right and the left lung has collapsed.
    probability : (n,) array in [0, 1]
        Probability of air in each cell.
    """
    lungs = judge.lung(view)[0]
    # Cells are kept in half precision, so judges are asked in it too.
    return lungs, judge.place(cells.values.astype(np.float16)) * lungs[cells.sides]


def fit_lungs(
    view: pd.DataFrame, truth: Floats, labels: Floats, weights: Floats, seed: int
) -> lgb.Booster:
    """Teach which lung has collapsed.

    Parameters
    ----------
    view : (2 n, k) DataFrame
        Of `by_lung`.
    truth : (n, 2) array
        1 for a collapsed right and left lung, 0 for a whole one, NaN where the side is unknown.
    labels : (n,) array in [0, 1]
        Label of the image, hard or soft.
    weights : (n,) array
    seed : int
    """
    target, unknown = truth.copy(), np.isnan(truth[:, 0])
    # Before the first turn both lungs are suspected alike.
    target[unknown] = labels[unknown, None] / 2
    values = view.to_numpy(np.float32)
    for _ in range(TURNS if unknown.any() else 1):
        booster = _fit(LUNGS, values, target.T.ravel(), np.tile(weights, 2), seed)
        odds = np.exp(np.asarray(booster.predict(values, raw_score=True), float)).reshape(2, -1).T
        share = odds / odds.sum(axis=1, keepdims=True)
        target[unknown] = (labels[:, None] * share)[unknown]
    return booster


def _fit(
    settings: dict[str, float],
    values: NDArray[np.float32],
    target: Floats,
    weights: Floats,
    seed: int,
) -> lgb.Booster:
    chosen = dict(settings)
    rounds = int(chosen.pop("rounds"))
    fixed = {
        "objective": "cross_entropy",
        "bagging_freq": 1,
        "max_bin": 63,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    data = lgb.Dataset(values, label=target, weight=weights, free_raw_data=True)
    return lgb.train(chosen | fixed, data, num_boost_round=rounds)


@dataclass(frozen=True)
class Material:
    """What judges learn from and describe.

    Parameters
    ----------
    rows : DataFrame
        All measured images: id, fold (-1 for none), label, target and patient.
    view : (2 n, k) DataFrame
        Of `by_lung`.
    index : DataFrame
        The cells, image by image in the order of `rows`; "image" is the row's number.
    values : (cells, m) array of float16
    starts : (n + 1,) array of int
        Where each image's cells begin.
    lungs : (n, 2) array
        Area of the mask in each lung in cells; NaN where no mask is known.
    """

    rows: pd.DataFrame
    view: pd.DataFrame
    index: pd.DataFrame
    values: NDArray[np.float16]
    starts: NDArray[np.intp]
    lungs: Floats

    def cells_of(self, image: int | np.integer) -> slice:
        """Where the cells of an image lie in `index` and `values`."""
        return slice(int(self.starts[image]), int(self.starts[image + 1]))


def read_material(run: Path) -> Material:
    """Read features, cells and labels of a run.

    Raises
    ------
    UserError
        If a file is missing, or the cells are of other images than the features.
    """
    dataset = files.read_table(run / "dataset.parquet")
    table = read_features(run)
    index, values = lung_cells.read(run)
    ids = index["id"].cat.categories
    if set(ids) != set(table.index):
        odd = min(set(ids) ^ set(table.index))
        raise files.UserError(
            f"{run / 'cells'}: {odd} is not measured both there and in features.parquet; delete "
            "the folder and run make again."
        )
    taught = teaching(dataset).set_index("id")["target"]
    rows = dataset.set_index("id").loc[ids]
    rows["target"] = taught.reindex(ids)
    rows["fold"] = rows["fold"].where(rows["fold"] >= 0, -1)
    image = index["id"].cat.codes.to_numpy()
    starts = np.searchsorted(image, np.arange(len(ids) + 1))
    area = np.zeros((len(ids), 2))
    np.add.at(area, (image, index["side"].to_numpy()), index["share"].to_numpy(float))
    view = by_lung(table.loc[ids])
    return Material(rows.reset_index(names="id"), view, index, values, starts, area)


def collapsed(material: Material) -> Floats:
    """Which lungs have collapsed by their masks, (n, 2); NaN where no mask tells.

    A mask that lies outside both lungs tells that there is air, not where.
    """
    total = material.lungs.sum(axis=1, keepdims=True)
    found = (material.lungs >= LEAST_SHARE * total) & (material.lungs > 0)
    negative = (material.rows["label"] == 0).to_numpy()
    told = negative | (total[:, 0] > 0)
    return np.where(told[:, None], found, np.nan)


def fit_judge(material: Material, without: tuple[int, ...], weak_weight: float, seed: int) -> Judge:
    """Teach a judge from the images of all folds but those in `without`.

    Raises
    ------
    UserError
        If no collapsed lung with a mask is left to learn from.
    """
    rows = material.rows
    taught = (rows["fold"] >= 0) & ~rows["fold"].isin(without)
    chosen = np.flatnonzero(taught)
    truth = collapsed(material)
    weights = np.where(rows["label"].notna(), 1.0, weak_weight)
    both = np.concatenate((chosen, chosen + len(rows)))
    values, shares = [], []
    for image in chosen[(truth[chosen] == 1).any(axis=1)]:
        cells = material.cells_of(image)
        sick = truth[image][material.index["side"].to_numpy()[cells]] == 1
        values.append(np.asarray(material.values[cells], np.float32)[sick])
        shares.append(material.index["share"].to_numpy(float)[cells][sick])
    if not values:
        raise files.UserError(
            f"evidence: outside folds {' and '.join(map(str, without))} no image has a mask to "
            "learn from; use three folds or more, or a dataset with more positives."
        )
    lungs = fit_lungs(
        material.view.iloc[both],
        truth[chosen],
        rows["target"].to_numpy(float)[chosen],
        weights[chosen],
        seed,
    )
    target = np.concatenate(shares)
    cells_booster = _fit(CELLS, np.concatenate(values), target, np.ones(len(target)), seed)
    return Judge(lungs, cells_booster)


def describe(judge: Judge, material: Material, images: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """What a judge says of some images.

    Returns
    -------
    lungs : (k, 2) array in [0, 1]
        Probability that the right and the left lung has collapsed.
    cells : (c,) array in [0, 1]
        Probability of air in each cell of these images, one image after the other.
    """
    count = len(material.rows)
    lungs = judge.lung(material.view.iloc[np.concatenate((images, images + count))])
    sides = material.index["side"].to_numpy()
    cells = []
    for image, both in zip(images, lungs, strict=True):
        own = material.cells_of(image)
        cells.append(judge.place(material.values[own]) * both[sides[own]])
    return lungs, np.concatenate(cells) if cells else np.zeros(0)
