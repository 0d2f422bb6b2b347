"""What a hostile reviewer asks of the verdict: shortcuts, subgroups, operating points and triage.

Everything is judged out of fold on the true labels, with 95% intervals by bootstrap over patients.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from baseline.classifier.train import Training, out_of_fold, trained_with
from baseline.evaluation.subgroups import TOO_FEW, at_half, share, subgroups, told
from baseline.explanation.trained_run import fingerprint
from baseline.learning import predictions, scores, training_table
from baseline.learning.scores import Estimate
from features.reading import rle
from features.run import command, files

Floats = NDArray[np.float64]

RATES = ("specificity", "sensitivity")
LEVELS = (0.80, 0.90, 0.95)
# Stated error rates of triage: positives ruled out, negatives ruled in.
ALPHA = 0.10
PERMUTATIONS = 10
PERMUTED = "permuted labels"

TUBES = ("tubes", "tube_contrast", "lines")
BURNT_IN = ("text",)


@dataclass(frozen=True)
class Settings:
    """Scrutinise the verdict of RUN; write RUN/baseline/scrutiny.json."""

    run: Path
    """Run folder with a trained verdict."""
    seed: int = 0
    """Seed of the boosters and of the permuted labels."""


def measures(names: Iterable[str]) -> dict[str, list[str]]:
    """The features that each shortcut goes by, of those named; none for what is not measured."""
    measure = {name: name.rsplit(".", 1)[1] for name in names}
    confounders = [name for name in measure if name.startswith("confounders.")]
    found = {
        "age, sex and view": [name for name in measure if name.startswith("acquisition.")],
        "tubes and leads": [name for name in confounders if measure[name] in TUBES],
        "burnt-in text": [name for name in confounders if measure[name] in BURNT_IN],
    }
    return {name: columns for name, columns in found.items() if columns}


def shortcuts(table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables that do not measure pleural air, by what they do measure.

    Parameters
    ----------
    table : DataFrame
        Features, indexed by image id.
    rows : DataFrame
        Rows of the dataset that teach, in the same order.
    """
    images = rows.groupby("patient")["id"].transform("count").to_numpy(float)
    found = measures(table.columns)
    tables = {name: table[columns] for name, columns in found.items()}
    name = "number of the patient group's images"
    tables[name] = pd.DataFrame({"images": images}, index=table.index)
    return tables


def scoreboard(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    raw: Floats,
    seed: int,
    training: Training | None = None,
) -> list[dict[str, Any]]:
    """AUC of the verdict, of each shortcut and of permuted labels, on the same folds.

    All are trained with the same settings, the defaults if not given.
    """
    fold = rows["fold"].to_numpy()
    known = rows["label"].notna().to_numpy()
    labels = rows["label"].to_numpy(float)[known]
    patients = rows["patient"].to_numpy(object)[known]

    def line(name: str, found: Floats) -> dict[str, Any]:
        one = found[known]
        estimate = scores.bootstrap(lambda part: scores.auc(labels[part], one[part]), patients)
        return {"name": name, "auc": asdict(estimate)}

    lines = [line("the verdict", raw)]
    tried = shortcuts(table, rows).items()
    for name, part in command.progress(tried, "training on shortcuts", unit="shortcuts"):
        lines.append(line(f"{name} alone", out_of_fold(part, rows, fold, seed, training)))
    return [*lines, {"name": PERMUTED, "auc": asdict(permuted(table, rows, seed, training))}]


def permuted(
    table: pd.DataFrame, rows: pd.DataFrame, seed: int, training: Training | None = None
) -> Estimate:
    """Mean AUC of verdicts taught permuted labels, with Student's 95% interval over permutations.

    They are scored by the labels they were taught, out of fold as ever: if anything of an image's
    own label reached the model that judges it, these could be told. True and weak labels are
    permuted each among themselves. One such model may lean either way by chance, since features go
    together; no bootstrap over patients would show that.
    """
    fold, target = rows["fold"].to_numpy(), rows["target"].to_numpy(float)
    known = rows["label"].notna().to_numpy()
    rng = np.random.default_rng(seed)
    values = []
    for number in command.progress(range(PERMUTATIONS), "training on permuted labels"):
        dealt = target.copy()
        for kind in (known, ~known):
            dealt[kind] = rng.permutation(target[kind])
        raw = out_of_fold(table, rows.assign(target=dealt), fold, seed + 100 * number, training)
        values.append(scores.auc(dealt[known], raw[known]))
    mean, error = float(np.mean(values)), float(stats.sem(values))
    reach = error * float(stats.t.ppf(0.975, PERMUTATIONS - 1))
    return Estimate(mean, mean - reach, mean + reach)


