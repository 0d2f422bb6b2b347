"""Whether the reasons can be trusted: do they point at the air, matter to the score, hold still?

Pointing game: Zhang et al., "Top-down neural attention by excitation backprop", IJCV 126, 2018.
Deletion: Petsiuk et al., "RISE", BMVC 2018; here measures are deleted, not pixels. Both are asked
of images that the explained model had not seen; stability compares all fold models on the truly
labelled images, most of which have seen them. 95% intervals by bootstrap over patients.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from baseline.explanation import attributions, overlays
from baseline.explanation.trained_run import Inputs, fingerprint, read_inputs
from baseline.learning import scores, training_table
from baseline.learning.estimator import load, raw_scores
from baseline.learning.scores import Estimate
from features.lungs.prepared import prepare
from features.lungs.zones import NAMES, SIDES, Zones
from features.reading import images, rle
from features.run import command, files, parallel

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# What is told of the pointing game.
POINTED = ("cell", "cell_chance", "lung")
# How many measures are deleted, in octaves.
DELETED = (1, 2, 4, 8, 16, 32, 64)
# Random deletions of each size that the chosen ones are compared with.
DRAWS = 5


@dataclass(frozen=True)
class Settings:
    """Ask how faithful the reasons of RUN are; write RUN/baseline/faithfulness.json."""

    run: Path
    """Run folder with a trained verdict."""
    seed: int = 0
    """Seed of the random deletions."""
    jobs: int = -1
    """Processes that look at X-rays; -1 for one a core."""


def point(evidence: pd.Series, zones: Zones, mask: Mask) -> dict[str, float]:
    """The pointing game on one image with pneumothorax.

    Parameters
    ----------
    evidence : Series
        Evidence by place, in log-odds: a row of `attributions.evidence`.
    zones : Zones
    mask : (h, w) array of bool
        True pneumothorax, of the zones' shape.

    Returns
    -------
    dict of str to float
        Whether the cell with most painted evidence touches the mask (``cell``) and the lung with
        more evidence holds more of it (``lung``), 0 or 1; what a random pixel of the lungs would
        give for the cell (``cell_chance``); and whether it is the left lung that holds more
        (``left``), NaN where neither holds any.
    """
    inside = (zones.labels >= 0).all(axis=0)
    stack = zones.labels[:, inside]
    painted = evidence[list(NAMES)].to_numpy(float)[stack].sum(axis=0)
    cells, lungs, air = stack[3], stack[0], mask[inside]
    touched = np.isin(cells, cells[air])
    by_lung = {lung: painted[lungs == lung].mean() for lung in np.unique(lungs)}
    held = {lung: int(air[lungs == lung].sum()) for lung in by_lung}
    most = max(by_lung, key=lambda lung: by_lung[lung])
    ill = {lung for lung in held if held[lung] == max(held.values()) and air.any()}
    return {
        "cell": float(touched[painted.argmax()]),
        "cell_chance": float(touched.mean()),
        "lung": float(most in ill),
        "left": float(NAMES.index("left_whole") in ill) if ill else np.nan,
    }


def sides(game: pd.DataFrame, patients: NDArray[np.object_]) -> dict[str, Any]:
    """How often the lung with more evidence is the collapsed one, for each side by itself.

    Where one side is ill more often, naming it always is right more often than not; so it is the
    mean over both sides that tells whether the reasons know the side. Without them it is 0.5.

    Parameters
    ----------
    game : (n, ...) DataFrame
        Rows of `point`.
    patients : (n,) array of str

    Returns
    -------
    dict
        Under "right" and "left" the lungs that were ill and how many of them were named, and under
        "balanced" the mean of both shares, with its interval; None if only one side was ill.
    """
    hit, left = game["lung"].to_numpy(), game["left"].to_numpy()  # NaN equals no side

    def balanced(rows: NDArray[np.intp]) -> float:
        parts = [hit[rows][left[rows] == side] for side in (0, 1)]
        return float(np.mean([part.mean() for part in parts])) if all(map(len, parts)) else np.nan

    found = {
        name: {"ill": int((left == side).sum()), "named": int(hit[left == side].sum())}
        for side, name in enumerate(SIDES)
    }
    estimate = scores.bootstrap(balanced, patients)
    return found | {"balanced": None if np.isnan(estimate.value) else asdict(estimate)}


def pointed(game: pd.DataFrame, patients: NDArray[np.object_]) -> dict[str, Any]:
    """The pointing game as it stands in faithfulness.json; see `point` and `sides`."""
    means = {name: asdict(scores.mean(game[name].to_numpy(), patients)) for name in POINTED}
    return means | {"sides": sides(game, patients)}


@dataclass(frozen=True)
class Order:
    """One image with pneumothorax, its true mask, and the evidence of its verdict."""

    path: str
    size: tuple[int, int]
    mask: str
    evidence: pd.Series


def point_at(order: Order) -> dict[str, float]:
    """Read an image and play the pointing game on it."""
    prepared = prepare(images.read(order.path)[1])
    truth = overlays.shrink(rle.decode(order.mask, order.size), prepared.scene.shape)
    return point(order.evidence, prepared.zones, truth)


def pointing(found: Inputs, jobs: int) -> tuple[pd.DataFrame, NDArray[np.object_]]:
    """The pointing game on the true positives: one row each, and their patients."""
    predicted = found.predicted
    chosen = (
        (predicted["kind"] == "oof")
        & (predicted["label"] > 0.5)
        & (predicted["probability"] >= 0.5)
    ).to_numpy()
    evidence = attributions.evidence(found.explanation, found.right)[chosen]
    studies = found.dataset.loc[evidence.index]
    orders = [
        Order(study["path"], (int(study["rows"]), int(study["columns"])), study["mask"], row)
        for (_, study), (_, row) in zip(studies.iterrows(), evidence.iterrows(), strict=True)
    ]
    rows = list(parallel.stream(point_at, orders, "pointing", jobs)) if orders else []
    return pd.DataFrame(rows), studies["patient"].to_numpy(object)


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
    plain = raw_scores(booster, table)
    ranked = np.argsort(-np.abs(values), axis=1, kind="stable")
    used = (values != 0).sum(axis=1)

    def moved(order: NDArray[np.intp]) -> Floats:
        return np.stack([np.abs(plain - _without(order, size)) for size in DELETED], axis=1)

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

    return moved(ranked), np.mean([moved(shuffled()) for _ in range(DRAWS)], axis=0)


def deletions(found: Inputs, boosters: list[lgb.Booster], seed: int) -> tuple[Floats, Floats]:
    """`deletion` on all truly labelled images, each by the model that had not seen it."""
    predicted, names = found.predicted, list(found.explanation.names)
    folds, known = predicted["fold"].to_numpy(), _known(predicted)
    rng = np.random.default_rng(seed)
    top = np.zeros((len(predicted), len(DELETED)))
    random = np.zeros_like(top)
    judged = np.unique(folds[known]).tolist()
    for fold in command.progress(judged, "deleting measures", unit="folds"):
        rows = known & (folds == fold)
        table = training_table.for_model(found.table, found.table.index, fold)[names]
        median = table[(folds >= 0) & (folds != fold)].median()
        top[rows], random[rows] = deletion(
            boosters[fold], table[rows], found.explanation.values[rows], median, rng
        )
    return top[known], random[known]


def agreement(evidence: Sequence[pd.DataFrame]) -> Floats:
    """Mean rank correlation of several models' reasons for each image, shape (n,).

    Parameters
    ----------
    evidence : sequence of (n, k) DataFrames
        Sums of SHAP values, one table a model. An image for which a model says the same of all
        counts as 0 with that model.
    """
    pairs = [
        [
            0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else float(spearmanr(a, b).statistic)
            for a, b in zip(one.to_numpy(), other.to_numpy(), strict=True)
        ]
        for one, other in combinations(evidence, 2)
    ]
    return np.mean(pairs, axis=0)


def stability(found: Inputs, boosters: list[lgb.Booster]) -> dict[str, Floats]:
    """Agreement of the fold models on each truly labelled image, by place and by family."""
    known = _known(found.predicted)
    table, right = found.table[known], found.right[known]
    places, families = [], []
    each = enumerate(command.progress(boosters, "comparing models", unit="models"))
    for fold, booster in each:
        one = attributions.explain_model(booster, table, fold)
        places.append(attributions.evidence(one, right))
        families.append(attributions.sums(one, "family"))
    return {"place": agreement(places), "family": agreement(families)}


def _known(predicted: pd.DataFrame) -> NDArray[np.bool_]:
    return ((predicted["kind"] == "oof") & predicted["label"].notna()).to_numpy(bool)


def examine(settings: Settings) -> dict[str, Any]:
    """All of it, as it stands in faithfulness.json."""
    found = read_inputs(settings.run)
    known = _known(found.predicted)
    patients = found.dataset.loc[found.predicted["id"][known], "patient"].to_numpy(object)
    folds = range(int(found.predicted["fold"].max()) + 1)
    boosters = [load(settings.run / "baseline" / f"fold{fold}.txt") for fold in folds]
    game, owners = pointing(found, settings.jobs)
    top, random = deletions(found, boosters, settings.seed)
    agreed = stability(found, boosters)
    # The mean over octaves is the area under the curve against the logarithm of their number.
    means = {"top": top.mean(axis=1), "random": random.mean(axis=1)}
    means["gain"] = means["top"] - means["random"]
    return {
        "judged": fingerprint(found.predicted),
        "pointing": {"images": len(game)} | (pointed(game, owners) if len(game) else {}),
        "deletion": {
            "sizes": list(DELETED),
            "top": top.mean(axis=0).tolist(),
            "random": random.mean(axis=0).tolist(),
            "area": {name: asdict(scores.mean(value, patients)) for name, value in means.items()},
        },
        "stability": {name: asdict(scores.mean(value, patients)) for name, value in agreed.items()},
    }


def main(settings: Settings) -> None:
    """Print the figures and write baseline/faithfulness.json."""
    found = examine(settings)
    files.write_json(settings.run / "baseline" / "faithfulness.json", found)
    game, deleted = found["pointing"], found["deletion"]
    print(f"pointing game on {game['images']} true positives")
    if game["images"]:
        cell, chance, lung = (Estimate(**game[key]) for key in POINTED)
        print(f"  the cell with most evidence touches pneumothorax: {cell}; by chance {chance}")
        told = game["sides"]
        each = [f"{told[side]['named']} of {told[side]['ill']} {side} ones" for side in SIDES]
        print(f"  the lung with more evidence is the collapsed one: {lung}; {', '.join(each)}")
        if told["balanced"]:
            print(f"  mean of both sides (by chance 0.5): {Estimate(**told['balanced'])}")
    print("deletion: change of the raw score, in log-odds")
    print("  measures  " + "".join(f"{size:7d}" for size in deleted["sizes"]))
    for name in ("top", "random"):
        area = Estimate(**deleted["area"][name])
        print(
            f"  {name:9s} " + "".join(f"{value:7.2f}" for value in deleted[name]), f" mean {area}"
        )
    print(f"  top less random, mean: {Estimate(**deleted['area']['gain'])}")
    print("stability: rank correlation of the fold models' reasons")
    for name, value in found["stability"].items():
        print(f"  by {name}: {Estimate(**value)}")


if __name__ == "__main__":
    command.run(main)
