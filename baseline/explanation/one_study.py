"""Explains single X-rays by a trained run, each by models that have not seen it.

An image is measured anew from its file. A training image of the run is recognised by its id and
predicted by the model of its fold, which has seen neither it nor its patient; any other by the mean
of all fold models, which may have learned from other images of its patient.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import by_zone, maps
from baseline.evidence_map import models as evidence_models
from baseline.evidence_map.maps import EvidenceMap
from baseline.evidence_map.training_data import by_lung
from baseline.explanation import attributions, hottest_cell
from baseline.explanation.case import Case
from baseline.explanation.sentences import Reason
from baseline.explanation.study_models import StudyModels
from baseline.learning import feature_table
from baseline.learning.feature_table import FeatureTable
from features.cells import measure as cell_measures
from features.cells.measure import Cells
from features.families import registry
from features.lungs.prepared import Prepared, prepare
from features.quality import gate
from features.reading import images
from features.reading.study import Study
from features.run.files import UserError

# Measures of the same file agree up to single precision.
SAME = 1e-4


@dataclass(frozen=True)
class StudyExplanation:
    """The prediction of one X-ray and its reasons.

    Parameters
    ----------
    study : Study
    fold : int or None
        Fold whose model predicted it; None for the mean of all.
    raw : float
        Log-odds before calibration.
    case : Case
        SHAP values and percentiles.
    mask : str or None
        Run-length code of the true mask; None where the truth is unknown.
    notes : tuple of str
        Which models predicted it, and what else a reader must know.
    quality : Quality
        Whether it is a frontal chest X-ray.
    prepared : Prepared
        The picture as it was measured.
    cells : Cells
    by_lung : DataFrame
        Its features lung by lung, as the evidence models read them.
    by_model : tuple of EvidenceMap
        The evidence map by each model that predicts the image, fold by fold; none where there is
        no map.
    hottest : Reason or None
        The sentence on the hottest cell of the map.
    """

    study: Study
    fold: int | None
    raw: float
    case: Case
    mask: str | None
    notes: tuple[str, ...]
    quality: gate.Quality
    prepared: Prepared
    by_lung: pd.DataFrame
    cells: Cells
    by_model: tuple[EvidenceMap, ...] = ()
    hottest: Reason | None = None

    @property
    def evidence_map(self) -> EvidenceMap | None:
        """The mean of the models' maps; None where there is none."""
        return maps.mean(self.by_model) if self.by_model else None


def explain(path: Path, models: StudyModels) -> StudyExplanation:
    """Read an X-ray, measure it, predict it and explain the prediction; see `explain_picture`.

    Raises
    ------
    UnreadableImage
        If the file is missing or is no X-ray.
    """
    return explain_picture(*images.read(path), models)


def explain_picture(
    study: Study, pixels: NDArray[np.float32], models: StudyModels
) -> StudyExplanation:
    """Measure an X-ray, predict it and explain the prediction.

    Parameters
    ----------
    study, pixels
        As `images.read` gives them.
    models : StudyModels
        Those of a trained run are checked before (`TrainedRun.check_models`).

    Raises
    ------
    UserError
        If the run holds a feature of another version.
    """
    prepared = prepare(pixels)
    cells = _cells(prepared)
    table = _measure(prepared, study, cells, models)
    known = models.training_image(study.id)
    fold = None if known is None else known.fold
    raw = attributions.explain(
        models.boosters, table, pd.Series([fold], table.index, dtype="Int64")
    )
    # A file may bear the name of an image of the run and be another.
    is_same_image = known is not None and _same(table, known.measured)
    quality = gate.examine(study, pixels, prepared.lungs)
    notes = [_which_models(models, fold)]
    if fold is not None and not is_same_image:
        notes.append(
            "Its measures are not those of the run's image of this name, so it may be another "
            "image; rename the file to have it predicted as a new one."
        )
    evidence = _evidence(models, fold, table, cells) if models.evidence_models else ((), None)
    return StudyExplanation(
        study,
        fold,
        float(raw.scores[0]),
        _case(models, fold, table, raw),
        known.mask if known is not None and is_same_image else None,
        tuple(notes),
        quality,
        prepared,
        by_lung(table.measured),
        cells,
        *evidence,
    )


def families(names: list[str]) -> tuple[str, ...]:
    """Families to measure for these features; a comparison needs what it compares.

    Raises
    ------
    UserError
        If a feature is unknown to this version.
    """
    needed = set()
    for name in names:
        try:
            feature = registry.describe(name)
        except (KeyError, ValueError):
            raise UserError(
                f"the run holds the feature {name!r}, which this version does not measure; make "
                "the run again."
            ) from None
        needed.add(feature.family)
        if feature.family == "asymmetry":
            needed.add(feature.measure.partition("_")[0])
    return tuple(family for family in registry.FAMILIES if family in needed)


def _measure(prepared: Prepared, study: Study, cells: Cells, models: StudyModels) -> FeatureTable:
    """The features of one image, and its evidence for each model, as in the run's own table."""
    columns = list(models.measured_names)
    values = registry.measure(prepared, study, families(columns))
    row = feature_table.one_row(study.id, values, columns)
    if not feature_table.uses_evidence(models.names):
        return FeatureTable(row)
    return FeatureTable(row, by_zone.of_one_image(models.evidence_models, row, cells))


def _case(
    models: StudyModels, fold: int | None, table: FeatureTable, raw: attributions.Explanation
) -> Case:
    """The numbers behind the sentences, in calibrated log-odds."""
    calibration = models.calibrations[fold]
    calibrated = attributions.calibrated(
        raw, np.array([calibration.slope]), np.array([calibration.intercept])
    )
    names = list(models.names)
    row = table.for_model(table.index, fold)[names]
    values, reference = row.to_numpy(float), models.reference(fold)
    return Case(
        names=calibrated.names,
        shap=calibrated.values[0],
        base=float(calibrated.base[0]),
        percentiles=reference.percentiles(values)[0],
        right=reference.right_shares(values)[0],
    )


def _cells(prepared: Prepared) -> Cells:
    """The cells in half precision, as a run keeps them."""
    cells = cell_measures.measure(prepared)
    return replace(cells, values=cells.values.astype(np.float16))


def _evidence(
    models: StudyModels, fold: int | None, table: FeatureTable, cells: Cells
) -> tuple[tuple[EvidenceMap, ...], Reason | None]:
    """Evidence maps by the models that may predict this fold, and the hottest cell in words."""
    used = models.evidence_models if fold is None else [models.evidence_models[fold]]
    lung_features = by_lung(table.measured)
    by_model = tuple(evidence_models.draw(model, lung_features, cells) for model in used)
    hottest = hottest_cell.find(used, cells, maps.mean(by_model).probability)
    return by_model, None if hottest is None else hottest_cell.sentence(hottest)


def _same(table: FeatureTable, other: pd.DataFrame) -> bool:
    return np.allclose(table.measured.to_numpy(), other.to_numpy(), rtol=SAME, atol=SAME)


def _which_models(models: StudyModels, fold: int | None) -> str:
    if fold is not None:
        return (
            f"It is a training image of the run, so it is predicted by the model of fold {fold}, "
            "which has seen neither it nor its patient."
        )
    return (
        "It is no training image, so it is predicted by the mean of all "
        f"{len(models.boosters)} fold models."
    )