def threshold(labels: Floats, raw: Floats, specificity: float) -> float:
    """The least threshold that keeps this specificity, if what is above it is called positive."""
    negative = np.sort(raw[labels <= 0.5])
    # So many negatives must lie at the threshold or below it.
    needed = int(np.ceil(round(specificity * len(negative), 9)))
    return float(negative[max(needed, 1) - 1])


def called(
    labels: Floats, raw: Floats, fold: NDArray[np.integer], meant: str, level: float
) -> NDArray[np.bool_]:
    """Which images are called positive, by the threshold that keeps a rate on the other folds.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    raw : (n,) array
        Out-of-fold log-odds.
    fold : (n,) array of int
    meant : {"specificity", "sensitivity"}
        The rate to keep.
    level : float
        What to keep it at, in [0, 1].
    """
    positive = np.zeros(len(raw), bool)
    for k in np.unique(fold):
        own, others = fold == k, fold != k
        if meant == "specificity":
            positive[own] = raw[own] > threshold(labels[others], raw[others], level)
        else:  # the classes change places
            positive[own] = -raw[own] <= threshold(1 - labels[others], -raw[others], level)
    return positive


def operating_points(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Sensitivity and specificity where the one or the other was meant to be kept.

    The thresholds are found on the other folds, so the rate that is meant is kept about.
    """
    labels, raw = rows["label"].to_numpy(float), rows["raw"].to_numpy(float)
    fold, patients = rows["fold"].to_numpy(), rows["patient"].to_numpy(object)
    found = []
    for meant, level in product(RATES, LEVELS):
        right = (called(labels, raw, fold, meant, level) == (labels > 0.5)).astype(float)
        rates = {
            name: asdict(share(right[own], patients[own]))
            for name, own in zip(RATES, (labels <= 0.5, labels > 0.5), strict=True)
        }
        found.append({"meant": meant, "level": level} | rates)
    return found


def triage(labels: Floats, raw: Floats, fold: NDArray[np.integer], alpha: float = ALPHA) -> Floats:
    """Rule out (-1), refer (0) or rule in (1), by class-conditional conformal prediction.

    Each fold's images are compared with the other folds' (Vovk et al., "Algorithmic learning in a
    random world", 2005; class-conditional as in Vovk 2012, cross-conformal as in Vovk 2015). A
    class is excluded where its p-value is at most alpha, so at most a share of about alpha of
    the positives is ruled out, and of the negatives ruled in.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
    raw : (n,) array
        Out-of-fold log-odds.
    fold : (n,) array of int
    alpha : float
        Stated error rate of each class.
    """
    decisions = np.zeros(len(raw))
    for k in np.unique(fold):
        own, others = fold == k, fold != k
        decisions[own] = conformal(raw[own], labels[others], raw[others], alpha)
    return decisions


def conformal(score: Floats, labels: Floats, raw: Floats, alpha: float) -> Floats:
    """Rule out (-1), refer (0) or rule in (1) new images, by images whose truth is known.

    Parameters
    ----------
    score : (n,) array
        Log-odds of the new images.
    labels, raw : (m,) arrays
        Truth and out-of-fold log-odds of the known ones.
    alpha : float
        Stated error rate of each class.
    """
    positive, negative = np.sort(raw[labels > 0.5]), np.sort(raw[labels <= 0.5])
    # Share of the class at least as strange as this image, itself counted.
    as_positive = (np.searchsorted(positive, score, "right") + 1) / (len(positive) + 1)
    above = len(negative) - np.searchsorted(negative, score, "left")
    as_negative = (above + 1) / (len(negative) + 1)
    # Where both classes are excluded, the image is strange to both and is referred too.
    return (as_negative <= alpha).astype(float) - (as_positive <= alpha)


def triage_rates(rows: pd.DataFrame) -> dict[str, Any]:
    """How often triage errs, checked out of fold, and how many images it decides."""
    labels, raw = rows["label"].to_numpy(float), rows["raw"].to_numpy(float)
    decision = triage(labels, raw, rows["fold"].to_numpy())
    patients = rows["patient"].to_numpy(object)

    def rate(wanted: float, among: NDArray[np.bool_]) -> dict[str, float]:
        part = (decision[among] == wanted).astype(float)
        return asdict(share(part, patients[among]))

    every = np.ones(len(rows), bool)
    return {
        "alpha": ALPHA,
        "positives_ruled_out": rate(-1, labels > 0.5),
        "negatives_ruled_in": rate(1, labels <= 0.5),
        "ruled_out": rate(-1, every),
        "referred": rate(0, every),
        "ruled_in": rate(1, every),
    }


def areas(rows: pd.DataFrame) -> list[float]:
    """Share of each image in its true mask."""
    return [
        rle.area(mask) / (height * width) if isinstance(mask, str) else np.nan
        for mask, height, width in zip(rows["mask"], rows["rows"], rows["columns"], strict=True)
    ]


def scrutinise(settings: Settings) -> dict[str, Any]:
    """All of it, as it stands in scrutiny.json."""
    dataset, table = training_table.read(settings.run)
    rows = training_table.training_rows(dataset)
    table = table.loc[rows["id"]]
    predicted = predictions.read(settings.run / "baseline" / "oof.csv")
    oof = predicted.set_index("id")
    for column in ("raw", "probability"):
        rows[column] = oof.loc[rows["id"], column].to_numpy()
    known = rows[rows["label"].notna()].copy()
    known["area"] = areas(known)
    raw, training = rows["raw"].to_numpy(float), trained_with(settings.run)
    return {
        "judged": fingerprint(predicted),
        "shortcuts": scoreboard(table, rows, raw, settings.seed, training),
        "at_half": at_half(known),
        "subgroups": subgroups(known),
        "operating_points": operating_points(known),
        "triage": triage_rates(known),
    }


def main(settings: Settings) -> None:
    """Print the tables and write baseline/scrutiny.json."""
    found = scrutinise(settings)
    files.write_json(settings.run / "baseline" / "scrutiny.json", found)
    print("| trained on | AUC, out of fold |\n|---|---|")
    for line in found["shortcuts"]:
        print(f"| {line['name']} | {Estimate(**line['auc'])} |")
    print("\n| subgroup | positives | negatives | AUC |\n|---|---|---|---|")
    for line in found["subgroups"]:
        auc = Estimate(**line["auc"]) if "auc" in line else TOO_FEW
        counts = f"{line['positives']} | {line['negatives']}"
        print(f"| {line['kind']}: {line['name']} | {counts} | {auc} |")
    print("\n| at a probability of 50% | sensitivity | specificity |\n|---|---|---|")
    print(f"| all | {' | '.join(map(told, found['at_half']))} |")
    for line in found["subgroups"]:
        rates = [*map(told, line["rates"]), "–"][:2]
        print(f"| {line['kind']}: {line['name']} | {' | '.join(rates)} |")
    print("\n| threshold that keeps, on the other folds | sensitivity | specificity |")
    print("|---|---|---|")
    for line in found["operating_points"]:
        both = (str(Estimate(**line[name])) for name in RATES[::-1])
        print(f"| {line['level']:.0%} {line['meant']} | {' | '.join(both)} |")
    print(f"\ntriage, stated error rate {found['triage']['alpha']:.0%} of each class:")
    for name, value in found["triage"].items():
        if name != "alpha":
            print(f"  {name.replace('_', ' ')}: {Estimate(**value)}")


if __name__ == "__main__":
    command.run(main)
