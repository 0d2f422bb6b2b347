"""What the report is made from: a run's predictions, checked against its models, and their reasons.

Predictions are read as `baseline.classifier.train` wrote them and computed once more from the saved models, so
that a report never explains a score that another model gave.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.explanation import attributions
from baseline.explanation.attributions import Explanation
from baseline.explanation.sentences import Case, percentiles
from baseline.learning import calibrate, predictions, scores, training_table
from baseline.learning.calibrate import Calibration
from baseline.learning.estimator import load
from features.families.table import read as read_features
from features.run import files
from features.run.files import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """What the report is made from.

    Parameters
    ----------
    dataset : DataFrame
        Rows of dataset.parquet, indexed by image id.
    table : DataFrame
        Features of all predicted images, indexed by image id, for `tables.for_model`.
    own : DataFrame
        The same as the models see them that judge each.
    predicted : DataFrame
        Predictions of the same images in the same order, out of fold and deployed.
    metrics : dict
        Content of baseline/metrics.json.
    truth : DataFrame or None
        Test truth, read for scoring alone.
    calibrations : dict of int to Calibration
        By fold; -1 for deployed images.
    explanation : Explanation
        SHAP values of the same images in the same order, in calibrated log-odds.
    right : (n, m) array
        Share of the right lung in each feature, from `attributions.right_shares`.
    """

    dataset: pd.DataFrame
    table: pd.DataFrame
    own: pd.DataFrame
    predicted: pd.DataFrame
    metrics: dict[str, Any]
    truth: pd.DataFrame | None
    calibrations: dict[int, Calibration]
    explanation: Explanation
    right: Floats

    @property
    def has_evidence(self) -> bool:
        """Whether the models listen to an evidence map."""
        return asks_for_evidence(self.explanation.names)


def asks_for_evidence(names: Sequence[str]) -> bool:
    """Whether a model of these features listens to an evidence map."""
    return any(name.startswith("evidence.") for name in names)


def read_inputs(run: Path) -> Inputs:
    """Read a run folder and explain all its predictions.

    Raises
    ------
    UserError
        If a file is missing, or the predictions are not those of the saved models.
    """
    dataset = files.read_table(run / "dataset.parquet").set_index("id")
    oof = predictions.read(run / "baseline" / "oof.csv")
    test = predictions.read(run / "baseline" / "test.csv")
    metrics = files.read_json(run / "baseline" / "metrics.json")
    if "out_of_fold" not in metrics:
        raise UserError(f"{run / 'baseline' / 'metrics.json'}: no scores; run `make baseline`.")
    _check_scores(run, metrics["out_of_fold"], oof)
    predicted = pd.concat((oof, test[test["kind"] == "deployed"]), ignore_index=True)
    table = read_features(run)
    unknown = set(predicted["id"]) - (set(table.index) & set(dataset.index))
    if unknown:
        raise UserError(
            f"{run / 'baseline'}: {min(unknown)} is predicted, but features.parquet or "
            "dataset.parquet does not hold it; run `make baseline` again."
        )
    table = table.loc[predicted["id"]]
    boosters = [load(run / "baseline" / f"fold{k}.txt") for k in range(oof["fold"].max() + 1)]
    if asks_for_evidence(boosters[0].feature_name()):
        table = training_table.with_evidence(run, table)
    explanation = attributions.explain(boosters, table, predicted["fold"].to_numpy())
    calibrations = read_calibrations(run, oof)
    _check_fresh(run, predicted, explanation, calibrations)
    own_calibration = [calibrations[fold] for fold in predicted["fold"]]
    explanation = attributions.calibrated(
        explanation,
        np.array([one.slope for one in own_calibration]),
        np.array([one.intercept for one in own_calibration]),
    )
    truth_path = run / "truth.parquet"
    truth = files.read_table(truth_path) if truth_path.exists() else None
    folds = predicted["fold"].to_numpy()
    own = training_table.own(table, folds)
    right = _right_shares(table, folds, explanation.names)
    return Inputs(dataset, table, own, predicted, metrics, truth, calibrations, explanation, right)


def _right_shares(
    table: pd.DataFrame, folds: NDArray[np.integer], names: tuple[str, ...]
) -> Floats:
    """`attributions.right_shares` of each image among those that taught the models judging it."""
    right = np.empty((len(table), len(names)))
    for fold in np.unique(folds):
        seen = training_table.for_model(table, table.index, int(fold))
        teachers = seen[(folds >= 0) & (folds != fold)]
        right[folds == fold] = attributions.right_shares(names, seen[folds == fold], teachers)
    return right


def fingerprint(predicted: pd.DataFrame) -> str:
    """What tells whether a judgement is about these out-of-fold predictions."""
    told = predicted.loc[predicted["kind"] == "oof", ["id", "fold", "raw", "probability"]]
    return hashlib.sha256(told.to_csv(index=False, float_format="%.6f").encode()).hexdigest()[:16]


def read_judgement(run: Path, stage: str, predicted: pd.DataFrame) -> dict[str, Any] | None:
    """What `baseline.evaluation.shortcuts` or `baseline.evaluation.faithfulness` found; None if it was not run.

    Raises
    ------
    UserError
        If it judged other predictions.
    """
    path = run / "baseline" / f"{stage}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = files.read_json(path)
    if found.get("judged") != fingerprint(predicted):
        raise UserError(f"{path}: it judged other predictions; run `make {stage}` again.")
    return found


def read_calibrations(run: Path, oof: pd.DataFrame) -> dict[int, Calibration]:
    """The calibration of each fold, fitted on the other folds, and under -1 the deployed one."""
    stored = files.read_json(run / "baseline" / "calibration.json")
    found = {-1: Calibration(float(stored["slope"]), float(stored["intercept"]))}
    known = oof[oof["label"].notna()]
    for fold in range(oof["fold"].max() + 1):
        other = known[known["fold"] != fold]
        found[fold] = calibrate.fit(other["raw"].to_numpy(), other["label"].to_numpy(float))
    return found


def _check_scores(run: Path, found: dict[str, Any], oof: pd.DataFrame) -> None:
    """Refuse scores of other predictions."""
    known = oof[oof["label"].notna()]
    auc = scores.auc(known["label"].to_numpy(), known["probability"].to_numpy())
    told = found.get("auc", {}).get("value", np.nan)
    if found.get("images") != len(known) or not abs(told - auc) <= attributions.TOLERANCE:
        raise UserError(
            f"{run / 'baseline' / 'metrics.json'}: its scores are not those of oof.csv; run "
            "`make baseline` again."
        )


def _check_fresh(
    run: Path,
    predicted: pd.DataFrame,
    explanation: Explanation,
    calibrations: dict[int, Calibration],
) -> None:
    """Refuse predictions that are not those of the models explained."""
    raw = predicted["raw"].to_numpy()
    gap = np.abs(explanation.scores - raw)
    calibrated = [calibrations[f](np.array(r)) for f, r in zip(predicted["fold"], raw, strict=True)]
    gap = np.maximum(gap, np.abs(np.array(calibrated) - predicted["probability"]))
    if gap.max() > attributions.TOLERANCE:
        raise UserError(
            f"{run / 'baseline'}: the prediction of {predicted['id'][int(gap.argmax())]} is not "
            "that of the saved models; run `make baseline` again."
        )


def make_cases(inputs: Inputs, rows: list[int]) -> list[Case]:
    """The numbers behind the sentences on some images, given by their row numbers.

    An image is compared with those that taught the models judging it.
    """
    names = inputs.explanation.names
    folds = inputs.predicted["fold"].to_numpy()
    ranks = np.empty((len(rows), len(names)))
    for fold in np.unique(folds[rows]):
        own = np.flatnonzero(folds[rows] == fold)
        seen = training_table.for_model(inputs.table, inputs.table.index, int(fold))
        features = seen[list(names)].to_numpy()
        teachers = features[(folds >= 0) & (folds != fold)]
        ranks[own] = percentiles(teachers, features[np.array(rows)[own]])
    return [
        Case(
            names=names,
            shap=inputs.explanation.values[row],
            base=float(inputs.explanation.base[row]),
            percentiles=rank,
            right=inputs.right[row],
        )
        for row, rank in zip(rows, ranks, strict=True)
    ]
