"""A search for better training settings, by Optuna: resumable, and never applied by itself.

A setting's score is its out-of-fold AUC on the true labels, averaged over several splits by
patient. The best of many scores is too high, because it was chosen, so the best settings and the
defaults are scored once more on splits that the search did not use. These hold the same images, so
that figure is fairer, but may still be too high: only other images could give an honest one.

Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from baseline.classifier.fit import out_of_fold
from baseline.classifier.settings import TrainingSettings
from baseline.learning import scores
from baseline.learning.training_rows import read_checked, training_rows
from features.dataset.folds import assign, strata
from features.run import command, files
from features.run.files import UserError
from features.run.folder import RunFolder

# Lowest and highest value of each setting, and whether it is searched on a logarithmic scale.
SPACE: dict[str, tuple[float, float, bool]] = {
    "rounds": (300, 3000, True),
    "learning_rate": (0.01, 0.1, True),
    "leaves": (3, 12, False),
    "leaf_size": (5, 60, True),
    "feature_share": (0.01, 0.3, True),
    "row_share": (0.4, 1.0, False),
    "l2": (0.1, 50.0, True),
    "weak_weight": (0.05, 1.0, True),
}
DEFAULTS = {name: getattr(TrainingSettings, name) for name in SPACE}
# Splits that are not used in the search are numbered from here.
FRESH = 1000


@dataclass(frozen=True)
class ScoredSettings:
    """Training settings with their mean AUC on the search's splits and on fresh ones."""

    settings: dict[str, float]
    search: float
    fresh: float


@dataclass(frozen=True)
class SearchResult:
    """What tune/tune.json holds: how many settings were tried, the defaults and the best."""

    trials: int
    default: ScoredSettings
    best: ScoredSettings


@dataclass(frozen=True)
class Settings:
    """Search for training settings of RUN's classifier; write RUN/tune/best.json."""

    run: Path
    """Run folder with features.parquet."""
    trials: int = 40
    """Settings to try in all, those of former calls counted."""
    minutes: float | None = None
    """Start no further trial after so many minutes."""
    splits: int = 3
    """Splits into folds that each setting is scored on."""
    folds: int = 5
    """Number of patient-disjoint folds of each split."""
    seed: int = 0
    """Seed of the search and of the boosters."""


