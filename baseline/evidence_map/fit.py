"""Fits an evidence model to the images of some folds.

The cells' booster learns from the lungs with a mask alone. Masks are few, so auxiliary phantoms may
be added: their cells count less, since they are not quite like those of patients.

A weak label belongs to an image, not to one of its lungs. So the lungs' booster is fitted in
several turns: in each, the weak label is divided between both lungs in proportion to the odds that
the booster of the turn before gives them (expectation and maximisation; multiple-instance learning,
Dietterich et al., Artificial Intelligence 89, 1997).
"""

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.training_data import (
    Floats,
    LabelledCells,
    TrainingData,
    collapsed,
    labelled_cells,
)
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
    "learning_rate": 0.033,
    "num_leaves": 16,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.5,
    "lambda_l2": 5.0,
    "rounds": 600,
}
# Weight of an auxiliary phantom's cell; a patient's has 1.
AUXILIARY_WEIGHT = 0.1


def fit_model(
    data: TrainingData,
    without: tuple[int, ...],
    weak_weight: float,
    seed: int,
    auxiliary: LabelledCells | None = None,
) -> EvidenceModel:
    """Fit a model to the images of all folds but those in `without`.

    Parameters
    ----------
    data : TrainingData
    without : tuple of int
    weak_weight : float
        Weight of a weakly labelled image in learning which lung has collapsed.
    seed : int
    auxiliary : LabelledCells, optional
        Cells of auxiliary phantoms, which help to learn where the air lies.

    Raises
    ------
    UserError
        If no collapsed lung with a mask is left to learn from.
    """
    rows = data.rows
    training = (rows["fold"].notna() & ~rows["fold"].isin(without)).to_numpy(bool)
    truth = collapsed(data)
    cells = labelled_cells(data.cells, data.values, (truth == 1) & training[:, None])
    if not len(cells.shares):
        raise UserError(
            f"evidence: outside folds {' and '.join(map(str, without))} no image has a mask to "
            "learn from; use three folds or more, or a dataset with more positives."
        )
    images = np.flatnonzero(training)
    weights = np.where(rows["label"].notna(), 1.0, weak_weight)
    lungs = fit_lungs(
        data.lungs_of(images),
        truth[images],
        rows["target"].to_numpy(float)[images],
        weights[images],
        seed,
    )
    return EvidenceModel(lungs, fit_cells(cells, auxiliary, seed))


def fit_lungs(
    features: pd.DataFrame, truth: Floats, labels: Floats, weights: Floats, seed: int
) -> lgb.Booster:
    """Fit the booster that predicts which lung has collapsed.

    Parameters
    ----------
    features : (2 n, k) DataFrame
        Of `by_lung`.
    truth : (n, 2) array
        1 for a collapsed right and left lung, 0 for a whole one, NaN where the side is unknown.
    labels : (n,) array in [0, 1]
        Label of the image, hard or soft.
    weights : (n,) array
    seed : int
    """
    target, unknown = truth.copy(), np.isnan(truth[:, 0])
    # In the first turn both lungs have an equal share.
    target[unknown] = labels[unknown, None] / 2
    values = features.to_numpy(np.float32)
    for _ in range(TURNS if unknown.any() else 1):
        booster = _fit(LUNG_PARAMETERS, values, target.T.ravel(), np.tile(weights, 2), seed)
        odds = np.exp(np.asarray(booster.predict(values, raw_score=True), float)).reshape(2, -1).T
        share = odds / odds.sum(axis=1, keepdims=True)
        target[unknown] = (labels[:, None] * share)[unknown]
    return booster


def fit_cells(cells: LabelledCells, auxiliary: LabelledCells | None, seed: int) -> lgb.Booster:
    """Fit the booster that predicts where in a collapsed lung the air lies."""
    parts = [cells] if auxiliary is None else [cells, auxiliary]
    weights = [
        np.full(len(part.shares), weight)
        for part, weight in zip(parts, (1.0, AUXILIARY_WEIGHT), strict=False)
    ]
    return _fit(
        CELL_PARAMETERS,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.shares for part in parts]),
        np.concatenate(weights),
        seed,
    )


def _fit(
    parameters: dict[str, float],
    values: NDArray[np.float32],
    target: Floats,
    weights: Floats,
    seed: int,
) -> lgb.Booster:
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
    data = lgb.Dataset(values, label=target, weight=weights, free_raw_data=True)
    return lgb.train(varied | fixed, data, num_boost_round=rounds)
