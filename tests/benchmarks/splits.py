"""Scores over several splits of one dataset into folds: each run's, and their mean.

    .venv/bin/python tests/benchmarks/splits.py RUN RUN...

Each RUN is of the same images and patients, with another SEED (make submission DATA=... SEED=1
RUN=...), so that models, folds and rules are drawn anew. Every score is out of fold. The interval
of a mean is a bootstrap over patients, each with the scores of all splits; the least and the most
of the runs stand beside it.
"""

import sys
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from arguments import arguments_or_help
from numpy.typing import NDArray

from baseline.evidence_map.results import EvidenceScores
from baseline.gate import choose, rules
from baseline.gate.rules import GateInputs
from baseline.learning import scores
from cnn.gate import evaluate, scored_images
from cnn.gate.scoreboard import at_others_share
from cnn.gate.sources import SourceMaps
from features.run import files
from features.run.folder import RunFolder

Floats = NDArray[np.float64]
MASKS_OF = {
    "unet": "U-Net's masks",
    "evidence": "Evidence map's masks",
    "joint": "Masks of both maps",
}


def predictions(run: RunFolder) -> pd.DataFrame:
    """The out-of-fold prediction of each image of a run, in the order of the ids."""
    return run.oof.read().sort_values("id", ignore_index=True)


@dataclass(frozen=True)
class Masks:
    """Gate inputs of a run's images with a known mask in the order of the ids, then of a weak one.

    Parameters
    ----------
    inputs : dict of str to GateInputs
        By source.
    folds : (n,) array of int
    known : int
        Number of images with a known mask.
    """

    inputs: dict[str, GateInputs]
    folds: NDArray[np.integer]
    known: int

    def of_known(self, source: str) -> GateInputs:
        """Gate inputs of the images with a known mask."""
        return self.inputs[source].take(np.arange(self.known))


def masks(run: RunFolder, ids: pd.Series) -> Masks:
    """What rules are chosen by."""
    rows, known = scored_images.with_weak_masks(run)
    first = rows[known].sort_values("id", ignore_index=True)
    if list(first["id"]) != list(ids):
        raise files.UserError(
            f"{run.root}: other images have a known mask there than a known label."
        )
    rows = pd.concat([first, rows[~known]], ignore_index=True)
    inputs = evaluate.gate_inputs(SourceMaps((run,)), rows, run.root.name)
    return Masks(inputs, rows["fold"].to_numpy(), len(first))


def line(name: str, values: Floats, whole: scores.Estimate) -> str:
    """A line of the table: the runs' scores, their mean with its interval, the least and most."""
    single = " | ".join(f"{value:.3f}" for value in values)
    return f"| {name} | {single} | {whole} | {values.min():.3f} to {values.max():.3f} |"


def by_mean(name: str, per_image: list[Floats], patients: NDArray[np.object_]) -> str:
    """The line of a score that is a mean over images, one array a run."""
    values = np.array([of_run.mean() for of_run in per_image])
    return line(name, values, scores.mean(np.mean(per_image, axis=0), patients))


def by_auc(name: str, labels: Floats, raw: list[Floats], patients: NDArray[np.object_]) -> str:
    """The line of an AUC, one array of scores a run."""

    def mean(rows: NDArray[np.intp]) -> float:
        return float(np.mean([scores.auc(labels[rows], of_run[rows]) for of_run in raw]))

    values = np.array([scores.auc(labels, of_run) for of_run in raw])
    return line(name, values, scores.bootstrap(mean, patients))


def of_classifier(predicted: list[pd.DataFrame]) -> list[str]:
    """AUC of the classifier on true labels, and its agreement with weak ones."""
    lines = []
    for name, column in (("classifier, AUC on true labels", "label"), ("on weak labels", "weak")):
        known = predicted[0][column].notna().to_numpy()
        if known.any():
            rows = [of_run[known] for of_run in predicted]
            labels = (rows[0][column].to_numpy(float) > 0.5).astype(float)
            raw = [of_run["probability"].to_numpy(float) for of_run in rows]
            lines.append(by_auc(name, labels, raw, rows[0]["patient"].to_numpy(object)))
    return lines


def of_masks(runs: list[RunFolder], rows: pd.DataFrame) -> list[str]:
    """Dice of the masks by themselves, cut at the best or the others' share, and of policies."""
    of_runs = [masks(run, rows["id"]) for run in runs]
    patients = rows["patient"].to_numpy(object)
    positive = of_runs[0].of_known("unet").positive == 1
    lines = []
    for source, name in MASKS_OF.items():
        inputs = [of_run.of_known(source) for of_run in of_runs]
        dice_by_level = [of_run.dice[positive] for of_run in inputs]
        best = [dice[:, dice.mean(axis=0).argmax()] for dice in dice_by_level]
        lines.append(by_mean(f"{name}, Dice on positives", best, patients[positive]))
        others = [
            at_others_share(dice, of_run.folds[: of_run.known][positive])
            for dice, of_run in zip(dice_by_level, of_runs, strict=True)
        ]
        lines.append(by_mean(f"{name}, at the others' share", others, patients[positive]))
        tops = [of_run.top[:, rules.TOP] for of_run in inputs]
        labels = positive.astype(float)
        lines.append(by_auc(f"{name}, AUC of the top score", labels, tops, patients))
    earned = {
        f"`{policy}`": [
            choose.nested(policy, of_run.inputs[rules.source(policy)], of_run.folds)[: of_run.known]
            for of_run in of_runs
        ]
        for policy in rules.POLICIES
    }
    earned["the policy chosen inside"] = [
        choose.nested_default(of_run.inputs, of_run.folds)[: of_run.known] for of_run in of_runs
    ]
    empty = (~positive).astype(float)
    for name, values in earned.items():
        lines.append(by_mean(name, values, patients))
    for name, values in list(earned.items())[1:]:
        gains = [of_run - empty for of_run in values]
        lines.append(by_mean(f"{name} less `empty`", gains, patients))
    return lines


def of_evidence(runs: list[RunFolder]) -> list[str]:
    """The evidence map's own scores: means of the runs', without an interval."""
    of_runs = [files.read_record(run.evidence_metrics, EvidenceScores) for run in runs]
    lines = []
    for name in (field.name for field in fields(EvidenceScores)):
        estimates = [getattr(of_run, name) for of_run in of_runs]
        if None in estimates:
            continue
        values = np.array([estimate.value for estimate in estimates])
        single = " | ".join(f"{value:.3f}" for value in values)
        spread = f"{values.min():.3f} to {values.max():.3f}"
        lines.append(f"| evidence map, {name} | {single} | {values.mean():.3f} | {spread} |")
    return lines


def main(runs: list[RunFolder]) -> None:
    """Print one table: a line a score, a column a run."""
    predicted = [predictions(run.check()) for run in runs]
    for run, of_run in zip(runs, predicted, strict=True):
        if not of_run[["id", "patient"]].equals(predicted[0][["id", "patient"]]):
            raise files.UserError(
                f"{run.root}: is of other images or patients than {runs[0].root}."
            )
    known = predicted[0][predicted[0]["label"].notna()]
    lines = [*of_evidence(runs), *of_classifier(predicted), *of_masks(runs, known)]
    print(f"| | {' | '.join(run.root.name for run in runs)} | mean | least to most |")
    print("|---" * (len(runs) + 3) + "|")
    print("\n".join(lines))


if __name__ == "__main__":
    try:
        main([RunFolder(Path(name)) for name in arguments_or_help(__doc__, least=2)])
    except files.UserError as error:
        sys.exit(f"error: {error}")
