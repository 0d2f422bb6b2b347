"""Score every policy out of fold, choose the gate's rule, and write both down.

Each labelled image is judged on maps and log-odds of models that saw neither it nor its patient,
under a rule chosen on the other folds. The scoreboard stands beside the all-empty submission,
which any gate must beat.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from baseline.gate import choose
from baseline.gate import rules as gate
from baseline.learning import predictions, scores
from cnn.gate import outlines, report_figures
from cnn.gate.sources import SOURCES, need_folder, together, weigh
from features.run import command, files
from features.run.files import UserError

# Name of the row that scores the choice among policies too.
DEFAULT = "chosen inside"
# Scores of a policy: over all images, those with and those without pneumothorax.
PARTS = ("dice", "positives", "negatives")


@dataclass(frozen=True)
class Settings:
    """Choose the gate's rule from the labelled images of RUN and score every policy."""

    run: Path
    """Run folder."""
    also: tuple[Path, ...] = ()
    """Further run folders, of the same images and folds, whose U-Net maps are averaged with RUN's;
    gate.json notes them, so that the submission is drawn from the same maps."""


def collect(runs: Sequence[Path], rows: pd.DataFrame, what: str) -> dict[str, gate.GateInputs]:
    """Evidence of the images in `rows` by source of the map, one image in memory at a time.

    Parameters
    ----------
    runs : sequence of Path
        Run folders as of `cnn.gate.sources.together`.
    rows : DataFrame
        id, probability, rows, columns, and mask (run-length code, missing where unknown).
    what : str
        Name on the progress bar.
    """
    found: dict[str, list[gate.GateInputs]] = {name: [] for name in SOURCES}
    for _, evidence in command.progress(weigh(runs, rows), what, total=len(rows)):
        for name, one in evidence.items():
            found[name].append(one)
    return {name: gate.join(parts) for name, parts in found.items()}


def read_sized(run: Path, name: str) -> pd.DataFrame:
    """Rows of baseline/<name>.csv with size and known mask of each image.

    Raises
    ------
    UserError
        If the baseline or the dataset is missing, or the one tells of images that the other lacks.
    """
    path = run / "baseline" / f"{name}.csv"
    predicted = predictions.read(path)
    dataset = files.read_table(run / "dataset.parquet")[["id", "rows", "columns", "mask"]]
    unknown = predicted["id"][~predicted["id"].isin(dataset["id"])]
    if len(unknown):
        raise UserError(
            f"{path}: {unknown.iloc[0]} is no image of {run / 'dataset.parquet'} ({len(unknown)} "
            "such ids); the verdict is of another dataset, so run `make baseline` again."
        )
    return predicted.merge(dataset, on="id", validate="one_to_one")


def _board(
    earned: dict[str, NDArray[np.float64]],
    positive: NDArray[np.bool_],
    patients: NDArray[np.object_],
) -> dict[str, dict[str, object]]:
    """Mean Dice of each policy with its interval, also over positives and negatives, if any."""
    parts = dict(zip(PARTS, (positive | True, positive, ~positive), strict=True))
    return {
        policy: {
            name: asdict(scores.mean(values[part], patients[part])) if part.any() else None
            for name, part in parts.items()
        }
        for policy, values in earned.items()
    }


