"""Score every policy out of fold, choose the gate's rule, and write both down.

Each labelled image is judged on maps and log-odds of models that saw neither it nor its patient,
under a rule chosen on the other folds. The scoreboard stands beside the all-empty submission,
which any gate must beat.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import logit

from baseline import gate, scores
from baseline.train import read_predictions
from cnn import masks, outlines
from cnn.predict import stream_maps
from features import command, files, rle


@dataclass(frozen=True)
class Settings:
    """Choose the gate's rule from the labelled images of RUN and score every policy."""

    run: Path
    """Run folder."""


def collect(run: Path, rows: pd.DataFrame, what: str) -> gate.Evidence:
    """Evidence of the images in `rows`, one map in memory at a time.

    Parameters
    ----------
    run : Path
        Run folder.
    rows : DataFrame
        id, probability, rows, columns, and mask (run-length code, missing where unknown).
    what : str
        Name on the progress bar.
    """
    shapes = list(zip(rows["rows"].tolist(), rows["columns"].tolist(), strict=True))
    texts: list[str | None] = [None if pd.isna(text) else str(text) for text in rows["mask"]]
    images = zip(shapes, texts, stream_maps(run, rows["id"].tolist()), strict=True)
    count = len(gate.LEVELS)
    top = np.empty(len(rows))
    area, dice = np.empty((len(rows), count)), np.empty((len(rows), count))
    for row, item in enumerate(command.progress(images, what, total=len(rows))):
        shape, text, probability = item
        truth = None if text is None else rle.decode(text, shape)
        levels = masks.to_original(probability, shape)
        top[row], area[row], dice[row] = masks.measure(levels, truth)
    positive = [np.nan if text is None else float(text != rle.EMPTY) for text in texts]
    odds = np.clip(rows["probability"].to_numpy(float), 1e-6, 1 - 1e-6)
    return gate.Evidence(
        log_odds=logit(odds), top=top, area=area, dice=dice, positive=np.array(positive)
    )


def read_sized(run: Path, name: str) -> pd.DataFrame:
    """Rows of baseline/<name>.csv with size and known mask of each image.

    Raises
    ------
    UserError
        If the baseline or the dataset is missing.
    """
    predicted = read_predictions(run / "baseline" / f"{name}.csv")
    dataset = files.read_table(run / "dataset.parquet")[["id", "rows", "columns", "mask"]]
    return predicted.merge(dataset, on="id", validate="one_to_one")


def _board(
    earned: dict[str, NDArray[np.float64]],
    positive: NDArray[np.bool_],
    patients: NDArray[np.object_],
) -> dict[str, dict[str, object]]:
    """Mean Dice of each policy with its interval, and the same over positives and negatives."""
    return {
        policy: {
            "dice": asdict(scores.mean(values, patients)),
            "positives": float(values[positive].mean()) if positive.any() else None,
            "negatives": float(values[~positive].mean()) if not positive.all() else None,
        }
        for policy, values in earned.items()
    }


def score(run: Path) -> tuple[dict[str, gate.Rule], dict[str, object]]:
    """Choose each policy's rule and score all of them.

    Returns
    -------
    rules : dict of str to Rule
        The rule of each policy, chosen on all labelled images.
    metrics : dict
        Scoreboards "out_of_fold" (nested) and, where the truth of the test set is known, "test".
    """
    rows = read_sized(run, "oof")
    rows = rows[rows["mask"].notna()].reset_index(drop=True)
    evidence = collect(run, rows, "scoring maps")
    folds, patients = rows["fold"].to_numpy(), rows["patient"].to_numpy(object)
    bar = command.progress(gate.POLICIES, "choosing rules", unit="policies")
    rules, earned = {}, {}
    for policy in bar:
        rules[policy] = gate.choose(policy, evidence)
        earned[policy] = gate.nested(policy, evidence, folds)
    positive = evidence.positive == 1
    metrics: dict[str, object] = {
        "out_of_fold": _board(earned, positive, patients),
        "mask_alone": _mask_alone(evidence, positive, patients),
        "images": len(rows),
        "positives": int(positive.sum()),
        "patients": int(rows["patient"].nunique()),
    }
    if (run / "truth.parquet").exists():
        metrics["test"] = _test_board(run, rules)
    return rules, metrics


