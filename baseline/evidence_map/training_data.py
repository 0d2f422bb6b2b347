"""What judges of lungs learn from: features lung by lung, cells, and which lungs have collapsed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.learning.training_table import training_rows
from features.cells import table as cell_table
from features.families.table import read as read_features
from features.lungs.zones import SIDES
from features.run import files

Floats = NDArray[np.float64]

# A lung counts as collapsed if it holds this share of the image's mask.
LEAST_SHARE = 0.1


def by_lung(table: pd.DataFrame) -> pd.DataFrame:
    """The feature table lung by lung: all right lungs, then all left ones.

    Parameters
    ----------
    table : (n, m) DataFrame

    Returns
    -------
    (2 n, k) DataFrame
        For each measure of a zone the lung's own value and, under "less", what it exceeds the other
        lung's by; then what belongs to the image. Comparisons without side are left out.
    """
    sides, image, columns = _split(tuple(map(str, table.columns)))
    values = table.to_numpy()
    own, shared = [values[:, side] for side in sides], values[:, image]
    parts = [np.hstack((a, a - b, shared)) for a, b in (own, own[::-1])]
    return pd.DataFrame(np.vstack(parts), columns=columns)


@lru_cache(maxsize=8)
def _split(names: tuple[str, ...]) -> tuple[list[list[int]], list[int], pd.Index]:
    """Places of the right and left lung's features and of the image's, and what `by_lung` names."""
    place = {name: number for number, name in enumerate(names)}
    zone = [name.split(".")[1] for name in names]
    right = [name for name, of in zip(names, zone, strict=True) if of.startswith(f"{SIDES[0]}_")]
    left = [name.replace(f".{SIDES[0]}_", f".{SIDES[1]}_") for name in right]
    image = [name for name, of in zip(names, zone, strict=True) if of == "image"]
    one = [name.replace(f".{SIDES[0]}_", ".") for name in right]
    columns = pd.Index([*one, *(f"less.{name}" for name in one), *image])
    sides = [[place[name] for name in side] for side in (right, left)]
    return sides, [place[name] for name in image], columns


@dataclass(frozen=True)
class TrainingData:
    """What judges learn from and describe.

    Parameters
    ----------
    rows : DataFrame
        All measured images: id, fold (-1 for none), label, target and patient.
    view : (2 n, k) DataFrame
        Of `by_lung`.
    index : DataFrame
        The cells, image by image in the order of `rows`; "image" is the row's number.
    values : (cells, m) array of float16
    starts : (n + 1,) array of int
        Where each image's cells begin.
    lungs : (n, 2) array
        Area of the mask in each lung in cells; NaN where no mask is known.
    """

    rows: pd.DataFrame
    view: pd.DataFrame
    index: pd.DataFrame
    values: NDArray[np.float16]
    starts: NDArray[np.intp]
    lungs: Floats

    def cells_of(self, image: int | np.integer) -> slice:
        """Where the cells of an image lie in `index` and `values`."""
        return slice(int(self.starts[image]), int(self.starts[image + 1]))


def read_training_data(run: Path) -> TrainingData:
    """Read features, cells and labels of a run.

    Raises
    ------
    UserError
        If a file is missing, or the cells are of other images than the features.
    """
    dataset = files.read_table(run / "dataset.parquet")
    table = read_features(run)
    index, values = cell_table.read(run)
    ids = index["id"].cat.categories
    if odd := set(ids) ^ set(table.index):
        raise files.UserError(
            f"{run / 'cells'}: {min(odd)} is not measured both there and in features.parquet; "
            "delete the folder and run make again."
        )
    if odd := set(ids) - set(dataset["id"]):
        raise files.UserError(
            f"{run / 'cells'}: {min(odd)} is not in dataset.parquet, which is of other images; "
            "run make again."
        )
    taught = training_rows(dataset).set_index("id")["target"]
    rows = dataset.set_index("id").loc[ids]
    rows["target"] = taught.reindex(ids)
    rows["fold"] = rows["fold"].where(rows["fold"] >= 0, -1)
    image = index["id"].cat.codes.to_numpy()
    starts = np.searchsorted(image, np.arange(len(ids) + 1))
    index = index.assign(image=image)
    area = _areas(index, len(ids))
    view = by_lung(table.loc[ids])
    return TrainingData(rows.reset_index(names="id"), view, index, values, starts, area)


def collapsed(material: TrainingData) -> Floats:
    """Which lungs have collapsed by their masks, (n, 2); NaN where no mask tells.

    A mask that lies outside both lungs tells that there is air, not where.
    """
    negative = (material.rows["label"] == 0).to_numpy()
    told = negative | (material.lungs.sum(axis=1) > 0)
    return np.where(told[:, None], _holding(material.lungs), np.nan)


def _holding(lungs: Floats) -> NDArray[np.bool_]:
    """Which lungs, of the areas of the mask in each (n, 2), hold enough of it to have collapsed."""
    return (lungs >= LEAST_SHARE * lungs.sum(axis=1, keepdims=True)) & (lungs > 0)


@dataclass(frozen=True)
class Places:
    """Cells of collapsed lungs, from which is learned where the air lies.

    Parameters
    ----------
    values : (cells, m) array of float32
    shares : (cells,) array in [0, 1]
        Share of each cell that is pneumothorax.
    images : int
        Number of images that they are of.
    """

    values: NDArray[np.float32]
    shares: Floats
    images: int


def places(
    index: pd.DataFrame, values: NDArray[np.float16], collapsed: NDArray[np.bool_]
) -> Places:
    """The cells of the collapsed lungs.

    Parameters
    ----------
    index : DataFrame
        The cells, with "side", "share" and the number of their "image".
    values : (cells, m) array of float16
    collapsed : (n, 2) array of bool
        By number of the image.
    """
    image = index["image"].to_numpy()
    rows = np.flatnonzero(collapsed[image, index["side"].to_numpy()])
    shares = index["share"].to_numpy(float)[rows]
    return Places(values[rows].astype(np.float32), shares, len(np.unique(image[rows])))


def read_phantoms(run: Path, known: Iterable[str]) -> Places:
    """Cells of the collapsed lungs of a run on phantoms.

    Parameters
    ----------
    run : Path
    known : iterable of str
        Ids of the images that are to be judged, of which the phantoms may be none.

    Raises
    ------
    UserError
        If the cells are missing or not whole, none is of a collapsed lung, or they are of images
        that are to be judged: their masks would teach who is scored on them.
    """
    index, values = cell_table.read(run)
    if met := sorted(set(index["id"].cat.categories) & set(known)):
        raise files.UserError(
            f"{run / 'cells'}: {len(met)} of its images are the run's own, such as {met[0]}; give "
            "a run on other phantoms, or leave --phantoms out."
        )
    index = index.assign(image=index["id"].cat.codes.to_numpy())
    found = places(index, values, _holding(_areas(index, len(index["id"].cat.categories))))
    if not len(found.shares):
        raise files.UserError(
            f"{run / 'cells'}: no lung has collapsed by a known mask; give a run on phantoms with "
            "pneumothorax, or leave --phantoms out."
        )
    return found


def _areas(index: pd.DataFrame, images: int) -> Floats:
    """Area of the mask in each lung in cells, (images, 2); NaN where no mask is known."""
    area = np.zeros((images, 2))
    np.add.at(
        area, (index["image"].to_numpy(), index["side"].to_numpy()), index["share"].to_numpy(float)
    )
    return area
