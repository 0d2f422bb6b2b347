"""A trained run judges X-rays, its own or not, each by models that did not see it.

An image is measured anew from its file. One that taught the run's models is recognised by its id
and judged by its own fold's model, which did not see its patient either; any other by the mean of
all fold models, which may have learned from other images of its patient.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd

from baseline.evaluation.shortcuts import conformal
from baseline.evidence_map import models, train
from baseline.evidence_map.maps import EvidenceMap
from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.training_data import by_lung
from baseline.explanation import attributions, hottest_cell
from baseline.explanation.sentences import Case, Reason, percentiles
from baseline.explanation.trained_run import asks_for_evidence, read_calibrations, read_judgement
from baseline.learning import training_table
from baseline.learning.calibrate import Calibration
from baseline.learning.estimator import load, raw_scores
from baseline.learning.predictions import read as read_predictions
from features.cells import measure
from features.families import registry
from features.families.table import read as read_features
from features.lungs.prepared import Prepared, prepare
from features.reading import images
from features.reading.study import Study
from features.run import files
from features.run.files import UserError

# Measures of the same file are the same up to single precision.
SAME = 1e-4
DECISIONS = {-1: "rule out", 0: "refer to a reader", 1: "rule in"}


@dataclass(frozen=True)
class Trained:
    """A trained run, as far as it judges other images.

    Parameters
    ----------
    boosters : list of Booster
        One a fold.
    dataset : DataFrame
        Rows of dataset.parquet, indexed by image id.
    oof : DataFrame
        Out-of-fold predictions.
    table : DataFrame
        Features of the images that taught the models, indexed by image id, for `tables.for_model`.
    measured : list of str
        Those that are measured on an image, not learned.
    sitting : list of Judge
        The evidence map's judges, one a fold; none where the verdict does without.
    calibrations : dict of int to Calibration
        By fold; -1 for an image of no fold.
    alpha : float or None
        Stated error rate of triage; None where the run was not scrutinised.
    """

    boosters: list[lgb.Booster]
    dataset: pd.DataFrame
    oof: pd.DataFrame
    table: pd.DataFrame
    measured: list[str]
    sitting: list[EvidenceModel]
    calibrations: dict[int, Calibration]
    alpha: float | None

    @cached_property
    def names(self) -> list[str]:
        """Features that the models ask for."""
        return list(self.boosters[0].feature_name())

    @cached_property
    def folds(self) -> dict[str, int]:
        """Fold of each image that taught."""
        return dict(zip(self.oof["id"], self.oof["fold"], strict=True))

    def teachers(self, fold: int) -> pd.DataFrame:
        """Features of the images that taught the models judging an image of a fold."""
        ids = self.oof.loc[self.oof["fold"] != fold, "id"]
        return training_table.for_model(self.table, ids, fold)[self.names]


def read_trained(run: Path) -> Trained:
    """Read a run.

    Raises
    ------
    UserError
        If it holds no trained verdict, or one of other features than it now has.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such run folder; give one in which `make baseline` was run.")
    oof = read_predictions(run / "baseline" / "oof.csv")
    folds = range(int(oof["fold"].max()) + 1)
    boosters = [load(run / "baseline" / f"fold{k}.txt") for k in folds]
    table = read_features(run)
    missing = oof["id"][~oof["id"].isin(table.index)]
    if len(missing):
        raise UserError(
            f"{run / 'features.parquet'}: {missing.iloc[0]} is missing, which taught the verdict; "
            "run `make baseline` again."
        )
    measured, sitting = list(table.columns), []
    if asks_for_evidence(boosters[0].feature_name()):
        table = training_table.with_evidence(run, table)
        sitting = [models.load(run, fold) for fold in folds]
    for fold, booster in enumerate(boosters):
        own = oof[oof["fold"] == fold]
        raw = raw_scores(booster, training_table.for_model(table, own["id"], fold))
        if np.abs(raw - own["raw"].to_numpy()).max(initial=0.0) > attributions.TOLERANCE:
            raise UserError(
                f"{run / 'baseline'}: the predictions of fold {fold} are not those of its model on "
                "the features; run `make baseline` again."
            )
    found = read_judgement(run, "scrutiny", oof)
    return Trained(
        boosters=boosters,
        dataset=files.read_table(run / "dataset.parquet").set_index("id"),
        oof=oof,
        table=table.loc[oof["id"]],
        measured=measured,
        sitting=sitting,
        calibrations=read_calibrations(run, oof),
        alpha=None if found is None else float(found["triage"]["alpha"]),
    )


def families(names: list[str]) -> tuple[str, ...]:
    """Families to measure for these features; a comparison needs what it compares.

    Raises
    ------
    UserError
        If a feature is unknown to this version.
    """
    found = set()
    for name in names:
        try:
            feature = registry.describe(name)
        except (KeyError, ValueError):
            raise UserError(
                f"the run holds the feature {name!r}, which this version does not measure; make "
                "the run again."
            ) from None
        found.add(feature.family)
        if feature.family == "asymmetry":
            found.add(feature.measure.partition("_")[0])
    return tuple(family for family in registry.FAMILIES if family in found)


