"""The evidence map of each image, read back and painted at the X-ray's own size."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.cells.measure import SIZE
from features.lungs.prepared import working_shape
from features.run import files


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


def read(run: Path) -> dict[str, EvidenceMap]:
    """Maps of all images of a run by id, each by the judge that did not see it.

    Images that no judge saw get the mean of all.

    Raises
    ------
    UserError
        If the evidence was not learned yet.
    """
    table = files.read_table(run / "evidence" / "map.parquet")
    table["id"] = table["id"].astype(str)
    judges = table["judge"].max() + 1
    found = {}
    for name, rows in table.groupby("id", sort=False):
        # The judges of an image list its cells in the same order.
        count = rows["judge"].nunique()
        if count not in (1, judges):
            raise files.UserError(
                f"{run / 'evidence' / 'map.parquet'}: {name} was judged by {count} of {judges} "
                "judges; delete the file and run make again."
            )
        one = rows[: len(rows) // count]
        means = rows[["probability", "lung"]].to_numpy().reshape(count, -1, 2).mean(axis=0)
        found[str(name)] = EvidenceMap(one["row"].to_numpy(), one["column"].to_numpy(), *means.T)
    return found


def read_of(run: Path, fold: int, pairs: bool = False) -> dict[str, EvidenceMap]:
    """Maps by id as a model of one fold may see them.

    Parameters
    ----------
    run : Path
    fold : int
        The fold which the model is scored on.
    pairs : bool
        Whether of the images it learns from, each by the judge that saw neither the image's fold
        nor this one; else of this fold's images and of those without a fold.

    Raises
    ------
    UserError
        If the evidence was not learned yet.
    """
    path = run / "evidence" / ("pairs.parquet" if pairs else "map.parquet")
    table = files.read_table(path, filters=[("judge", "==", fold)])
    table["id"] = table["id"].astype(str)
    return {
        str(name): EvidenceMap(
            *(one[c].to_numpy() for c in ("row", "column", "probability", "lung"))
        )
        for name, one in table.groupby("id", sort=False)
    }


# An X-ray whose lungs are too small for a cell.
NONE = EvidenceMap(*np.zeros((2, 0), np.intp), *np.zeros((2, 0), np.float32))


def of_one_lung(heat: EvidenceMap) -> EvidenceMap:
    """The map in the lung that is more likely to have collapsed, and nothing in the other.

    A pneumothorax of both sides is rare (2 of the 52 positives of siim-mini). Where the side is in
    doubt, a mask in both lungs is surely half wrong: committing to one earns more Dice on average.
    """
    likely = heat.lung >= heat.lung.max(initial=0)
    return replace(heat, probability=np.where(likely, heat.probability, np.float32(0)))


def paint(heat: EvidenceMap, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Paint a map at the X-ray's own size, interpolated between the middles of cells.

    Parameters
    ----------
    heat : Heat
    shape : (int, int)
        Rows and columns of the X-ray.

    Returns
    -------
    (rows, columns) array of float32 in [0, 1]
        0 where less than half of what is interpolated is lung.
    """
    return paint_at(heat, shape, np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5)


def paint_at(
    heat: EvidenceMap,
    shape: tuple[int, int],
    down: NDArray[np.floating],
    across: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Paint a map on any grid over the X-ray, see `paint`.

    Parameters
    ----------
    heat : Heat
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
    grid = working[0] // SIZE, working[1] // SIZE
    values, lung = np.zeros((2, *grid), np.float32)
    values[heat.rows, heat.columns] = heat.probability
    lung[heat.rows, heat.columns] = 1
    rows, columns = (
        _between(place, size, small / SIZE, count)
        for place, size, small, count in zip((down, across), shape, working, grid, strict=True)
    )
    share = rows @ lung @ columns.T
    return np.where(share >= 0.5, rows @ values @ columns.T / np.maximum(share, 0.5), 0)


def _between(
    place: NDArray[np.floating], size: int, length: float, count: int
) -> NDArray[np.float32]:
    """Weights of `count` cells at each place; `length` cells span the `size` pixels."""
    middle = np.clip(place * length / size - 0.5, 0, count - 1)
    weights = np.maximum(1 - np.abs(middle[:, None] - np.arange(count)), 0).astype(np.float32)
    weights[(place < 0) | (place > size)] = 0
    return weights
