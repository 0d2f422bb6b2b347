"""A judge of lungs: says which lung has collapsed, and where in a collapsed lung the air lies.

Two boosters make one judge. The first reads the feature table lung by lung (the lung's measures,
and what they are less the other's) and says how likely this lung has collapsed. The second reads
the cells and says where the air is if it has; it learns from the lungs with a mask alone. Their
product is a map: P(air here) = P(this lung) P(here | this lung).

Masks are few, so phantoms may help to teach where air lies: their cells count less, since they are
not quite like those of patients.

A weak label says nothing about the side. So the lungs are taught in turns: each weakly labelled
image shares its label among its two lungs as the booster of the turn before would (expectation and
maximisation; multiple-instance learning, Dietterich et al., Artificial Intelligence 89, 1997).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from baseline.evidence_map.training_data import Floats, Places, TrainingData, collapsed, places
from baseline.learning import estimator
from features import trees
from features.cells.measure import MEASURES, Cells
from features.run import files

# The boosters of a judge, as their files are called.
PARTS = ("lungs", "cells")
# How often the weak labels are shared out among the lungs anew.
TURNS = 4
# Many small steps: each tree sees few features and images, so the sum of many is steadier.
LUNG_PARAMETERS = {
    "learning_rate": 0.02,
    "num_leaves": 8,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.03,
    "bagging_fraction": 0.7,
    "lambda_l2": 5.0,
    "rounds": 1200,
}
CELL_PARAMETERS = {
    "learning_rate": 0.033,
    "num_leaves": 16,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.5,
    "lambda_l2": 5.0,
    "rounds": 600,
}
# Weight of a phantom's cell beside a patient's.
PHANTOM_WEIGHT = 0.1


@dataclass(frozen=True)
class EvidenceModel:
    """Says which lung has collapsed, and where in a collapsed lung the air is."""

    lungs: lgb.Booster
    cells: lgb.Booster

    def lung(self, view: pd.DataFrame) -> Floats:
        """Probability that each lung of `by_lung` has collapsed, (n, 2)."""
        raw = np.asarray(self.lungs.predict(view.to_numpy(np.float32), raw_score=True), float)
        return expit(raw).reshape(2, -1).T

    def place(self, values: NDArray[np.floating]) -> Floats:
        """Probability of air in each cell of a collapsed lung, (n,)."""
        return expit(trees.predict(self._cell_trees, np.asarray(values, np.float32)))

    @cached_property
    def _cell_trees(self) -> trees.Trees:
        """The same trees, which say the same of an image's thousand cells twenty times as fast."""
        return trees.parse(self.cells.model_to_string())


def save(folder: Path, bench: list[EvidenceModel]) -> None:
    """Write the judges of all folds, in place of any that were there."""
    for what in PARTS:
        for path in folder.glob(f"{what}*.txt"):
            path.unlink()
        for fold, judge in enumerate(bench):
            files.write_text(folder / f"{what}{fold}.txt", getattr(judge, what).model_to_string())


def load(run: Path, fold: int) -> EvidenceModel:
    """Read the judge that saw none of a fold's images.

    Raises
    ------
    UserError
        If it is missing, is no LightGBM model, or asks for other measures than this version's.
    """
    folder = run / "evidence"
    judge = EvidenceModel(*(estimator.load(folder / f"{what}{fold}.txt") for what in PARTS))
    if judge.cells.num_feature() != len(MEASURES):
        raise files.UserError(
            f"{folder / f'cells{fold}.txt'}: it asks for {judge.cells.num_feature()} measures of a "
            f"cell, and this version takes {len(MEASURES)}; make the evidence and the baseline "
            "again."
        )
    return judge


def predict(judge: EvidenceModel, view: pd.DataFrame, cells: Cells) -> tuple[Floats, Floats]:
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
        booster = _fit(LUNG_PARAMETERS, values, target.T.ravel(), np.tile(weights, 2), seed)
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


def fit_model(
    material: TrainingData,
    without: tuple[int, ...],
    weak_weight: float,
    seed: int,
    phantoms: Places | None = None,
) -> EvidenceModel:
    """Teach a judge from the images of all folds but those in `without`.

    Parameters
    ----------
    material : Material
    without : tuple of int
    weak_weight : float
        Weight of a weakly labelled image in teaching which lung has collapsed.
    seed : int
    phantoms : Places, optional
        Cells of phantoms, which help to teach where the air lies.

    Raises
    ------
    UserError
        If no collapsed lung with a mask is left to learn from.
    """
    rows = material.rows
    taught = ((rows["fold"] >= 0) & ~rows["fold"].isin(without)).to_numpy()
    truth = collapsed(material)
    own = places(material.index, material.values, (truth == 1) & taught[:, None])
    if not len(own.shares):
        raise files.UserError(
            f"evidence: outside folds {' and '.join(map(str, without))} no image has a mask to "
            "learn from; use three folds or more, or a dataset with more positives."
        )
    chosen = np.flatnonzero(taught)
    weights = np.where(rows["label"].notna(), 1.0, weak_weight)
    lungs = fit_lungs(
        material.view.iloc[np.concatenate((chosen, chosen + len(rows)))],
        truth[chosen],
        rows["target"].to_numpy(float)[chosen],
        weights[chosen],
        seed,
    )
    return EvidenceModel(lungs, fit_cells(own, phantoms, seed))


def fit_cells(own: Places, phantoms: Places | None, seed: int) -> lgb.Booster:
    """Teach where in a collapsed lung the air lies, from cells with known shares of it."""
    parts = [own] if phantoms is None else [own, phantoms]
    weights = [
        np.full(len(part.shares), weight)
        for part, weight in zip(parts, (1.0, PHANTOM_WEIGHT), strict=False)
    ]
    return _fit(
        CELL_PARAMETERS,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.shares for part in parts]),
        np.concatenate(weights),
        seed,
    )


def describe(
    judge: EvidenceModel, material: TrainingData, images: NDArray[np.intp]
) -> tuple[Floats, Floats]:
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
