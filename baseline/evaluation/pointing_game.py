"""The pointing game: do the reasons point at the air?

Zhang et al., "Top-down neural attention by excitation backprop", IJCV 126, 2018. Played on images
that the explained model has not seen; 95% intervals by bootstrap over patients.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evaluation.results import Pointing, Side
from baseline.explanation.trained_run import TrainedRun
from baseline.learning import scores
from baseline.learning.scores import Estimate
from features.lungs.prepared import prepare
from features.lungs.zones import NAMES, SIDES, Zones
from features.reading import images, rle, square_pixels
from features.run import parallel

Mask = NDArray[np.bool_]


def point(by_place: pd.Series, zones: Zones, mask: Mask) -> dict[str, float]:
    """The pointing game on one image with pneumothorax.

    Parameters
    ----------
    by_place : Series
        SHAP values by place, in log-odds: a row of `attributions.by_place`.
    zones : Zones
    mask : (h, w) array of bool
        True pneumothorax, of the zones' shape.

    Returns
    -------
    dict of str to float
        Whether the finest zone with the largest painted contribution touches the mask (``zone``)
        and the lung with the larger contribution holds more of it (``lung``), 0 or 1; what a random
        pixel of the lungs would give for the zone (``zone_chance``); and whether it is the left
        lung that holds more (``left``), NaN where neither holds any.
    """
    inside = (zones.labels >= 0).all(axis=0)
    stack = zones.labels[:, inside]
    painted = by_place[list(NAMES)].to_numpy(float)[stack].sum(axis=0)
    finest, lungs, air = stack[3], stack[0], mask[inside]
    touched = np.isin(finest, finest[air])
    by_lung = {lung: painted[lungs == lung].mean() for lung in np.unique(lungs)}
    air_by_lung = {lung: int(air[lungs == lung].sum()) for lung in by_lung}
    named_lung = max(by_lung, key=lambda lung: by_lung[lung])
    collapsed = {
        lung for lung in air_by_lung if air_by_lung[lung] == max(air_by_lung.values()) and air.any()
    }
    return {
        "zone": float(touched[painted.argmax()]),
        "zone_chance": float(touched.mean()),
        "lung": float(named_lung in collapsed),
        "left": float(NAMES.index("left_whole") in collapsed) if collapsed else np.nan,
    }


def by_side(game: pd.DataFrame) -> dict[str, Side]:
    """For each side the lungs that had collapsed, and how many of them were named.

    Parameters
    ----------
    game : (n, ...) DataFrame
        Rows of `point`.
    """
    correct, left = game["lung"].to_numpy(), game["left"].to_numpy()  # NaN equals no side
    return {
        name: Side(int((left == number).sum()), int(correct[left == number].sum()))
        for number, name in enumerate(SIDES)
    }


def balanced(game: pd.DataFrame, patients: NDArray[np.object_]) -> Estimate | None:
    """How often the lung with the larger contribution is the collapsed one, mean of both sides.

    Where one side has collapsed more often, always naming that side is correct more often than not.
    The mean over both sides does not reward this: it is 0.5 if the reasons do not know the side.

    Parameters
    ----------
    game : (n, ...) DataFrame
        Rows of `point`.
    patients : (n,) array of str

    Returns
    -------
    Estimate or None
        None if only one side had collapsed.
    """
    correct, left = game["lung"].to_numpy(), game["left"].to_numpy()

    def mean_of_sides(rows: NDArray[np.intp]) -> float:
        parts = [correct[rows][left[rows] == side] for side in (0, 1)]
        return float(np.mean([part.mean() for part in parts])) if all(map(len, parts)) else np.nan

    estimate = scores.bootstrap(mean_of_sides, patients)
    return None if np.isnan(estimate.value) else estimate


@dataclass(frozen=True)
class PointingInput:
    """One image with pneumothorax, its true mask, and its SHAP values by place."""

    path: str
    size: tuple[int, int]
    mask: str
    by_place: pd.Series


def point_at(item: PointingInput) -> dict[str, float]:
    """Read an image and play the pointing game on it."""
    prepared = prepare(images.read(item.path)[1])
    truth = square_pixels.resample_mask(rle.decode(item.mask, item.size), prepared.scene.shape)
    return point(item.by_place, prepared.zones, truth)


def pointing(trained: TrainedRun, jobs: int) -> Pointing | None:
    """The pointing game on the true positives with a mask; None if there are none."""
    predicted = trained.predicted
    masks = trained.dataset["mask"].reindex(predicted["id"])
    chosen = (
        (predicted["kind"] == "oof")
        & masks.notna().to_numpy()
        & (predicted["label"] > 0.5)
        & (predicted["probability"] >= scores.POSITIVE_FROM)
    ).to_numpy()
    by_place = trained.by_place[chosen]
    if by_place.empty:
        return None
    studies = trained.dataset.loc[by_place.index]
    items = [
        PointingInput(
            study["path"], (int(study["rows"]), int(study["columns"])), study["mask"], row
        )
        for (_, study), (_, row) in zip(studies.iterrows(), by_place.iterrows(), strict=True)
    ]
    game = pd.DataFrame(list(parallel.stream(point_at, items, "pointing", jobs)))
    return score(game, studies["patient"].to_numpy(object))


def score(game: pd.DataFrame, patients: NDArray[np.object_]) -> Pointing:
    """Means over the images, with intervals.

    Parameters
    ----------
    game : (n, ...) DataFrame, n > 0
        Rows of `point`.
    patients : (n,) array of str
    """
    return Pointing(
        images=len(game),
        zone=scores.share(game["zone"].to_numpy(float), patients),
        zone_chance=scores.mean(game["zone_chance"].to_numpy(), patients),
        lung=scores.share(game["lung"].to_numpy(float), patients),
        **by_side(game),
        balanced=balanced(game, patients),
    )
