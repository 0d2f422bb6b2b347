"""The evidence map of each image, read back and painted at the X-ray's own size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.cells.table import spans
from features.lungs.prepared import CELL_SIDE, working_shape
from features.run.folder import RunFolder
from features.run.tables import Table


@dataclass(frozen=True)
class EvidenceMap:
    """The evidence map of one image.

    Parameters
    ----------
    rows, columns : (n,) arrays of int
        Places of the lungs' cells on their grid.
    probability : (n,) array of float32 in [0, 1]
        Probability that the air of a pneumothorax lies in each.
    lung : (n,) array of float32 in [0, 1]
        Probability that the lung of each cell has collapsed.
    """

    rows: NDArray[np.integer]
    columns: NDArray[np.integer]
    probability: NDArray[np.float32]
    lung: NDArray[np.float32]


# An X-ray whose lungs are too small for a cell.
EMPTY = EvidenceMap(*np.zeros((2, 0), np.intp), *np.zeros((2, 0), np.float32))


def read(run: RunFolder) -> dict[str, EvidenceMap]:
    """Maps of all images of a run by id, each by the evidence model that did not see it.

    Images that no model saw get the mean of all.

    Raises
    ------
    UserError
        If the evidence was not learned yet, or an image was predicted by some of the models only.
    """
    of_models = _by_fold_and_name(run.evidence_map)
    maps: dict[str, list[EvidenceMap]] = {}
    for of_model in of_models.values():
        for name, evidence_map in of_model.items():
            maps.setdefault(name, []).append(evidence_map)
    for name, of_image in maps.items():
        if len(of_image) not in (1, len(of_models)):
            raise run.evidence_map.refused(
                f"{name} was predicted by {len(of_image)} of {len(of_models)} models"
            )
    # The models of an image list its cells in the same order.
    return {
        name: mean(of_image) if of_image[1:] else of_image[0] for name, of_image in maps.items()
    }


def _by_fold_and_name(source: Table, **wanted: int) -> dict[int, dict[str, EvidenceMap]]:
    """The maps of a table, or of its rows with certain values, by for_fold and image."""
    maps: dict[int, dict[str, EvidenceMap]] = {}
    for group in source.read_groups(**wanted):
        names = group["id"].cat.categories.astype(str)
        images, folds = group["id"].cat.codes.to_numpy(), group["for_fold"].to_numpy()
        columns = [group[column].to_numpy() for column in ("row", "column", "probability", "lung")]
        for cells in spans(images, folds):
            of_fold = maps.setdefault(int(folds[cells.start]), {})
            name = str(names[images[cells.start]])
            part = [column[cells] for column in columns]
            if name in of_fold:  # the group before it ended amid its cells
                before = of_fold[name]
                former = (before.rows, before.columns, before.probability, before.lung)
                part = [np.concatenate(both) for both in zip(former, part, strict=True)]
            of_fold[name] = EvidenceMap(*part)
    return maps


def mean(of_models: Sequence[EvidenceMap]) -> EvidenceMap:
    """The mean of several models' maps of one image, which list its cells in the same order."""
    probability, lung = (
        np.stack([getattr(of_model, name) for of_model in of_models]).mean(axis=0)
        for name in ("probability", "lung")
    )
    return replace(of_models[0], probability=probability, lung=lung)


def read_for_fold(run: RunFolder, fold: int, pairs: bool = False) -> dict[str, EvidenceMap]:
    """Maps by id as a model of one fold may see them.

    Parameters
    ----------
    run : RunFolder
    fold : int
        The fold which the model is scored on.
    pairs : bool
        Whether to read the maps of the images it learns from, each by the evidence model that saw
        neither the image's fold nor this one; else those of this fold's images and of images
        without a fold.

    Raises
    ------
    UserError
        If the evidence was not learned yet.
    """
    source = run.evidence_pairs if pairs else run.evidence_map
    return _by_fold_and_name(source, for_fold=fold).get(fold, {})


