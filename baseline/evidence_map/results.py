"""Scores of the evidence map, and what its metrics.json and settings.json hold."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit
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
    weak_mask_weight : float
        Weight of a cell with a weak mask.
    healthy_weight : float
        Weight of all cells of healthy lungs, as a share of that of collapsed ones.
    """

    version: str
    seed: int
    weak_weight: float
    auxiliary: int
    auxiliary_weight: float
    weak_mask_weight: float
    healthy_weight: float


def read_settings(run: RunFolder) -> EvidenceSettings:
    """What the evidence map of a run was learned with.

    Raises
    ------
    UserError
        If the file is missing or of another form.
    """
    return files.read_record(run.evidence_settings, EvidenceSettings)


def score(
    data: TrainingData, by_zone: pd.DataFrame, probability: NDArray[np.float32]
) -> EvidenceScores:
    """Score the map of the training images with a known mask.

    Parameters
    ----------
    data : TrainingData
    by_zone : DataFrame
        As `RunFolder.evidence_by_zone` has it.
    probability : (n,) array of float32
        Probability of air in each cell of the training images, by the model that did not see it.
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
            scores.share(correct[only_this], patients[only_this]) if only_this.any() else None
        )
    cell = _cell_auc(data, probability, images, patients)
    return EvidenceScores(_if_finite(lung), _if_finite(cell), *sides)


def _lung_odds(data: TrainingData, by_zone: pd.DataFrame, images: NDArray[np.intp]) -> Floats:
    """Log-odds of each lung by the models that did not see the image, (n, 2)."""
    columns = [f"evidence.{side}_whole.lung" for side in SIDES]
    rows = data.rows.iloc[images]
    keys = pd.MultiIndex.from_arrays((rows["id"].to_numpy(), rows["fold"].to_numpy(np.int64)))
    return by_zone.set_index(["id", "for_fold"])[columns].loc[keys].to_numpy(float)


def _cell_auc(
    data: TrainingData,
    probability: NDArray[np.float32],
    images: NDArray[np.intp],
    patients: NDArray[np.object_],
) -> Estimate:
    counts = np.diff(data.starts)[images]
    inside = np.isin(data.cells["image"].to_numpy(), images)
    image = np.repeat(np.arange(len(images), dtype=np.int32), counts)
    # The cells are sorted once: a resample only counts some of them more than once.
    order = np.argsort(probability[inside], kind="stable")
    image, sorted_values = image[order], probability[inside][order]
    air = (data.cells["share"].to_numpy()[inside] > 0.5)[order]
    is_last = np.append(np.diff(sorted_values) > 0, True)

    def auc(rows: NDArray[np.intp]) -> float:
        times = np.bincount(rows, minlength=len(images))
        return float(_auc_of_sorted(image, air, is_last, times))

    return scores.bootstrap(auc, patients, CELL_REPLICATES)


@njit(cache=True)
def _auc_of_sorted(image, air, is_last, times):  # type: ignore[no-untyped-def]
    """AUC of cells in the order of their scores, each counted as often as its image.

    Parameters
    ----------
    image : (n,) array of int
        Image of each cell.
    air : (n,) array of bool
        The class.
    is_last : (n,) array of bool
        Whether the next cell's score is greater.
    times : (images,) array of int
    """
    ordered, positive, negative = 0, 0, 0
    of_air, of_others = 0, 0  # among equal scores
    for cell in range(len(image)):
        if air[cell]:
            of_air += times[image[cell]]
        else:
            of_others += times[image[cell]]
        if is_last[cell]:
            # Ties count by half.
            ordered += of_air * (2 * negative + of_others)
            positive, negative = positive + of_air, negative + of_others
            of_air, of_others = 0, 0
    return ordered / (2 * positive * negative) if positive and negative else np.nan


def _if_finite(estimate: Estimate) -> Estimate | None:
    """The estimate; None where it is NaN, for instance if no mask fills half a cell."""
    return estimate if np.isfinite(estimate.value) else None
