"""Scores over several splits of one dataset into folds: each run's, and their mean.

    .venv/bin/python tests/benchmarks/splits.py RUN RUN...

Each RUN is of the same images and patients, with another SEED (make submission DATA=... SEED=1
RUN=...), so that models, folds and rules are drawn anew. Every score is out of fold. The interval
of a mean is a bootstrap over patients, each with what all splits say of it; the least and the most
of the runs stand beside it.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from arguments import given
from numpy.typing import NDArray

from baseline.gate import choose, rules
from baseline.learning import predictions, scores
from cnn.gate import evaluate
from cnn.gate.sources import SOURCES
from features.run import files

Floats = NDArray[np.float64]


def verdicts(run: Path) -> pd.DataFrame:
    """The out-of-fold verdict of each image of a run, in the order of the ids."""
    return predictions.read(run / "baseline" / "oof.csv").sort_values("id", ignore_index=True)


def masks(run: Path, ids: pd.Series) -> tuple[dict[str, rules.GateInputs], NDArray[np.integer]]:
    """Evidence of the images with a known mask in the order of the ids, and their folds."""
    rows = evaluate.read_sized(run, "oof").sort_values("id")
    rows = rows[rows["mask"].notna()].reset_index(drop=True)
    if list(rows["id"]) != list(ids):
        raise files.UserError(f"{run}: other images have a known mask there than a known label.")
    return evaluate.collect((run,), rows, run.name), rows["fold"].to_numpy()


def row(name: str, values: Floats, whole: scores.Estimate) -> str:
    """A line of the table: the runs' scores, their mean with its interval, the least and most."""
    single = " | ".join(f"{value:.3f}" for value in values)
    return f"| {name} | {single} | {whole} | {values.min():.3f} to {values.max():.3f} |"


def by_mean(name: str, per_image: list[Floats], patients: NDArray[np.object_]) -> str:
    """The line of a score that is a mean over images, one array a run."""
    values = np.array([one.mean() for one in per_image])
    return row(name, values, scores.mean(np.mean(per_image, axis=0), patients))


def by_auc(name: str, labels: Floats, raw: list[Floats], patients: NDArray[np.object_]) -> str:
    """The line of an AUC, one array of scores a run."""

    def mean(rows: NDArray[np.intp]) -> float:
        return float(np.mean([scores.auc(labels[rows], one[rows]) for one in raw]))

    values = np.array([scores.auc(labels, one) for one in raw])
    return row(name, values, scores.bootstrap(mean, patients))


def of_verdict(found: list[pd.DataFrame]) -> list[str]:
    """AUC of the verdict on true labels, and its agreement with weak ones."""
    lines = []
    for name, column in (("verdict, AUC on true labels", "label"), ("on weak labels", "weak")):
        known = found[0][column].notna().to_numpy() if column in found[0] else np.zeros(1, bool)
        if known.any():
            rows = [one[known] for one in found]
            labels = (rows[0][column].to_numpy(float) > 0.5).astype(float)
            raw = [one["probability"].to_numpy(float) for one in rows]
            lines.append(by_auc(name, labels, raw, rows[0]["patient"].to_numpy(object)))
    return lines


def of_masks(runs: list[Path], rows: pd.DataFrame) -> list[str]:
    """Dice of the masks by themselves, at the best level and at the others', and of each policy."""
    found = [masks(run, rows["id"]) for run in runs]
    patients = rows["patient"].to_numpy(object)
    positive = found[0][0]["unet"].positive == 1
    lines = []
    for source, told in SOURCES.items():
        dices = [evidence[source].dice[positive] for evidence, _ in found]
        best = [dice[:, dice.mean(axis=0).argmax()] for dice in dices]
        lines.append(by_mean(f"{told}, Dice on positives", best, patients[positive]))
        others = [
            evaluate.at_others_level(dice, folds[positive])
            for dice, (_, folds) in zip(dices, found, strict=True)
        ]
        lines.append(by_mean(f"{told}, at the others' level", others, patients[positive]))
        tops = [evidence[source].top[:, rules.TOP] for evidence, _ in found]
        labels = positive.astype(float)
        lines.append(by_auc(f"{told}, AUC of the top score", labels, tops, patients))
    for policy in rules.POLICIES:
        source = rules.source(policy)
        earned = [choose.nested(policy, evidence[source], folds) for evidence, folds in found]
        lines.append(by_mean(f"`{policy}`", earned, patients))
    inside = [choose.nested_default(evidence, folds) for evidence, folds in found]
    return [*lines, by_mean("the policy chosen inside", inside, patients)]


def of_evidence(runs: list[Path]) -> list[str]:
    """What the evidence map's own scores are: means of the runs', without an interval."""
    found = [files.read_json(run / "evidence" / "metrics.json") for run in runs]
    lines = []
    for key in (key for key in found[0] if all(key in one for one in found)):
        values = np.array([one[key]["value"] for one in found])
        single = " | ".join(f"{value:.3f}" for value in values)
        spread = f"{values.min():.3f} to {values.max():.3f}"
        lines.append(f"| evidence map, {key} | {single} | {values.mean():.3f} | {spread} |")
    return lines


def main(runs: list[Path]) -> None:
    """Print one table: a line a score, a column a run."""
    found = [verdicts(run) for run in runs]
    for run, other in zip(runs, found, strict=True):
        if not other[["id", "patient"]].equals(found[0][["id", "patient"]]):
            raise files.UserError(f"{run}: is of other images or patients than {runs[0]}.")
    known = found[0][found[0]["label"].notna()]
    lines = [*of_evidence(runs), *of_verdict(found), *of_masks(runs, known)]
    print(f"| | {' | '.join(run.name for run in runs)} | mean | least to most |")
    print("|---" * (len(runs) + 3) + "|")
    print("\n".join(lines))


if __name__ == "__main__":
    try:
        main([Path(name) for name in given(__doc__, least=2)])
    except files.UserError as error:
        sys.exit(f"error: {error}")