def score(runs: Sequence[Path]) -> tuple[dict[str, gate.Rule], dict[str, object]]:
    """Choose each policy's rule, score all of them, and write cnn/economics.json for the report.

    Parameters
    ----------
    runs : sequence of Path
        Run folders as of `cnn.gate.sources.together`; verdict and truth are the first one's.

    Returns
    -------
    rules : dict of str to Rule
        The rule of each policy, chosen on all labelled images.
    metrics : dict
        Scoreboards "out_of_fold" (nested) and, where the truth of the test set is known, "test".
    """
    run = runs[0]
    rows = labelled(run)
    evidence = collect(runs, rows, "scoring maps")
    folds, patients = rows["fold"].to_numpy(), rows["patient"].to_numpy(object)
    if len(np.unique(folds)) < 2:
        raise UserError(
            f"{run / 'dataset.parquet'}: {len(rows)} images with a known mask in "
            f"{len(np.unique(folds))} folds; a rule is scored on another fold than it was chosen "
            "on, so give more labelled images or other FOLDS."
        )
    bar = command.progress(gate.POLICIES, "choosing rules", unit="policies")
    rules, earned = {}, {}
    for policy in bar:
        own = evidence[gate.source(policy)]
        rules[policy] = choose.choose(policy, own)
        earned[policy] = choose.nested(policy, own, folds)
    positive = evidence["unet"].positive == 1
    earned[DEFAULT] = choose.nested_default(evidence, folds)
    metrics: dict[str, object] = {
        "out_of_fold": _board(earned, positive, patients),
        "mask_alone": {
            name: _mask_alone(one, positive, folds, patients) for name, one in evidence.items()
        },
        "images": len(rows),
        "positives": int(positive.sum()),
        "patients": int(rows["patient"].nunique()),
        "also": [str(other) for other in runs[1:]],
    }
    metrics["default"] = default_policy(earned, patients)
    report_figures.write(run, rows, evidence, rules, metrics)
    if (run / "truth.parquet").exists() and (board := _test_board(runs, rules)):
        metrics["test"] = board
    return rules, metrics


def _mask_alone(
    evidence: gate.GateInputs,
    positive: NDArray[np.bool_],
    folds: NDArray[np.integer],
    patients: NDArray[np.object_],
) -> dict[str, object]:
    """The masks by themselves: Dice over true positives at one level, and AUC of its top score.

    The level that is best for these images flatters them a little; beside it stands the Dice of
    each image at the level that is best for the other folds'.
    """
    dices, own = evidence.dice[positive], folds[positive]
    best = int(dices.mean(axis=0).argmax())
    dice = scores.mean(dices[:, best], patients[positive])
    nested = scores.mean(at_others_level(dices, own), patients[positive])
    top = scores.bootstrap(
        lambda rows: scores.auc(evidence.positive[rows], evidence.top[rows, gate.TOP]), patients
    )
    level = float(gate.LEVELS[best] / 255)
    return {
        "dice_on_positives": asdict(dice),
        "dice_nested": asdict(nested),
        "at_probability": level,
        "top_score_auc": asdict(top),
    }


def at_others_level(dices: NDArray[np.float64], folds: NDArray[np.integer]) -> NDArray[np.float64]:
    """Dice of each image at the level with the highest mean over the images of other folds.

    Parameters
    ----------
    dices : (n, levels) array
    folds : (n,) array of int

    Returns
    -------
    (n,) array
    """
    found = np.empty(len(dices))
    for fold in np.unique(folds):
        own = folds == fold
        # Where all positives are in one fold there is none to choose by but themselves.
        others = dices[~own] if (~own).any() else dices
        found[own] = dices[own, int(others.mean(axis=0).argmax())]
    return found


def _test_board(runs: Sequence[Path], rules: dict[str, gate.Rule]) -> dict[str, object]:
    """The scoreboard on the test set, whose truth and patients no model and no rule has seen."""
    run = runs[0]
    rows = read_sized(run, "test").drop(columns="mask")
    rows = rows.merge(files.read_table(run / "truth.parquet"), on="id")
    told = predictions.unseen_patients(rows, read_sized(run, "oof")["patient"])
    left_out, rows = int((~told).sum()), rows[told].reset_index(drop=True)
    if rows.empty:
        return {}
    evidence = collect(runs, rows, "scoring the test set")
    earned = {
        policy: gate.earned(rule, evidence[gate.source(policy)]) for policy, rule in rules.items()
    }
    patients = rows["patient"].to_numpy(object)
    board = _board(earned, evidence["unet"].positive == 1, patients)
    return {"images": len(rows), "left_out": left_out, **board}


def labelled(run: Path) -> pd.DataFrame:
    """Out-of-fold predictions of the images with a known mask, with size and mask."""
    rows = read_sized(run, "oof")
    return rows[rows["mask"].notna()].reset_index(drop=True)


def default_policy(earned: dict[str, NDArray[np.float64]], patients: NDArray[np.object_]) -> str:
    """The policy with the highest nested mean Dice; the simpler one among equals.

    If the choosing itself, scored inside (`DEFAULT`), is clearly worse than silence or than the
    ungated U-Net, there is not enough to choose by: the run falls back on the better one of those
    that it clearly loses to, and says so.
    """
    lost = {}
    for plain in ("empty", "unet"):
        gap = scores.mean(earned[plain] - earned[DEFAULT], patients)
        if gap.low > 0:
            lost[plain] = gap
    if not lost:
        return max(gate.POLICIES, key=lambda policy: earned[policy].mean())
    better = max(lost, key=lambda policy: earned[policy].mean())
    print(
        f"Choosing a policy earns {lost[better]} of Dice less than {better}: falling back on that."
    )
    return better


