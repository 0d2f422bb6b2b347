"""Scores of the evidence map, and what its metrics.json and settings.json hold."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map.training_data import Floats, TrainingData, collapsed
from baseline.learning import scores
from baseline.learning.scores import Estimate
from features.lungs.zones import SIDES
from features.run import files
from features.run.folder import RunFolder

# Resamples of patients for the cells' AUC: there are a thousand cells an image to be ranked.
CELL_REPLICATES = 200
# What each score is, for the reader of the terminal.
IN_WORDS = {
    "lung": "collapsed lungs against all others, AUC",
    "cell": "cells of air against all others, AUC",
    "right": "where only the right lung has collapsed, it looks worse than the left in",
    "left": "where only the left lung has collapsed, it looks worse than the right in",
}


@dataclass(frozen=True)
class EvidenceScores:
    """How well the models find lungs and cells of images they have not seen, where masks are known.

    95% intervals by bootstrap over patients; None where nothing can be scored.

    Parameters
    ----------
    lung : Estimate or None
        AUC of collapsed lungs against all others.
    cell : Estimate or None
        AUC of cells that are mostly air against all others.
    right, left : Estimate or None
        Of the images in which that lung alone has collapsed, the share in which it looks worse than
        the other.
    """

    lung: Estimate | None
    cell: Estimate | None
    right: Estimate | None
    left: Estimate | None


@dataclass(frozen=True)
class EvidenceSettings:
    """What the evidence map was learned with.

    Parameters
    ----------
    version : str
        Version of the toolkit.
    seed : int
    weak_weight : float
        Weight of a weakly labelled image.
    auxiliary : int
        Number of auxiliary phantoms with a collapsed lung; 0 for none.
    auxiliary_weight : float
        Weight of their cells; a patient's have 1.
    implants : int
        Number of implants in images of the run.
    """

    version: str
    seed: int
    weak_weight: float
    auxiliary: int
    auxiliary_weight: float
    implants: int = 0


def read_settings(run: RunFolder) -> EvidenceSettings:
    """What the evidence map of a run was learned with.

    Raises
    ------
    UserError
        If the file is missing or of another form.
    """
    return files.read_record(run.evidence_settings, EvidenceSettings)


def score(data: TrainingData, by_zone: pd.DataFrame, evidence_map: pd.DataFrame) -> EvidenceScores:
    """Score the map of the training images with a known mask.

    Parameters
    ----------
    data : TrainingData
    by_zone, evidence_map : DataFrame
        As `RunFolder.evidence_by_zone` and `RunFolder.evidence_map` have them.
    """
    truth = collapsed(data)
    images = np.flatnonzero(data.rows["fold"].notna().to_numpy() & ~np.isnan(truth[:, 0]))
    patients = data.rows["patient"].to_numpy(object)[images]
    odds, has_collapsed = _lung_odds(data, by_zone, images), truth[images]
    lung = scores.bootstrap(
        lambda rows: scores.auc(has_collapsed[rows].ravel(), odds[rows].ravel()), patients
    )
    correct = (odds.argmax(axis=1) == has_collapsed.argmax(axis=1)).astype(float)
    single = has_collapsed.sum(axis=1) == 1
    sides: list[Estimate | None] = []
    for number in range(len(SIDES)):
        only_this = single & (has_collapsed[:, number] == 1)
        sides.append(
            _if_finite(scores.mean(correct[only_this], patients[only_this]))
            if only_this.any()
            else None
        )
    cell = _cell_auc(data, evidence_map, images, patients)
    return EvidenceScores(_if_finite(lung), _if_finite(cell), *sides)


def _lung_odds(data: TrainingData, by_zone: pd.DataFrame, images: NDArray[np.intp]) -> Floats:
    """Log-odds of each lung by the models that did not see the image, (n, 2)."""
    columns = [f"evidence.{side}_whole.lung" for side in SIDES]
    rows = data.rows.iloc[images]
    keys = pd.MultiIndex.from_arrays((rows["id"].to_numpy(), rows["fold"].to_numpy(np.int64)))
    return by_zone.set_index(["id", "for_fold"])[columns].loc[keys].to_numpy(float)


def _cell_auc(
    data: TrainingData,
    evidence_map: pd.DataFrame,
    images: NDArray[np.intp],
    patients: NDArray[np.object_],
) -> Estimate:
    by_id = dict(iter(evidence_map.groupby("id", observed=True)["probability"]))
    share = data.cells["share"].to_numpy(float)
    air = [(share[data.cells_of(image)] > 0.5).astype(float) for image in images]
    probability = [by_id[data.rows["id"].iloc[image]].to_numpy(float) for image in images]

    def auc(rows: NDArray[np.intp]) -> float:
        return scores.auc(
            np.concatenate([air[row] for row in rows]),
            np.concatenate([probability[row] for row in rows]),
        )

    return scores.bootstrap(auc, patients, CELL_REPLICATES)


def _if_finite(estimate: Estimate) -> Estimate | None:
    """The estimate; None where it is NaN, for instance if no mask fills half a cell."""
    return estimate if np.isfinite(estimate.value) else None