@dataclass(frozen=True)
class Judged:
    """A judged X-ray.

    Parameters
    ----------
    study : Study
    fold : int
        Fold whose model judged it, -1 for the mean of all.
    case : Case
        SHAP values and percentiles.
    triage : str or None
        What conformal triage says.
    mask : str or None
        Run-length code of the true mask; None where the truth is unknown.
    notes : tuple of str
        Who judged it, and what else a reader must know.
    heat : Heat or None
        Its evidence map; None where the run's models do without.
    spot : Reason or None
        The sentence on the map's hottest spot.
    """

    study: Study
    fold: int
    case: Case
    triage: str | None
    mask: str | None
    notes: tuple[str, ...]
    heat: EvidenceMap | None = None
    spot: Reason | None = None


def judge(path: Path, trained: Trained) -> Judged:
    """Measure an X-ray and judge it.

    Raises
    ------
    UnreadableImage
        If the file is missing or is no X-ray.
    """
    study, pixels = images.read(path)
    image = prepare(pixels)
    found_cells = measure.measure(image) if trained.sitting else None
    table = _measure(image, study, found_cells, trained)
    fold = trained.folds.get(study.id, -1)
    raw = attributions.explain(trained.boosters, table, np.array([fold]))
    own = trained.calibrations[fold]
    found = attributions.calibrated(raw, np.array([own.slope]), np.array([own.intercept]))
    row = training_table.for_model(table, table.index, fold)[trained.names]
    teachers = trained.teachers(fold)
    case = Case(
        names=found.names,
        shap=found.values[0],
        base=float(found.base[0]),
        percentiles=percentiles(teachers.to_numpy(), row.to_numpy())[0],
        right=attributions.right_shares(found.names, row, teachers)[0],
    )
    notes = [_who(trained, fold)]
    # A file may bear the name of an image of the run and be another.
    same = fold >= 0 and _same(table, trained.table.loc[[study.id]], trained.measured)
    if fold >= 0 and not same:
        notes.append(
            "Its measures are not those of the run's image of this name, so it may be another "
            "image; rename the file to have it judged as a new one."
        )
    mask = trained.dataset["mask"].get(study.id) if same else None
    triage = None if trained.alpha is None else _triage(trained, fold, float(raw.scores[0]))
    known = mask if isinstance(mask, str) else None
    hot = (None, None) if found_cells is None else _map(trained, fold, table, found_cells)
    return Judged(study, fold, case, triage, known, tuple(notes), *hot)


def _map(
    trained: Trained, fold: int, table: pd.DataFrame, found: measure.Cells
) -> tuple[EvidenceMap, Reason | None]:
    """The evidence map by the judges that may judge an image of this fold, and its hottest spot."""
    asked = trained.sitting if fold < 0 else [trained.sitting[fold]]
    view = by_lung(table[trained.measured])
    heard = [models.predict(one, view, found) for one in asked]
    lungs, air = (np.stack(each).mean(axis=0) for each in zip(*heard, strict=True))
    spot = hottest_cell.find(asked, found, air)
    halves = (each.astype(np.float32) for each in (air, lungs[found.sides]))
    heat = EvidenceMap(found.rows, found.columns, *halves)
    return heat, None if spot is None else hottest_cell.sentence(spot)


def _measure(
    image: Prepared, study: Study, found_cells: measure.Cells | None, trained: Trained
) -> pd.DataFrame:
    """One row of features, and of evidence for each model, as in the run's own table."""
    found = registry.measure(image, study, families(trained.measured))
    table = training_table.one_row(study.id, found, trained.measured)
    if found_cells is None:
        return table
    learned = train.of_image(trained.sitting, table, found_cells)
    return pd.concat((table, learned), axis=1)


def _same(one: pd.DataFrame, other: pd.DataFrame, names: list[str]) -> bool:
    return np.allclose(one[names].to_numpy(), other[names].to_numpy(), rtol=SAME, atol=SAME)


def _who(trained: Trained, fold: int) -> str:
    if fold >= 0:
        return (
            f"It belongs to the run's training set, so it is judged by the model of fold {fold}, "
            "which saw neither it nor its patient."
        )
    return (
        f"It is no training image of the run, so it is judged by the mean of all "
        f"{len(trained.boosters)} fold models."
    )


def _triage(trained: Trained, fold: int, score: float) -> str:
    """Rule out, refer or rule in by the raw score, after the true labels of the other folds."""
    known = trained.oof[trained.oof["label"].notna() & (trained.oof["fold"] != fold)]
    labels, raw = known["label"].to_numpy(float), known["raw"].to_numpy(float)
    assert trained.alpha is not None
    decision = int(conformal(np.array([score]), labels, raw, trained.alpha)[0])
    return f"{DECISIONS[decision]} (stated error rate {trained.alpha:.0%} of each class)"
