"""Other ways to train the classifier: ``python -m tests.benchmarks.classifier_variants RUN``.

Each way trains the models of all folds from the run's own feature table and scores them out of
fold: against the known labels, and against the weak ones, which are many more. Seconds and memory
are those of the training alone, and ``--copies`` repeats each training image so many times, to see
them at the size of the challenge (the scores are still those of the run's own images, but an
image's copies make its weight larger, so they are not comparable). One way after the other, in
turns with the first, so that the ratio holds on a busy machine too.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import tyro

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
    copies: int = 1
    """How many times each training image is taken."""
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
    fit: Fit, table: FeatureTable, rows: pd.DataFrame, settings: Settings
) -> tuple[np.ndarray, float, float]:
    """Log-odds of all images by models that saw neither them nor their patients.

    Also the seconds of the training, and how much memory it took at most, in GiB.
    """
    raw, seconds, most = np.empty(len(rows)), 0.0, 0.0
    for fold in range(rows["fold"].max() + 1):
        seen = rows["fold"] != fold
        part = rows[seen].iloc[np.tile(np.arange(seen.sum()), settings.copies)]
        target, weights = part["target"].to_numpy(float), np.where(part["label"].notna(), 1.0, 0.5)
        features = table.for_model(part["id"], fold)
        peak, began = Peak(), time.monotonic()
        booster = fit(features, target, weights, settings.seed + fold)
        seconds, most = seconds + time.monotonic() - began, max(most, peak.stop())
        held_out = table.for_model(rows["id"][~seen], fold)
        raw[~seen] = raw_scores(booster, held_out)
    return raw, seconds, most


def resident() -> int:
    """Memory of this process in kB; Linux only."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0])


class Peak(threading.Thread):
    """Most memory of this process while it goes on, in GiB above what it had."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before, self.most, self.ended = (
            resident(),
            0,
            threading.Event(),
        )
        self.start()

    def run(self) -> None:
        """Look five times a second."""
        while not self.ended.wait(0.2):
            self.most = max(self.most, resident())

    def stop(self) -> float:
        """The most so far; no more looking."""
        self.ended.set()
        return max(self.most - self.before, 0) / 2**20


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

    print("| way | seconds | of the first's | GiB | AUC, known | less the first's | AUC, weak |")
    print("|---|---|---|---|---|---|---|", flush=True)
    first_way, *others = ways().items()
    for name, fit in (first_way, *others):
        first, its_seconds, its_most = out_of_fold(first_way[1], table, rows, settings)
        raw, seconds, most = (
            out_of_fold(fit, table, rows, settings)
            if fit is not first_way[1]
            else (first, its_seconds, its_most)
        )

        def gap(drawn: np.ndarray, raw: np.ndarray = raw, first: np.ndarray = first) -> float:
            of = np.flatnonzero(known)[drawn]
            return scores.auc(hard[of], raw[of]) - scores.auc(hard[of], first[of])

        print(
            f"| {name} | {seconds:.0f} | {seconds / its_seconds:.2f} | {most:.2f} | "
            f"{auc(raw, known)} | {scores.bootstrap(gap, patients[known])} | {auc(raw, weak)} |",
            flush=True,
        )


if __name__ == "__main__":
    command.run(main, writes=False)
