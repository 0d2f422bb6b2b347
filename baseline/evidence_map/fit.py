"""Fits an evidence model to the images of some folds.

The cells' booster learns from the lungs with a mask. Masks are few, so two other kinds of cells may
be added: those of lungs with a weak mask, which another model drew, and those of auxiliary
phantoms, which are not quite like those of patients and count less. Where no mask is known at all,
the phantoms' cells are all there is. Cells of healthy lungs count little: enough that the booster
knows such lungs, too little to dim its picture of collapsed ones.

A weak label belongs to an image, not to one of its lungs. So the lungs' booster is fitted in
several turns: in each, the weak label is divided between both lungs in proportion to the odds that
the booster of the turn before gives them (expectation and maximisation; multiple-instance learning,
Dietterich et al., Artificial Intelligence 89, 1997).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.training_data import (
    Floats,
    LabelledCells,
    TrainingData,
    cells_without_air,
    collapsed,
    healthy_lungs,
    labelled_cells,
    weakly_collapsed,
)
from features.run import memory
from features.run.files import UserError

# Number of these turns, if there are weak labels.
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
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.5,
    "lambda_l2": 5.0,
    "rounds": 800,
}
# Of so many cells with a weak mask one takes part.
WEAK_STEP = 3
# Most cells of one kind that are learned from, with a mask, with a weak one, or of healthy lungs:
# about as many as 1,250 images of SIIM-ACR have in lungs with a mask. An eighth of siim-mini's
# teach as much as all (tests/benchmarks/evidence_cells.py).
MOST_CELLS = 150_000


@dataclass(frozen=True, kw_only=True)
class SourceWeights:
    """How much each source counts; readers' labels and masks have a weight of 1."""

    weak_weight: float = 0.5
    """Weight of a weakly labelled image in training; a truly labelled one has 1."""
    weak_mask_weight: float = 1.0
    """Weight of a cell with a weak mask; one with a reader's mask has 1."""
    auxiliary_weight: float = 0.1
    """Weight of a cell of an auxiliary phantom."""
    healthy_weight: float = 0.3
    """Weight of all cells of healthy lungs together, as a share of that of collapsed ones."""


def fit_model(
    data: TrainingData,
    without: tuple[int, ...],
    source_weights: SourceWeights,
    seed: int,
    auxiliary: LabelledCells | None = None,
) -> EvidenceModel:
    """Fit a model to the images of all folds but those in `without`.

    Parameters
    ----------
    data : TrainingData
    without : tuple of int
    source_weights : SourceWeights
    seed : int
    auxiliary : LabelledCells, optional
        Cells of auxiliary phantoms, which help to learn where the air lies.

    Raises
    ------
    UserError
        If no collapsed lung with a mask is left to learn from, not even a phantom's.
    """
    rows = data.rows
    training = (rows["fold"].notna() & ~rows["fold"].isin(without)).to_numpy(bool)
    truth, weak = collapsed(data), weakly_collapsed(data)
    known_air, weak_air = (truth == 1) & training[:, None], weak & training[:, None]
    has_phantoms = auxiliary is not None and source_weights.auxiliary_weight > 0
    has_weak = weak_air.any() and source_weights.weak_mask_weight > 0
    if not (known_air.any() or has_weak or has_phantoms):
        raise UserError(
            f"evidence: outside folds {' and '.join(map(str, without))} no image has a mask to "
            "learn from; use three folds or more, a dataset with more positives, or phantoms to "
            "learn from (--auxiliary, with make AUXILIARY=300)."
        )
    images = np.flatnonzero(training)
    weights = np.where(rows["label"].notna(), 1.0, source_weights.weak_weight)
    target = rows["target"].to_numpy(float)
    # A weak mask says which lung, the weak label how likely.
    lung_targets = truth.copy()
    lung_targets[weak.any(axis=1)] = (weak * target[:, None])[weak.any(axis=1)]
    lungs = fit_lungs(
        data.lungs_of(images), lung_targets[images], target[images], weights[images], seed
    )
    # Cells are read once the lungs' features are no longer needed: not both are in memory.
    memory.give_back()
    weighted = _cells_of_collapsed(data, known_air, weak_air, source_weights, auxiliary)
    if source_weights.healthy_weight > 0:
        whole = healthy_lungs(data) & training[:, None]
        total = sum(weight * len(of_kind.shares) for of_kind, weight in weighted)
        weighted.append(_healthy(data, whole, source_weights.healthy_weight * total))
    return EvidenceModel(lungs, fit_cells(weighted, seed))


