"""Shortcut checks: what a classifier reaches that never measures pleural air.

With them go subgroups, operating points and triage. Everything is scored out of fold on the true
labels, with 95% intervals by bootstrap over patients.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from baseline.classifier.fit import out_of_fold
from baseline.classifier.settings import TrainingSettings, read_used
from baseline.evaluation.decision_curve import decision_curve
from baseline.evaluation.operating_points import RATES, operating_points, triage
from baseline.evaluation.results import TOO_FEW, Rates, Shortcut, Shortcuts, Triage
from baseline.evaluation.subgroups import at_half, subgroups
from baseline.explanation.trained_run import fingerprint
from baseline.learning import scores
from baseline.learning.scores import Estimate
from baseline.learning.training_rows import read_checked, training_rows
from features.reading import rle
from features.run import command, files
from features.run.folder import RunFolder

Floats = NDArray[np.float64]

PERMUTATIONS = 10
TUBES = ("tubes", "tube_contrast", "lines")
BURNT_IN = ("text",)


@dataclass(frozen=True)
class Settings:
    """Check the classifier of RUN for shortcuts; write RUN/baseline/shortcuts.json."""

    run: Path
    """Run folder with a trained classifier."""
    seed: int = 0
    """Seed of the boosters and of the permuted labels."""


def measures(names: Iterable[str]) -> dict[str, list[str]]:
    """The features of each shortcut among these names; a shortcut without any is left out."""
    measure = {name: name.rsplit(".", 1)[1] for name in names}
    confounders = [name for name in measure if name.startswith("confounders.")]
    columns = {
        "age, sex and view": [name for name in measure if name.startswith("acquisition.")],
        "tubes and leads": [name for name in confounders if measure[name] in TUBES],
        "burnt-in text": [name for name in confounders if measure[name] in BURNT_IN],
    }
    return {name: features for name, features in columns.items() if features}


def shortcut_tables(table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table of each shortcut, by its name; none of them measures pleural air.

    Parameters
    ----------
    table : DataFrame
        Features, indexed by image id.
    rows : DataFrame
        Of `training_rows`, in the same order.
    """
    tables = {name: table[columns] for name, columns in measures(table.columns).items()}
    images = rows.groupby("patient")["id"].transform("count").to_numpy(float)
    name = "number of the patient group's images"
    return tables | {name: pd.DataFrame({"images": images}, index=table.index)}


def auc_of(raw: Floats, rows: pd.DataFrame) -> Estimate:
    """AUC of out-of-fold log-odds on the true labels.

    Parameters
    ----------
    raw : (n,) array
    rows : (n, ...) DataFrame
        label and patient.
    """
    known = rows["label"].notna().to_numpy()
    labels, patients = rows["label"].to_numpy(float)[known], rows["patient"].to_numpy(object)[known]
    return scores.auc_estimate(labels, raw[known], patients)


def shortcuts(
    table: pd.DataFrame, rows: pd.DataFrame, seed: int, training: TrainingSettings | None = None
) -> list[Shortcut]:
    """AUC of a classifier that learns from each shortcut alone, on the run's folds.

    Parameters
    ----------
    table : DataFrame
        Features, indexed by image id.
    rows : DataFrame
        Of `training_rows`, in the same order.
    seed : int
    training : TrainingSettings, optional
        The defaults if missing.
    """
    fold = rows["fold"].to_numpy()
    tables = shortcut_tables(table, rows).items()
    results = []
    for name, part in command.progress(tables, "training on shortcuts", unit="shortcuts"):
        raw = out_of_fold(part, rows, fold, seed, training)
        results.append(Shortcut(f"{name} alone", auc_of(raw, rows)))
    return results