class Objective:
    """Mean out-of-fold AUC of settings on the true labels, over several splits by patient.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        dataset, table = read_checked(RunFolder(settings.run))
        self.settings = settings
        self.rows = training_rows(dataset)
        self.table = table.measured.loc[self.rows["id"]]

    def digest(self) -> str:
        """Hash of what a score depends on, so that trials of other data or splits do not mix."""
        names = ("splits", "folds", "seed")
        text = {name: getattr(self.settings, name) for name in names} | {"space": SPACE}
        digest = hashlib.sha256(repr(text).encode())
        known = self.rows[["id", "patient", "label", "weak"]]
        for part in (known.astype(str), self.table):
            digest.update(pd.util.hash_pandas_object(part).to_numpy().tobytes())
        patients = self.rows["patient"].to_numpy(object)
        # Another version of the program may split the same seed in another way.
        digest.update(assign(strata(self.rows), patients, self.settings.folds, 0).tobytes())
        return digest.hexdigest()[:16]

    def __call__(self, training: TrainingSettings, first: int = 0) -> float:
        """Score settings on the splits with seeds from `first` on."""
        label = self.rows["label"].to_numpy(float)
        patients = self.rows["patient"].to_numpy(object)
        known = ~np.isnan(label)
        aucs = []
        for split in range(first, first + self.settings.splits):
            fold = assign(strata(self.rows), patients, self.settings.folds, split)
            seed = self.settings.seed + 100 * split
            raw = out_of_fold(self.table, self.rows, fold, seed, training)
            aucs.append(scores.auc(label[known], raw[known]))
        return float(np.mean(aucs))


def open_study(path: Path, digest: str, seed: int) -> Any:
    """The search so far, kept in a journal file; a new one begins with the default settings.

    Raises
    ------
    UserError
        If Optuna is not installed, or the journal belongs to other data or settings.
    """
    try:
        import optuna
    except ImportError:
        raise UserError(
            "Optuna is not installed, which `make tune` needs; run `make env`, or install the "
            "project with its extra: pip install '.[tune]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name="classifier",
        direction="maximize",
        load_if_exists=True,
    )
    if study.user_attrs.setdefault("digest", digest) != digest:
        raise UserError(
            f"{path}: a search on other data or splits; delete the file to begin a new one."
        )
    study.set_user_attr("digest", digest)
    if defaults_of(study) is None:  # not tried yet, or killed while they were
        study.enqueue_trial(DEFAULTS)
    # A search that goes on must not draw the same random settings again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def done(study: Any) -> list[Any]:
    """Trials that have a score; one that a killed search left unfinished has none."""
    return [trial for trial in study.trials if trial.value is not None]


def defaults_of(study: Any) -> Any | None:
    """The trial of the default settings, if it has a score."""
    return next((trial for trial in done(study) if trial.params == DEFAULTS), None)


def suggest(trial: Any) -> TrainingSettings:
    """Settings of a trial."""
    chosen: dict[str, Any] = {}
    for name, (low, high, log) in SPACE.items():
        if isinstance(getattr(TrainingSettings, name), int):
            chosen[name] = trial.suggest_int(name, int(low), int(high), log=log)
        else:
            chosen[name] = trial.suggest_float(name, low, high, log=log)
    return TrainingSettings(**chosen)


def _until(count: int, minutes: float | None) -> Iterator[int]:
    """Numbers up to `count`, as long as there is time."""
    start = time.monotonic()
    for number in range(count):
        if minutes is not None and time.monotonic() - start > 60 * minutes:
            return
        yield number


def search(settings: Settings) -> SearchResult:
    """Go on with the search, then score the best settings and the defaults on fresh splits.

    Raises
    ------
    UserError
        If there was no time to try the default settings.
    """
    run, objective = RunFolder(settings.run), Objective(settings)
    study = open_study(run.search_journal, objective.digest(), settings.seed)
    remaining = max(settings.trials - len(done(study)), 0)
    turns = _until(remaining, settings.minutes)
    for _ in command.progress(turns, "tuning", total=remaining, unit="settings"):
        study.optimize(lambda trial: objective(suggest(trial)), n_trials=1)
    default = defaults_of(study)
    if default is None:
        raise UserError(
            "trials, minutes: not even the default settings were tried; give the search more of "
            "both."
        )
    best = max(done(study), key=lambda trial: trial.value)

    def scored(trial: Any) -> ScoredSettings:
        fresh = objective(TrainingSettings(**trial.params), FRESH)
        return ScoredSettings(trial.params, trial.value, fresh)

    return SearchResult(len(done(study)), scored(default), scored(best))


def main(settings: Settings) -> None:
    """Print the best settings beside the defaults; write tune/best.json and tune/tune.json."""
    run = RunFolder(settings.run).check()
    if settings.trials < 1 or settings.splits < 1:
        raise UserError(
            f"trials = {settings.trials}, splits = {settings.splits}: both are at least 1."
        )
    result = search(settings)
    default, best = result.default, result.best
    files.write_json(run.best_settings, best.settings)
    files.write_record(run.search_result, result)
    print(f"| of {result.trials} settings tried | default | best |\n|---|---|---|")
    for name in SPACE:
        print(f"| {name} | {default.settings[name]:.4g} | {best.settings[name]:.4g} |")
    flattered = f"{default.search:.4f} | {best.search:.4f}"
    print(f"| AUC on the search's splits, flattered | {flattered} |")
    fresh = f"{default.fresh:.4f} | {best.fresh:.4f}"
    print(f"| AUC on fresh splits of the same images | {fresh} |")
    print(
        "The best was chosen by these very labels, so its lead is partly luck. To use it: make "
        f"classifier RUN={settings.run} CLASSIFIER_OPTIONS='--settings {run.best_settings}'"
    )


if __name__ == "__main__":
    command.run(main)
