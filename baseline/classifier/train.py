"""Trains the classifier on the feature table: one booster a fold, then calibration and scores."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from baseline.classifier import evaluate, fit, predict
from baseline.classifier.settings import (
    TrainingSettings,
    UsedSettings,
    resolve,
    training_settings,
)
from baseline.learning.estimator import Classifier
from baseline.learning.feature_table import FeatureTable
from baseline.learning.training_rows import read_checked, training_rows
from features.run import command, digests, files, parallel
from features.run.folder import RunFolder
from features.run.version import VERSION


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """Train the classifier on RUN/features.parquet, into RUN/baseline/."""

    run: Path
    """Run folder."""
    seed: int = 0
    """Seed of the boosters."""
    evidence: bool = True
    """Give each model the evidence map by zone; needs RUN/evidence/ (`make evidence`)."""
    texture: bool = True
    """Give it what the map says by texture alone too. What phantoms teach of that does not hold for
    patients, so models that shall go from one to the other do better without."""
    settings: Path | None = None
    """JSON file of training settings (rounds to weak-weight), e.g. RUN/tune/best.json; a setting
    that it does not hold is as its option."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers each fit the model
    of a fold; they must find the run folder under the same path."""


def main(settings: Settings) -> None:
    """Write the boosters, calibration.json, oof.csv, test.csv, metrics.json and settings.json."""
    run = RunFolder(settings.run).check()
    settings = resolve(settings, settings.settings)
    training = training_settings(settings)
    dataset, table = _read(settings)
    rows = training_rows(dataset)
    if settings.scheduler:
        work, folds = partial(fit_fold, settings=settings), range(rows["fold"].max() + 1)
        what, spread = "training the classifier", settings.scheduler
        models = list(parallel.stream(work, folds, what, scheduler=spread, unit="folds"))
    else:
        models = fit.fit_folds(table, rows, training, settings.seed)
    run.classifier_metrics.unlink(missing_ok=True)  # written last: the mark that all are there
    _write_boosters(run, models)
    predicted, deployed = predict.add_probabilities(predict.predict(run, dataset, table))
    truth = run.truth.read() if run.truth.exists() else None
    metrics = evaluate.evaluate(predicted, truth)
    files.write_record(run.calibration, deployed)
    files.write_record(
        run.classifier_settings,
        UsedSettings(
            VERSION, run.root.name, settings.seed, settings.evidence, training, settings.texture
        ),
    )
    run.oof.write(predicted[predicted["kind"] == "oof"])
    run.test.write(predicted[predicted["split"] == "test"])
    files.write_record(run.classifier_metrics, metrics)
    print(evaluate.report(metrics))
    _warn_of_constant_models(models, len(rows), training)


def fit_fold(fold: int, settings: Settings) -> Classifier:
    """Fit the model of one fold on what is read anew, as a cluster's worker does."""
    dataset, table = _read(settings)
    training = training_settings(settings)
    return fit.fit_fold(fold, table, training_rows(dataset), training, settings.seed)


def _read(settings: Settings) -> tuple[pd.DataFrame, FeatureTable]:
    """The dataset, and the features that the settings choose."""
    dataset, table = read_checked(RunFolder(settings.run), settings.evidence)
    return dataset, table if settings.texture else table.without_texture()


def _write_boosters(run: RunFolder, models: list[Classifier]) -> None:
    for path in run.classifier(0).parent.glob("fold*.txt"):  # there may have been more folds
        path.unlink()
    for fold, model in enumerate(models):
        files.write_text(run.classifier(fold), model.booster_.model_to_string())
    digests.write([run.classifier(fold) for fold in range(len(models))])


def _warn_of_constant_models(
    models: list[Classifier], images: int, settings: TrainingSettings
) -> None:
    constant = [str(fold) for fold, model in enumerate(models) if not fit.has_splits(model)]
    if constant:
        print(
            f"warning: the model of fold {', '.join(constant)} predicts the same for every image, "
            f"since no tree could split: each sees {settings.row_share:.0%} of {images} images "
            f"less a fold, and a leaf holds {settings.leaf_size} or more; give more images or a "
            "smaller --leaf-size."
        )


if __name__ == "__main__":
    command.run(main)
