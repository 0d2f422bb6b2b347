"""Whether the reasons can be trusted: do they point at the air, matter to the score, hold still?

Pointing: see `baseline.evaluation.pointing_game`. Deletion: Petsiuk et al., "RISE", BMVC 2018; here
measures are deleted, not pixels. Both are measured on images that the explained model has not seen;
stability compares all fold models on the truly labelled images, most of which have seen them. 95%
intervals by bootstrap over patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from baseline.evaluation.pointing_game import pointing
from baseline.evaluation.results import Deletion, Faithfulness, Stability
from baseline.explanation import attributions, trained_run
from baseline.explanation.trained_run import TrainedRun, fingerprint
from baseline.learning import scores
from baseline.learning.estimator import raw_scores
from features.dataset.folds import by_fold
from features.lungs.zones import SIDES
from features.run import command, files
from features.run.folder import RunFolder

Floats = NDArray[np.float64]

# Numbers of deleted measures, each twice the one before.
DELETED = (1, 2, 4, 8, 16, 32, 64)
# Random deletions of each size that the chosen ones are compared with.
DRAWS = 5


@dataclass(frozen=True)
class Settings:
    """Evaluate how faithful the reasons of RUN are; write RUN/baseline/faithfulness.json."""

    run: Path
    """Run folder with SHAP values."""
    seed: int = 0
    """Seed of the random deletions."""
    jobs: int = -1
    """Processes that look at X-rays; -1 for one a core."""


def deletion(
    booster: lgb.Booster,
    table: pd.DataFrame,
    values: Floats,
    median: pd.Series,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """How far the score moves if measures are set to the training median.

    Parameters
    ----------
    booster : Booster
    table : (n, m) DataFrame
        Features in the booster's order.
    values : (n, m) array
        Their SHAP values.
    median : (m,) Series
        What a deleted measure is set to.
    rng : Generator

    Returns
    -------
    top, random : (n, sizes) arrays
        Absolute change of the raw score for each size of `DELETED`: the measures with the largest
        absolute SHAP values, and the mean over random ones that had any SHAP value at all.
    """
    unchanged = raw_scores(booster, table)
    ranked = np.argsort(-np.abs(values), axis=1, kind="stable")
    used = (values != 0).sum(axis=1)

    def change(order: NDArray[np.intp]) -> Floats:
        return np.stack([np.abs(unchanged - _without(order, size)) for size in DELETED], axis=1)

    def _without(order: NDArray[np.intp], size: int) -> Floats:
        changed = table.to_numpy(float).copy()
        for row, count in enumerate(np.minimum(size, used)):
            columns = order[row, :count]
            changed[row, columns] = median.to_numpy()[columns]
        return raw_scores(booster, pd.DataFrame(changed, columns=table.columns))

    def shuffled() -> NDArray[np.intp]:
        order = ranked.copy()
        for row, count in enumerate(used):
            order[row, :count] = rng.permutation(order[row, :count])
        return order

    return change(ranked), np.mean([change(shuffled()) for _ in range(DRAWS)], axis=0)


def deletions(trained: TrainedRun, seed: int) -> tuple[Floats, Floats]:
    """`deletion` on all truly labelled images, each by the model that has not seen it."""
    predicted = trained.predicted
    known = np.flatnonzero(_known(predicted))
    rng = np.random.default_rng(seed)
    top = np.zeros((len(known), len(DELETED)))
    random = np.zeros_like(top)
    parts = list(by_fold(predicted["fold"].iloc[known]))
    for fold, rows in command.progress(parts, "deleting measures", unit="folds"):
        assert fold is not None  # truly labelled images belong to a fold
        features, training = trained.seen_by(predicted["id"].iloc[known[rows]], fold)
        values = trained.explanation.values[known[rows]]
        median = training.median()
        top[rows], random[rows] = deletion(trained.boosters[fold], features, values, median, rng)
    return top, random


def agreement(tables: Sequence[pd.DataFrame]) -> Floats:
    """Mean rank correlation of several models' reasons for each image, shape (n,).

    Parameters
    ----------
    tables : sequence of (n, k) DataFrames
        Sums of SHAP values, one table a model. For an image whose sums are all equal in one model,
        the correlation with that model counts as 0.
    """
    pairs = [
        [
            0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else float(spearmanr(a, b).statistic)
            for a, b in zip(first.to_numpy(), second.to_numpy(), strict=True)
        ]
        for first, second in combinations(tables, 2)
    ]
    return np.mean(pairs, axis=0)


def stability(trained: TrainedRun) -> tuple[Floats, Floats]:
    """Agreement of the fold models on each truly labelled image, by place and by family."""
    known = _known(trained.predicted)
    ids = trained.fold.index[known]
    right = trained.right[known]
    places, families = [], []
    boosters = command.progress(trained.boosters, "comparing models", unit="models")
    for fold, booster in enumerate(boosters):
        explanation = attributions.explain_model(booster, trained.features, ids, fold)
        places.append(attributions.by_place(explanation, right))
        families.append(attributions.sums(explanation, "family"))
    return agreement(places), agreement(families)


def _known(predicted: pd.DataFrame) -> NDArray[np.bool_]:
    return ((predicted["kind"] == "oof") & predicted["label"].notna()).to_numpy(bool)


def evaluate(run: RunFolder, seed: int, jobs: int) -> Faithfulness:
    """All checks of a run."""
    trained = trained_run.read(run)
    trained.check_models()
    known = trained.predicted["id"][_known(trained.predicted)]
    patients = trained.dataset.loc[known, "patient"].to_numpy(object)
    pointed = pointing(trained, jobs)
    top, random = deletions(trained, seed)
    place, family = stability(trained)
    # The mean over these sizes is the area under the curve against the logarithm of the size.
    top_mean, random_mean = top.mean(axis=1), random.mean(axis=1)
    return Faithfulness(
        predictions=fingerprint(trained.predicted),
        pointing=pointed,
        deletion=Deletion(
            list(DELETED),
            top.mean(axis=0).tolist(),
            random.mean(axis=0).tolist(),
            top_mean=scores.mean(top_mean, patients),
            random_mean=scores.mean(random_mean, patients),
            gain=scores.mean(top_mean - random_mean, patients),
        ),
        stability=Stability(scores.mean(place, patients), scores.mean(family, patients)),
    )


def show(results: Faithfulness) -> None:
    """Print the figures."""
    game, deleted = results.pointing, results.deletion
    if game is None:
        print("pointing game: no true positive to play it on")
    else:
        print(f"pointing game on {game.images} true positives")
        print(
            f"  the zone with the largest contribution touches pneumothorax: {game.zone}; "
            f"by chance {game.zone_chance}"
        )
        sides = zip(SIDES, (game.right, game.left), strict=True)
        counts = ", ".join(f"{side.named} of {side.collapsed} {name} ones" for name, side in sides)
        print(
            f"  the lung with the larger contribution is the collapsed one: {game.lung}; {counts}"
        )
        if game.balanced:
            print(f"  mean of both sides (by chance 0.5): {game.balanced}")
    print("deletion: change of the raw score, in log-odds")
    print("  measures  " + "".join(f"{size:7d}" for size in deleted.sizes))
    for name, changes, mean in (
        ("top", deleted.top, deleted.top_mean),
        ("random", deleted.random, deleted.random_mean),
    ):
        print(f"  {name:9s} " + "".join(f"{value:7.2f}" for value in changes), f" mean {mean}")
    print(f"  top less random, mean: {deleted.gain}")
    print("stability: rank correlation of the fold models' reasons")
    print(f"  by place: {results.stability.place}\n  by family: {results.stability.family}")


def main(settings: Settings) -> None:
    """Print the figures and write baseline/faithfulness.json."""
    run = RunFolder(settings.run).check()
    results = evaluate(run, settings.seed, settings.jobs)
    files.write_record(run.faithfulness, results)
    show(results)


if __name__ == "__main__":
    command.run(main)
