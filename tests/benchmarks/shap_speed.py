"""Speed of exact SHAP values: ours, `shap.TreeExplainer` and LightGBM's own, booster by booster.

    .venv/bin/python tests/benchmarks/shap_speed.py RUN [REPEATS]

RUN is a run folder with a trained classifier. The three take turns, so that a busy machine slows
all of them alike; seconds of processor time (all threads together) and of the clock are both
printed. The numbers of images are those of one study, of what a booster explains in `make shap`
(its held-out fold and the test images), and all labelled images.
"""

import os

# Threads that wait for LightGBM's next call would else be charged to whoever comes after it.
os.environ["OMP_WAIT_POLICY"] = "passive"

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from arguments import arguments_or_help

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import shap

from baseline.explanation import trained_run, tree_shap
from features.run.folder import RunFolder


def by_explainer(booster: lgb.Booster, table: pd.DataFrame) -> tuple[float, np.ndarray]:
    """As shap's manual says."""
    explainer = shap.TreeExplainer(booster)
    values = np.asarray(explainer.shap_values(table))
    return float(explainer.expected_value), values  # known only after the values


def by_lightgbm(booster: lgb.Booster, table: pd.DataFrame) -> tuple[float, np.ndarray]:
    """LightGBM's contributions."""
    contributions = np.asarray(booster.predict(table.to_numpy(), pred_contrib=True))
    return float(contributions[0, -1]), contributions[:, :-1]


def by_ours(booster: lgb.Booster, table: pd.DataFrame) -> tuple[float, np.ndarray]:
    """As `baseline.explanation.attributions` computes them."""
    return tree_shap.shap_values(booster, table.to_numpy())


METHODS: dict[str, Callable[[lgb.Booster, pd.DataFrame], tuple[float, np.ndarray]]] = {
    "ours": by_ours,
    "shap.TreeExplainer": by_explainer,
    "LightGBM pred_contrib": by_lightgbm,
}


def measure(
    boosters: list[lgb.Booster], table: pd.DataFrame
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of processor and clock of each method on each booster; all must agree."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    for booster in boosters:
        results = []
        for name, method in METHODS.items():
            start = time.process_time(), time.perf_counter()
            results.append(method(booster, table))
            spent[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
        for base, values in results[1:]:
            gap = max(abs(base - results[0][0]), np.abs(values - results[0][1]).max())
            assert gap < 1e-9, gap
    return spent


def main(run: RunFolder, repeats: int = 1) -> None:
    """Print one row a method and number of images."""
    trained = trained_run.read(run.check())
    boosters, features = trained.boosters, trained.features
    table = features.for_model(features.index, 0)[list(trained.names)]
    by_ours(boosters[0], table[: tree_shap.FEWEST_IMAGES])  # compiled before the clock starts
    print(f"{boosters[0].num_trees()} trees, {table.shape[1]} features, {len(boosters)} boosters")
    print("| images | way | processor, s a booster | times ours (least to most) | clock, s | "
          "times ours |\n|---|---|---|---|---|---|")  # fmt: skip
    deployed = (trained.predicted["kind"] == "deployed").sum()
    explained = (trained.oof["fold"] == 0).sum() + deployed
    for count in (1, explained, len(trained.oof)):
        spent = measure(boosters * repeats, table[:count])
        ours = np.array(spent["ours"])
        for name, times in spent.items():
            seconds = np.median(times, axis=0)
            ratio = np.array(times) / ours
            low, middle, high = np.percentile(ratio[:, 0], (0, 50, 100))
            print(f"| {count} | {name} | {seconds[0]:.3f} | {middle:.1f} ({low:.1f} to {high:.1f}) "
                  f"| {seconds[1]:.3f} | {np.median(ratio[:, 1]):.1f} |")  # fmt: skip


if __name__ == "__main__":
    path, *repeats = arguments_or_help(__doc__)
    main(RunFolder(Path(path)), *map(int, repeats))
