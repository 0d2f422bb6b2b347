"""Other ways to train the classifier: ``python -m tests.benchmarks.classifier_variants RUN``.

Each way trains the models of all folds from the run's own feature table, in turns with the way it
is done, so that the ratio of their seconds holds on a busy machine too. They are scored out of
fold: against the known labels, and against the weak ones, which are many more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import tyro

from baseline.classifier.settings import TrainingSettings
from baseline.learning import feature_table, scores
from baseline.learning.estimator import Classifier, raw_scores
from baseline.learning.feature_table import FeatureTable
from baseline.learning.scores import Estimate
from baseline.learning.training_rows import training_rows
from features.run import command
from features.run.folder import RunFolder

# Rounds of the model whose gains choose the features, and how many features are kept.
SCOUT_ROUNDS, KEPT = 200, (1000, 300)

Fit = Callable[[pd.DataFrame, np.ndarray, np.ndarray, int], lgb.Booster]


@dataclass(frozen=True)
class Settings:
    """Compare ways to train the classifier."""

    run: tyro.conf.Positional[Path]
    """Run folder with features and evidence; it is only read."""
    seed: int = 0
    """Seed of the boosters."""


def fitted(
    table: pd.DataFrame,
    target: np.ndarray,
    weights: np.ndarray,
    seed: int,
    as_array: bool = False,
    rounds: int | None = None,
    **changes: object,
) -> lgb.Booster:
    """The classifier as it is, but for some parameters of LightGBM."""
    model = Classifier(seed=seed)
    values = table.to_numpy(np.float32) if as_array else table
    names = list(table.columns)
    data = lgb.Dataset(values, target, weight=weights, feature_name=names, free_raw_data=True)
    parameters = model._parameters(table) | changes
    return lgb.train(parameters, data, num_boost_round=rounds or model.rounds)


def preselected(
    table: pd.DataFrame, target: np.ndarray, weights: np.ndarray, seed: int, kept: int
) -> lgb.Booster:
    """Trained on the features that a short training gained most by.

    As many features take part in a tree as before.
    """
    scout = fitted(table, target, weights, seed, rounds=SCOUT_ROUNDS)
    best = np.sort(np.argsort(-scout.feature_importance("gain"), kind="stable")[:kept])
    share = min(1.0, Classifier().feature_share * table.shape[1] / kept)
    chosen = table.iloc[:, best]
    return fitted(chosen, target, weights, seed, feature_fraction=share)


def ranked(table: pd.DataFrame, target: np.ndarray, weights: np.ndarray, seed: int) -> lgb.Booster:
    """Trained to rank positives above negatives (LambdaRank), by hard labels."""
    hard, model = (target > 0.5).astype(int), Classifier(seed=seed)
    data = lgb.Dataset(table, label=hard, weight=weights, group=[len(hard)])
    changes = {"objective": "lambdarank", "lambdarank_truncation_level": len(hard)}
    return lgb.train(model._parameters(table) | changes, data, num_boost_round=model.rounds)


def ways() -> dict[str, Fit]:
    """Each way by its name; the first is the classifier as it is."""
    return {
        "as it is": fitted,
        "an array of float32": partial(fitted, as_array=True),
        "31 bins": partial(fitted, max_bin=31),
        "15 bins": partial(fitted, max_bin=15),
        "255 bins": partial(fitted, max_bin=255),
        "histograms of 64 MB": partial(fitted, histogram_pool_size=64.0),
        "rows by rows": partial(fitted, force_col_wise=False, force_row_wise=True),
        "a loss of ranks": ranked,
        **{f"the best {kept:,} features": partial(preselected, kept=kept) for kept in KEPT},
    }


def out_of_fold(
    fit: Fit, table: FeatureTable, rows: pd.DataFrame, seed: int
) -> tuple[np.ndarray, float]:
    """Log-odds of all images by models that saw neither them nor their patients.

    Also the seconds of the training.
    """
    raw, seconds, weak_weight = np.empty(len(rows)), 0.0, TrainingSettings().weak_weight
    for fold in range(rows["fold"].max() + 1):
        seen = rows["fold"] != fold
        part, features = rows[seen], table.for_model(rows["id"][seen], fold)
        weights = np.where(part["label"].notna(), 1.0, weak_weight)
        began = time.monotonic()
        booster = fit(features, part["target"].to_numpy(float), weights, seed + fold)
        seconds += time.monotonic() - began
        raw[~seen] = raw_scores(booster, table.for_model(rows["id"][~seen], fold))
    return raw, seconds


def main(settings: Settings) -> None:
    """Print the table."""
    run = RunFolder(settings.run).check()
    rows, table = training_rows(run.images()), feature_table.read(run, evidence=True)
    patients = rows["patient"].to_numpy(object)
    known, weak = rows["label"].notna().to_numpy(bool), rows["weak"].notna().to_numpy(bool)
    hard = np.where(known, rows["label"].to_numpy(float), rows["weak"].to_numpy(float) > 0.5)

    def auc(raw: np.ndarray, chosen: np.ndarray) -> Estimate:
        of = np.flatnonzero(chosen)
        return scores.bootstrap(
            lambda drawn: scores.auc(hard[of][drawn], raw[of][drawn]), patients[of]
        )

    print("| way | seconds | of the first's | AUC, known | less the first's | AUC, weak |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, fit in ways().items():
        first, its_seconds = out_of_fold(fitted, table, rows, settings.seed)
        raw, seconds = out_of_fold(fit, table, rows, settings.seed)

        def gap(drawn: np.ndarray, raw: np.ndarray = raw, first: np.ndarray = first) -> float:
            of = np.flatnonzero(known)[drawn]
            return scores.auc(hard[of], raw[of]) - scores.auc(hard[of], first[of])

        print(
            f"| {name} | {seconds:.0f} | {seconds / its_seconds:.2f} | {auc(raw, known)} | "
            f"{scores.bootstrap(gap, patients[known])} | {auc(raw, weak)} |",
            flush=True,
        )


if __name__ == "__main__":
    command.run(main, writes=False)