def _healthy(
    data: TrainingData, whole: NDArray[np.bool_], weight: float
) -> tuple[LabelledCells, float]:
    """Cells of healthy lungs, with the weight of one where all together have a given one."""
    without_air = cells_without_air(data, whole, MOST_CELLS)
    return without_air, weight / max(len(without_air.shares), 1)


def _cells_of_collapsed(
    data: TrainingData,
    known: NDArray[np.bool_],
    weak: NDArray[np.bool_],
    source_weights: SourceWeights,
    auxiliary: LabelledCells | None,
) -> list[tuple[LabelledCells, float]]:
    """Cells of the collapsed lungs of each source, with the weight of one; none of weight 0."""
    cells = labelled_cells(data.cells, data.values, known, most=MOST_CELLS)
    weak_cells = labelled_cells(data.cells, data.values, weak, "weak_share", WEAK_STEP, MOST_CELLS)
    weighted = [(cells, 1.0), (weak_cells, source_weights.weak_mask_weight)]
    if auxiliary is not None:
        weighted.append((auxiliary, source_weights.auxiliary_weight))
    return [(of_kind, weight) for of_kind, weight in weighted if weight > 0]


def fit_lungs(
    features: pd.DataFrame, truth: Floats, labels: Floats, weights: Floats, seed: int
) -> lgb.Booster:
    """Fit the booster that predicts which lung has collapsed.

    Parameters
    ----------
    features : (2 n, k) DataFrame
        Of `by_lung`.
    truth : (n, 2) array
        1 for a collapsed right and left lung, 0 for a whole one, between them where a weak mask
        says which; NaN where the side is unknown.
    labels : (n,) array in [0, 1]
        Label of the image, hard or soft.
    weights : (n,) array
    seed : int
    """
    target, unknown = truth.copy(), np.isnan(truth[:, 0])
    # In the first turn both lungs have an equal share.
    target[unknown] = labels[unknown, None] / 2
    values = features.to_numpy(np.float32)
    # The turns differ in their targets alone, so the values are put into bins once.
    dataset = _dataset(values, target.T.ravel(), np.tile(weights, 2))
    for _ in range(TURNS if unknown.any() else 1):
        booster = _fit(LUNG_PARAMETERS, dataset.set_label(target.T.ravel()), seed)
        odds = np.exp(np.asarray(booster.predict(values, raw_score=True), float)).reshape(2, -1).T
        share = odds / odds.sum(axis=1, keepdims=True)
        target[unknown] = (labels[:, None] * share)[unknown]
    return booster


def fit_cells(weighted: Sequence[tuple[LabelledCells, float]], seed: int) -> lgb.Booster:
    """Fit the booster that predicts where in a collapsed lung the air lies.

    Parameters
    ----------
    weighted : sequence of (LabelledCells, float)
        Cells of each kind, and the weight of one of them.
    seed : int
    """
    dataset = _dataset(
        np.concatenate([cells.values for cells, _ in weighted]),
        np.concatenate([cells.shares for cells, _ in weighted]),
        np.concatenate([np.full(len(cells.shares), weight) for cells, weight in weighted]),
    )
    return _fit(CELL_PARAMETERS, dataset, seed)


def _dataset(values: NDArray[np.float32], target: Floats, weights: Floats) -> lgb.Dataset:
    return lgb.Dataset(values, label=target, weight=weights, free_raw_data=True)


def _fit(parameters: dict[str, float], dataset: lgb.Dataset, seed: int) -> lgb.Booster:
    varied = dict(parameters)
    rounds = int(varied.pop("rounds"))
    fixed = {
        "objective": "cross_entropy",
        "bagging_freq": 1,
        "max_bin": 63,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    return lgb.train(varied | fixed, dataset, num_boost_round=rounds)