def read_metrics(run: Path) -> dict[str, Any]:
    """Read RUN/metrics.json back.

    Raises
    ------
    UserError
        If it is missing or not as `main` writes it.
    """
    path = run / "metrics.json"
    metrics = files.read_json(path)
    try:
        boards = [metrics["out_of_fold"], *([metrics["test"]] if "test" in metrics else [])]
        parts = [
            board[policy][part] for board in boards for policy in gate.POLICIES for part in PARTS
        ]
        whole = {"images", "positives"} <= set(metrics) and metrics["default"] in gate.POLICIES
        whole &= set(metrics["mask_alone"]) == set(SOURCES)
    except (KeyError, TypeError):
        whole, parts = False, []
    if not whole or not all(one is None or isinstance(one, dict) for one in parts):
        raise UserError(f"{path}: not as this version writes it; delete it and run make again.")
    return metrics


def show(metrics: dict, default: str) -> None:
    """Print the scoreboard, after what the U-Net's masks are worth by themselves."""
    if metrics.get("also"):
        print(f"U-Net's maps averaged with those of {', '.join(metrics['also'])}")
    for source, alone in metrics["mask_alone"].items():
        dice, nested, auc = (
            scores.Estimate(**alone[key])
            for key in ("dice_on_positives", "dice_nested", "top_score_auc")
        )
        print(
            f"{SOURCES[source]}, out of fold: Dice on the {metrics['positives']} positives {dice} "
            f"at its best level ({alone['at_probability']:.2f}), {nested} at the level best for "
            f"the other folds; AUC of its top score {auc}"
        )
    for part, title in (("out_of_fold", "labelled images, out of fold"), ("test", "test set")):
        if part not in metrics:
            continue
        images = metrics["images"] if part == "out_of_fold" else metrics["test"]["images"]
        if left_out := metrics[part].get("left_out"):
            title += f", without {left_out} of patients who taught the models"
        table = Table(title=f"Mean Dice per image: {images} {title}", title_justify="left")
        for column in ("policy", "mean Dice [95% interval]", "on positives", "on negatives"):
            table.add_column(column)
        for policy, row in ((p, metrics[part][p]) for p in gate.POLICIES):
            name = f"{policy} (default)" if policy == default else policy
            dice = scores.Estimate(**row["dice"])
            parts = [row[part] for part in ("positives", "negatives")]
            told = ("–" if one is None else str(scores.Estimate(**one)) for one in parts)
            table.add_row(name, str(dice), *told)
        if DEFAULT in metrics[part]:
            inside = scores.Estimate(**metrics[part][DEFAULT]["dice"])
            table.caption = f"The default's policy chosen inside as well: {inside}"
        # A fixed width keeps the table whole in a log as on a terminal.
        Console(width=100).print(table)


def main(settings: Settings) -> None:
    """Write cnn/outlines.csv, metrics.json and gate.json, and say which policy is the default."""
    runs = together(need_folder(settings.run), settings.also)
    rules, metrics = score(runs)
    board, alone, default = (metrics[k] for k in ("out_of_fold", "mask_alone", "default"))
    assert isinstance(board, dict) and isinstance(alone, dict) and isinstance(default, str)
    if default == "empty":
        print(
            "No policy beats the all-empty submission out of fold, so the default speaks no mask."
        )
    files.write_json(settings.run / "metrics.json", metrics)
    source = gate.source(default)
    level = alone[source]["at_probability"]
    outlines.write(runs, labelled(settings.run), rules[default], source, level)
    content = {
        "default": default,
        "also": metrics["also"],
        "rules": {name: rule.to_json() for name, rule in rules.items()},
    }
    files.write_json(settings.run / "gate.json", content)
    best = scores.Estimate(**board[default]["dice"])
    print(f"default policy: {default}, mean Dice {best} out of fold")


if __name__ == "__main__":
    command.run(main)