def permuted(
    table: pd.DataFrame, rows: pd.DataFrame, seed: int, training: TrainingSettings | None = None
) -> Estimate:
    """Mean AUC of classifiers that learned permuted labels, with Student's 95% interval.

    They are scored on the permuted labels, out of fold: an AUC clearly above 0.5 would show that an
    image's own label reaches the model that predicts it. True labels are permuted among themselves,
    and so are weak ones. One such model may lie above or below 0.5 by chance, since features are
    correlated; no bootstrap over patients would show that, so the interval is over permutations.
    """
    fold, target = rows["fold"].to_numpy(), rows["target"].to_numpy(float)
    known = rows["label"].notna().to_numpy()
    rng = np.random.default_rng(seed)
    values = []
    for number in command.progress(range(PERMUTATIONS), "training on permuted labels"):
        shuffled = target.copy()
        for kind in (known, ~known):
            shuffled[kind] = rng.permutation(target[kind])
        raw = out_of_fold(table, rows.assign(target=shuffled), fold, seed + 100 * number, training)
        values.append(scores.auc(shuffled[known], raw[known]))
    mean, error = float(np.mean(values)), float(stats.sem(values))
    reach = error * float(stats.t.ppf(0.975, PERMUTATIONS - 1))
    return Estimate(mean, mean - reach, mean + reach)


def areas(rows: pd.DataFrame) -> list[float]:
    """Share of each image in its true mask; NaN where that is unknown."""
    return [
        rle.area(mask) / (height * width) if isinstance(mask, str) else np.nan
        for mask, height, width in zip(rows["mask"], rows["rows"], rows["columns"], strict=True)
    ]


def evaluate(run: RunFolder, seed: int) -> Shortcuts:
    """All checks of a run."""
    dataset, table = read_checked(run)
    rows = training_rows(dataset)
    features = table.measured.loc[rows["id"]]
    oof = run.oof.read()
    predictions = oof.set_index("id").loc[rows["id"]]
    rows = rows.assign(
        raw=predictions["raw"].to_numpy(),
        probability=predictions["probability"].to_numpy(),
        flagged=rows["id"].isin(run.flagged()),
    )
    known = rows[rows["label"].notna()].copy()
    known["area"] = areas(known)
    training = read_used(run).training
    return Shortcuts(
        predictions=fingerprint(oof),
        classifier=auc_of(rows["raw"].to_numpy(float), rows),
        shortcuts=shortcuts(features, rows, seed, training),
        permuted=permuted(features, rows, seed, training),
        at_half=at_half(known),
        subgroups=subgroups(known),
        operating_points=operating_points(known),
        triage=triage(known),
        decision_curve=decision_curve(known),
    )


def show(checks: Shortcuts) -> None:
    """Print the tables."""
    print("| trained on | AUC, out of fold |\n|---|---|")
    print(f"| the classifier | {checks.classifier} |")
    for shortcut in checks.shortcuts:
        print(f"| {shortcut.name} | {shortcut.auc} |")
    print(f"| permuted labels | {checks.permuted} |")
    print("\n| subgroup | positives | negatives | AUC |\n|---|---|---|---|")
    for group in checks.subgroups:
        counts = f"{group.positives} | {group.negatives}"
        print(f"| {group.kind}: {group.name} | {counts} | {group.auc or TOO_FEW} |")
    print("\n| at a probability of 50% | sensitivity | specificity |\n|---|---|---|")
    print(f"| all | {_rates(checks.at_half)} |")
    for group in checks.subgroups:
        print(f"| {group.kind}: {group.name} | {_rates(group.rates)} |")
    print(f"\n| threshold that keeps, on the other folds | {' | '.join(RATES[::-1])} |")
    print("|---|---|---|")
    for point in checks.operating_points:
        print(f"| {point.level:.0%} {point.kept} | {point.sensitivity} | {point.specificity} |")
    print(f"\ntriage, stated error rate {checks.triage.alpha:.0%} of each class:")
    for field in fields(Triage):
        if field.name != "alpha":
            print(f"  {field.name.replace('_', ' ')}: {getattr(checks.triage, field.name)}")
    print("\n| alarm from | net benefit of the classifier | of calling everybody | gain |")
    print("|---|---|---|---|")
    for benefit in checks.decision_curve:
        print(
            f"| {benefit.threshold:.0%} | {benefit.classifier} | {benefit.everybody:.3f} | "
            f"{benefit.gain} |"
        )


def _rates(rates: Rates) -> str:
    return f"{rates.sensitivity} | {rates.specificity or '–'}"


def main(settings: Settings) -> None:
    """Print the tables and write baseline/shortcuts.json."""
    run = RunFolder(settings.run).check()
    checks = evaluate(run, settings.seed)
    files.write_record(run.shortcuts, checks)
    show(checks)


if __name__ == "__main__":
    command.run(main)