def of_one_lung(evidence_map: EvidenceMap) -> EvidenceMap:
    """The map in the lung that is more likely to have collapsed, and nothing in the other.

    A pneumothorax of both sides is rare (2 of the 52 positives of siim-mini). Where the side is in
    doubt, a mask in both lungs is surely half wrong: to choose one earns more Dice on average.
    """
    likely = evidence_map.lung >= evidence_map.lung.max(initial=0)
    probability = np.where(likely, evidence_map.probability, np.float32(0))
    return replace(evidence_map, probability=probability)


def paint(evidence_map: EvidenceMap, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Paint a map at the X-ray's own size, interpolated between the middles of cells.

    Parameters
    ----------
    evidence_map : EvidenceMap
    shape : (int, int)
        Rows and columns of the X-ray.

    Returns
    -------
    (rows, columns) array of float32 in [0, 1]
        0 where less than half of what is interpolated is lung.
    """
    return paint_at(evidence_map, shape, np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5)


def paint_at(
    evidence_map: EvidenceMap,
    shape: tuple[int, int],
    down: NDArray[np.floating],
    across: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Paint a map on any grid over the X-ray, see `paint`.

    Parameters
    ----------
    evidence_map : EvidenceMap
    shape : (int, int)
        Rows and columns of the X-ray.
    down, across : (r,) and (c,) arrays of float
        Where the grid's rows and columns lie, in pixels from the upper left corner.

    Returns
    -------
    (r, c) array of float32 in [0, 1]
        0 where less than half of what is interpolated is lung, and outside the X-ray.
    """
    working = working_shape(shape)
    grid = working[0] // CELL_SIDE, working[1] // CELL_SIDE
    values, lung = np.zeros((2, *grid), np.float32)
    values[evidence_map.rows, evidence_map.columns] = evidence_map.probability
    lung[evidence_map.rows, evidence_map.columns] = 1
    rows, columns = (
        _between(place, size, small / CELL_SIDE, count)
        for place, size, small, count in zip((down, across), shape, working, grid, strict=True)
    )
    return _interpolated(values, lung, *rows, *columns)


def _between(
    place: NDArray[np.floating], size: int, length: float, count: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The first of two neighbouring cells at each place, and the weights of both, (n, 2).

    `length` of `count` cells span the `size` pixels.
    """
    middle = np.clip(place * length / size - 0.5, 0, count - 1)
    first = np.floor(middle).astype(np.intp)
    cells = first[:, None] + np.arange(2)
    weights = np.maximum(1 - np.abs(middle[:, None] - cells), 0).astype(np.float32)
    weights[(place < 0) | (place > size)] = 0
    return first, weights


@njit(cache=True)
def _interpolated(values, lung, row, down, column, across):  # type: ignore[no-untyped-def]
    """What `paint_at` returns, from the first cell and the two weights of each row and column."""
    painted = np.zeros((len(row), len(column)), np.float32)
    last = values.shape[1] - 1
    # The cells interpolated between two rows of the grid: of the map, and of the lungs.
    line = np.zeros((2, values.shape[1] + 1), np.float32)
    for i in range(len(row)):
        upper, lower = row[i], min(row[i] + 1, values.shape[0] - 1)
        for k in range(last + 1):
            line[0, k] = _sum(down[i, 0], values[upper, k], down[i, 1], values[lower, k])
            line[1, k] = _sum(down[i, 0], lung[upper, k], down[i, 1], lung[lower, k])
        for j in range(len(column)):
            k = column[j]
            share = _sum(across[j, 0], line[1, k], across[j, 1], line[1, k + 1])
            if share >= np.float32(0.5):
                painted[i, j] = _sum(across[j, 0], line[0, k], across[j, 1], line[0, k + 1]) / share
    return painted


@njit(cache=True, inline="always")
def _sum(first, one, second, other):  # type: ignore[no-untyped-def]
    """first * one + second * other, rounded twice as a processor's fused sum is."""
    return np.float32(np.float64(first * one) + np.float64(second) * np.float64(other))
