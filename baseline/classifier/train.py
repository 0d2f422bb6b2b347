"""The feature table becomes a verdict: one booster a fold, out-of-fold log-odds, calibration.

Two kinds of predictions are kept apart. *Out of fold*: an image that taught a model, by true or by
weak label, is judged by the one fold model that saw neither it nor its patient. *Deployed*: an
image that taught none is judged by the mean log-odds of all fold models.
"""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.learning import calibrate, scores, training_table
from baseline.learning.estimator import Classifier, Parameters, load, raw_scores
from baseline.learning.predictions import unseen_patients
from features.reading import rle
from features.run import command, files
from features.run.files import UserError

# What LightGBM takes.
RANGES = {
    "rounds": (1, np.inf),
    "patience": (0, np.inf),
    "learning_rate": (1e-6, 1.0),
    "leaves": (2, 131072),
    "leaf_size": (1, np.inf),
    "feature_share": (1e-6, 1.0),
    "row_share": (1e-6, 1.0),
    "l2": (0.0, np.inf),
    "weak_weight": (0.0, np.inf),
}
CALIBRATION = ("calibration_error", "calibration_slope", "calibration_intercept")


@dataclass(frozen=True, kw_only=True)
class Training(Parameters):
    """What decides how the fold models are trained."""

    weak_weight: float = 0.5
    """Weight of a weakly labelled image in training; a truly labelled one has 1."""


@dataclass(frozen=True)
class Settings(Training):
    """Train the verdict of RUN/features.parquet into RUN/baseline/."""

    run: Path
    """Run folder."""
    seed: int = 0
    """Seed of the boosters."""
    evidence: bool = True
    """Give each model what the evidence map says; needs RUN/evidence/ (`make evidence`)."""
    settings: Path | None = None
    """JSON file of training settings (rounds to weak-weight), e.g. RUN/tune/best.json; what it
    leaves out is as the options say."""


def hyperparameters(settings: Training) -> Training:
    """The training settings alone, without the run and the seed."""
    return Training(**{field.name: getattr(settings, field.name) for field in fields(Training)})


def trained_with(run: Path) -> Training:
    """The settings that a run's models were trained with; the seed is not among them."""
    found = files.read_json(run / "baseline" / "settings.json")
    # An older run has no word of the newer settings.
    known = {field.name for field in fields(Training)} & set(found)
    return Training(**{name: found[name] for name in known})


def resolve(settings: Settings) -> Settings:
    """Fill in what the settings file says.

    Raises
    ------
    UserError
        If the file is missing, holds something else, or says what an option says too, or if a
        number is out of its range.
    """
    if settings.settings is None:
        return in_range(settings)
    path, found = settings.settings, files.read_json(settings.settings)
    known = {field.name: field.type for field in fields(Training)}
    if not isinstance(found, dict) or not set(found) <= set(known):
        odd = min(set(found) - set(known)) if isinstance(found, dict) else found
        raise UserError(f"{path}: {odd!r} is no setting; known are {', '.join(known)}.")
    for name, value in found.items():
        default = getattr(Training, name)
        if isinstance(value, bool) or not isinstance(value, (int, type(default))):
            raise UserError(f"{path}: {name} = {value!r}; it is a number such as {default}.")
        if getattr(settings, name) not in (default, value):
            raise UserError(f"{path}: {name} is set here and by an option; set it once.")
    return in_range(replace(settings, **found))


def in_range(settings: Settings) -> Settings:
    """The same settings, if LightGBM can train by them.

    Raises
    ------
    UserError
    """
    for name, (low, high) in RANGES.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            most = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
            raise UserError(f"--{name.replace('_', '-')} is {value}, but must be {most}.")
    return settings


def fit_one(table: pd.DataFrame, rows: pd.DataFrame, settings: Training, seed: int) -> Classifier:
    """Fit one model.

    Parameters
    ----------
    table : (n, m) DataFrame
        Features, in the rows' order.
    rows : (n, ...) DataFrame
        label, target and patient of the images that teach it.
    settings : Training
    seed : int
    """
    chosen = asdict(hyperparameters(settings))
    weights = np.where(rows["label"].notna(), 1.0, chosen.pop("weak_weight"))
    target, patients = rows["target"].to_numpy(float), rows["patient"].to_numpy(object)
    return Classifier(**chosen, seed=seed).fit(table, target, weights, patients)


def fit_folds(table: pd.DataFrame, rows: pd.DataFrame, settings: Settings) -> list[Classifier]:
    """Fit one model a fold, on the other folds' images."""
    models = []
    for fold in command.progress(
        range(rows["fold"].max() + 1), "training the verdict", unit="folds"
    ):
        part = rows[rows["fold"] != fold]
        seen = training_table.for_model(table, part["id"], fold)
        models.append(fit_one(seen, part, settings, settings.seed + fold))
    return models


def splits(model: Classifier) -> bool:
    """Whether any tree of a model asks for a feature."""
    return bool(model.booster_.feature_importance("split").any())


def out_of_fold(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    fold: NDArray[np.integer],
    seed: int,
    settings: Training | None = None,
) -> NDArray[np.float64]:
    """Log-odds of every teaching image from the model that saw neither it nor its patient.

    Parameters
    ----------
    table : (n, m) DataFrame
        Features, in the rows' order.
    rows : (n, ...) DataFrame
        id, label, target and patient.
    fold : (n,) array of int
        Any split by patient.
    seed : int
        Seed of the first fold's booster.
    settings : Training, optional
        The defaults if missing.
    """
    raw = np.empty(len(rows))
    for k in range(fold.max() + 1):
        part = fold != k
        model = fit_one(table[part], rows[part], settings or Training(), seed + k)
        raw[~part] = model.decision_function(table[~part])
    return raw


