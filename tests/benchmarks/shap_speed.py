"""Speed of exact SHAP values: ours, `shap.TreeExplainer` and LightGBM's own, booster by booster.

    .venv/bin/python tests/benchmarks/shap_speed.py RUN [REPEATS]

RUN is a run folder with a trained verdict. The three take turns, so that a busy machine troubles
all alike; seconds of processor time (all threads together) and of the clock are both given. The
numbers of images are those of one study, of what the report asks of a booster (its held-out fold
and the test images), and all labelled images.
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
from arguments import given

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import shap

from baseline.explanation import tree_shap
from baseline.learning import feature_table
from baseline.learning.estimator import load
from features.run.folder import RunFolder


def by_explainer(booster: lgb.Booster, table: pd.DataFrame) -> tuple[float, np.ndarray]:
    """As shap's manual says."""
    explainer = shap.TreeExplainer(booster)
    values = np.asarray(explainer.shap_values(table))
    return float(explainer.expected_value), values  # known only after the values


def by_lightgbm(booster: lgb.Booster, table: pd.DataFrame) -> tuple[float, np.ndarray]:
    """LightGBM's contributions."""
    found = np.asarray(booster.predict(table.to_numpy(), pred_contrib=True))
    return float(found[0, -1]), found[:, :-1]


def by_ours(booster: lgb.Booster, table: pd.DataFrame) -> tuple[float, np.ndarray]:
    """As `baseline.explanation.attributions` computes them."""
    return tree_shap.shap_values(booster, table.to_numpy())


WAYS: dict[str, Callable[[lgb.Booster, pd.DataFrame], tuple[float, np.ndarray]]] = {
    "ours": by_ours,
    "shap.TreeExplainer": by_explainer,
    "LightGBM pred_contrib": by_lightgbm,
}


def main(run: Path, repeats: int = 1) -> None:
    """Print one row a way and number of images."""
    features = feature_table.read(RunFolder(run), evidence=True)
    table = features.for_model(features.index, 0)
    boosters = [load(path) for path in sorted((run / "baseline").glob("fold*.txt"))]
    table = table[boosters[0].feature_name()]
    by_ours(boosters[0], table[: tree_shap.FEWEST_IMAGES])  # compiled before the clock starts
    print(f"{boosters[0].num_trees()} trees, {table.shape[1]} features, {len(boosters)} boosters")
    print("| images | way | processor, s a booster | times ours (least to most) | clock, s | "
          "times ours |\n|---|---|---|---|---|---|")  # fmt: skip
    judged = pd.read_csv(run / "baseline" / "oof.csv"), pd.read_csv(run / "baseline" / "test.csv")
    asked = (judged[0]["fold"] == 0).sum() + (judged[1]["kind"] == "deployed").sum()
    for count in (1, asked, len(judged[0])):
        part = table[:count]
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
        for booster in boosters * repeats:
            answers = []
            for name, way in WAYS.items():
                start = time.process_time(), time.perf_counter()
                answers.append(way(booster, part))
                spent[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
            for base, values in answers[1:]:
                gap = max(abs(base - answers[0][0]), np.abs(values - answers[0][1]).max())
                assert gap < 1e-9, gap
        ours = np.array(spent["ours"])
        for name, found in spent.items():
            seconds = np.median(found, axis=0)
            ratio = np.array(found) / ours
            low, middle, high = np.percentile(ratio[:, 0], (0, 50, 100))
            print(f"| {count} | {name} | {seconds[0]:.3f} | {middle:.1f} ({low:.1f} to {high:.1f}) "
                  f"| {seconds[1]:.3f} | {np.median(ratio[:, 1]):.1f} |")  # fmt: skip


if __name__ == "__main__":
    run, *repeats = given(__doc__)
    main(Path(run), *map(int, repeats))