def _mask_alone(
    evidence: gate.Evidence, positive: NDArray[np.bool_], patients: NDArray[np.object_]
) -> dict[str, object]:
    """The U-Net by itself: Dice over true positives at one level, and AUC of its top score.

    The level is the best one for these images, so this Dice is a little flattered; the policies'
    scores are not.
    """
    means = evidence.dice[positive].mean(axis=0)
    best = int(means.argmax())
    dice = scores.mean(evidence.dice[positive, best], patients[positive])
    top = scores.bootstrap(
        lambda rows: scores.auc(evidence.positive[rows], evidence.top[rows]), patients
    )
    level = float(gate.LEVELS[best] / 255)
    return {
        "dice_on_positives": asdict(dice),
        "at_probability": level,
        "top_score_auc": asdict(top),
    }


def _test_board(run: Path, rules: dict[str, gate.Rule]) -> dict[str, object]:
    """The scoreboard on the test set, whose truth no model and no rule has seen."""
    rows = read_sized(run, "test").drop(columns="mask")
    rows = rows.merge(files.read_table(run / "truth.parquet"), on="id").reset_index(drop=True)
    evidence = collect(run, rows, "scoring the test set")
    earned = {policy: gate.earned(rule, evidence) for policy, rule in rules.items()}
    patients = rows["patient"].to_numpy(object)
    return {"images": len(rows), **_board(earned, evidence.positive == 1, patients)}


def with_truth(run: Path) -> pd.DataFrame:
    """Labelled images, and the test images whose truth was given, with size and mask."""
    labelled = read_sized(run, "oof")
    parts = [labelled[labelled["mask"].notna()]]
    if (run / "truth.parquet").exists():
        test = read_sized(run, "test").drop(columns="mask")
        test = test.merge(files.read_table(run / "truth.parquet"), on="id")
        parts.append(test[~test["id"].isin(parts[0]["id"])])
    columns = ["id", "probability", "rows", "columns", "mask"]
    return pd.concat([part[columns] for part in parts], ignore_index=True)


def default_policy(board: dict[str, dict[str, dict[str, float]]]) -> str:
    """The policy with the highest nested mean Dice; the simpler one among equals."""
    return max(gate.POLICIES, key=lambda policy: board[policy]["dice"]["value"])


def show(metrics: dict, default: str) -> None:
    """Print the scoreboard, after what the U-Net's masks are worth by themselves."""
    alone = metrics["mask_alone"]
    dice, auc = (scores.Estimate(**alone[name]) for name in ("dice_on_positives", "top_score_auc"))
    print(
        f"U-Net out of fold: Dice on the {metrics['positives']} positives {dice} at its best level "
        f"({alone['at_probability']:.2f}), AUC of its top score {auc}"
    )
    for part, title in (("out_of_fold", "labelled images, out of fold"), ("test", "test set")):
        if part not in metrics:
            continue
        images = metrics["images"] if part == "out_of_fold" else metrics["test"]["images"]
        table = Table(title=f"Mean Dice per image: {images} {title}", title_justify="left")
        for column in ("policy", "mean Dice [95% interval]", "on positives", "on negatives"):
            table.add_column(column)
        for policy in gate.POLICIES:
            row = metrics[part][policy]
            name = f"{policy} (default)" if policy == default else policy
            dice = scores.Estimate(**row["dice"])
            parts = [row[part] for part in ("positives", "negatives")]
            table.add_row(name, str(dice), *("–" if v is None else f"{v:.3f}" for v in parts))
        # A fixed width keeps the table whole in a log as on a terminal.
        Console(width=90).print(table)


def main(settings: Settings) -> None:
    """Write cnn/outlines.csv, metrics.json and gate.json, and say which policy is the default."""
    rules, metrics = score(settings.run)
    board = metrics["out_of_fold"]
    assert isinstance(board, dict)
    default = default_policy(board)
    if default == "empty":
        print(
            "No policy beats the all-empty submission out of fold, so the default speaks no mask."
        )
    metrics["default"] = default
    files.write_json(settings.run / "metrics.json", metrics)
    alone = metrics["mask_alone"]
    assert isinstance(alone, dict)
    rows = with_truth(settings.run)
    outlines.write(settings.run, rows, rules[default], alone["at_probability"])
    content = {"default": default, "rules": {name: rule.to_json() for name, rule in rules.items()}}
    files.write_json(settings.run / "gate.json", content)
    best = scores.Estimate(**board[default]["dice"])
    print(f"default policy: {default}, mean Dice {best} out of fold")


if __name__ == "__main__":
    command.run(main)