def predictions(run: Path, dataset: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Log-odds and probabilities of every measured image of a run, from its saved models.

    Returns
    -------
    DataFrame
        id, patient, split, fold, label, weak, raw (log-odds), probability (calibrated) and kind
        ("oof" or "deployed").
    """
    folds = range(dataset["fold"].max() + 1)
    boosters = [load(run / "baseline" / f"fold{fold}.txt") for fold in folds]
    columns = ["id", "patient", "split", "fold", "label", "weak"]
    out = dataset.loc[dataset["id"].isin(table.index), columns].reset_index(drop=True)
    raw = np.stack(
        [
            raw_scores(booster, training_table.for_model(table, out["id"], fold))
            for fold, booster in enumerate(boosters)
        ]
    )
    fold = out["fold"].to_numpy()
    own = fold >= 0
    out["raw"] = raw.mean(axis=0)
    out.loc[own, "raw"] = raw[fold[own], np.flatnonzero(own)]
    known = own & out["label"].notna()
    deployed = calibrate.fit(out.loc[known, "raw"].to_numpy(), out.loc[known, "label"].to_numpy())
    out["probability"] = deployed(out["raw"].to_numpy())
    part = out[own]
    out.loc[own, "probability"] = calibrate.cross_fit(
        part["raw"].to_numpy(), part["label"].to_numpy(), part["fold"].to_numpy()
    )
    out["kind"] = np.where(own, "oof", "deployed")
    files.write_json(run / "baseline" / "calibration.json", deployed.to_json())
    return out


def evaluate(predicted: pd.DataFrame, truth: pd.DataFrame | None) -> dict[str, object]:
    """Scores of the verdict with 95% intervals: out of fold on true labels, and on the test set.

    The weak labels are no truth; agreement with them is reported under its own name. Test images of
    patients who taught the models are left out and counted.
    """
    known = predicted[(predicted["kind"] == "oof") & predicted["label"].notna()]
    metrics: dict[str, object] = {"out_of_fold": _scores(known, known["label"])}
    weak = predicted[predicted["weak"].notna()]
    hard_classes = (weak["weak"] > 0.5).nunique()
    if hard_classes == 2:
        hard = np.asarray(weak["weak"] > 0.5, float)
        raw, patients = weak["raw"].to_numpy(float), weak["patient"].to_numpy(object)
        agreement = scores.bootstrap(lambda rows: scores.auc(hard[rows], raw[rows]), patients)
        metrics["agreement_with_weak_labels"] = {"images": len(weak), "auc": asdict(agreement)}
    if truth is not None:
        taught = predicted["patient"][predicted["kind"] == "oof"]
        test = predicted[unseen_patients(predicted, taught)].merge(truth, on="id")
        labels = (test["mask"] != rle.EMPTY).astype(float)
        # A test set of one class has no AUC.
        if labels.nunique() == 2:
            left_out = int(predicted["id"].isin(truth["id"]).sum()) - len(test)
            metrics["test"] = _scores(test, labels) | {"left_out": left_out}
    return metrics


def _scores(rows: pd.DataFrame, labels: pd.Series) -> dict[str, object]:
    judged = (
        labels.to_numpy(float),
        rows["probability"].to_numpy(float),
        rows["patient"].to_numpy(object),
    )
    found = scores.classification_scores(*judged) | calibrate.quality(*judged)
    counts = {
        "images": len(rows),
        "positives": int(labels.sum()),
        "patients": rows["patient"].nunique(),
    }
    return counts | {name: asdict(estimate) for name, estimate in found.items()}


def main(settings: Settings) -> None:
    """Write the boosters, calibration.json, oof.csv, test.csv and metrics.json."""
    out = settings.run / "baseline"
    settings = resolve(settings)
    dataset, table = training_table.read(settings.run)
    rows = training_table.training_rows(dataset)
    if settings.evidence:
        table = training_table.with_evidence(settings.run, table)
    models = fit_folds(table, rows, settings)
    for path in out.glob("fold*.txt"):  # there may have been more folds
        path.unlink()
    for fold, model in enumerate(models):
        files.write_text(out / f"fold{fold}.txt", model.booster_.model_to_string())
    predicted = predictions(settings.run, dataset, table)
    truth_path = settings.run / "truth.parquet"
    truth = files.read_table(truth_path) if truth_path.exists() else None
    metrics = evaluate(predicted, truth)
    written = {"run": settings.run.name, "seed": settings.seed, "evidence": settings.evidence}
    files.write_json(out / "settings.json", written | asdict(hyperparameters(settings)))
    files.write_csv(out / "oof.csv", predicted[predicted["kind"] == "oof"])
    files.write_csv(out / "test.csv", predicted[predicted["split"] == "test"])
    files.write_json(out / "metrics.json", metrics)
    for name, part in metrics.items():
        assert isinstance(part, dict)
        estimate = scores.Estimate(**part["auc"])
        left = part.get("left_out")
        without = f" (without {left} of patients who taught the models)" if left else ""
        print(f"{name.replace('_', ' ')}: {part['images']} images{without}, AUC {estimate}")
        for score in ("average_precision", "brier", *CALIBRATION):
            if score in part:
                print(f"  {score.replace('_', ' ')}: {scores.Estimate(**part[score])}")
    dull = [str(fold) for fold, model in enumerate(models) if not splits(model)]
    if dull:
        print(
            f"warning: the model of fold {', '.join(dull)} says the same of every image, since no "
            f"tree could split: each sees {settings.row_share:.0%} of {len(rows)} images less a "
            f"fold, and a leaf holds {settings.leaf_size} or more; give more images or a smaller "
            "--leaf-size."
        )


if __name__ == "__main__":
    command.run(main)
