"""What the evidence models learn from: features lung by lung, cells, and which lungs collapsed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.learning.training_rows import training_rows
from features.cells import table as cell_table
from features.cells.table import CellValues
from features.families.table import read as read_features
from features.lungs.zones import SIDES
from features.reading import rle
from features.run.files import UserError
from features.run.folder import RunFolder

Floats = NDArray[np.float64]

# A lung counts as collapsed if it holds this share of the image's mask.
LEAST_SHARE = 0.1
# An image whose weak label is below this is healthy, unless a weak mask says otherwise.
HEALTHY_BELOW = 0.3
# Cells that are looked at together.
BLOCK = 2**20


def by_lung(table: pd.DataFrame) -> pd.DataFrame:
    """The feature table lung by lung: all right lungs, then all left ones.

    Parameters
    ----------
    table : (n, m) DataFrame

    Returns
    -------
    (2 n, k) DataFrame
        For each measure of a zone its value in this lung and, under "less", its value less that of
        the other lung; then what belongs to the image. Comparisons without side are left out.
    """
    sides, image, columns = _split(tuple(table.columns.tolist()))
    values = table.to_numpy()
    lungs, count = [values[:, side] for side in sides], len(sides[0])
    parts = np.empty((2, len(values), len(columns)), values.dtype)
    for part, this, other in zip(parts, lungs, lungs[::-1], strict=True):
        part[:, :count], part[:, 2 * count :] = this, values[:, image]
        np.subtract(this, other, out=part[:, count : 2 * count])
    return pd.DataFrame(parts.reshape(2 * len(values), len(columns)), columns=columns)


@lru_cache(maxsize=8)
def _split(names: tuple[str, ...]) -> tuple[list[list[int]], list[int], pd.Index]:
    """Positions of the right and left lung's features and of the image's; names of `by_lung`."""
    position = {name: number for number, name in enumerate(names)}
    zone = {name: name.split(".")[1] for name in names}
    right = [name for name in names if zone[name].startswith(f"{SIDES[0]}_")]
    left = [name.replace(f".{SIDES[0]}_", f".{SIDES[1]}_") for name in right]
    image = [name for name in names if zone[name] == "image"]
    sideless = [name.replace(f".{SIDES[0]}_", ".") for name in right]
    columns = pd.Index([*sideless, *(f"less.{name}" for name in sideless), *image])
    sides = [[position[name] for name in side] for side in (right, left)]
    return sides, [position[name] for name in image], columns


@dataclass(frozen=True)
class TrainingData:
    """What the evidence models learn from, and the images that they are applied to.

    Parameters
    ----------
    rows : DataFrame
        All measured images: id, fold (missing for none), label, target and patient.
    features : (n, k) DataFrame
        Of all measured images.
    cells : DataFrame
        Image by image in the order of `rows`; "image" is the row's number.
    values : CellValues
        Measures of the cells.
    starts : (n + 1,) array of int
        Where each image's cells begin.
    mask_areas : (n, 2) array
        Area of the mask in each lung in cells; NaN where no mask is known.
    weak_areas : (n, 2) array
        The same by weak masks that the weak label agrees with.
    """

    rows: pd.DataFrame
    features: pd.DataFrame
    cells: pd.DataFrame
    values: CellValues
    starts: NDArray[np.intp]
    mask_areas: Floats
    weak_areas: Floats

    def cells_of(self, image: int | np.integer) -> slice:
        """Where the cells of an image lie in `cells` and `values`."""
        return slice(int(self.starts[image]), int(self.starts[image + 1]))

    def lungs_of(self, images: NDArray[np.intp]) -> pd.DataFrame:
        """Features of some images lung by lung, as `by_lung` has them."""
        return by_lung(self.features.iloc[images])


def read_training_data(run: RunFolder) -> TrainingData:
    """Read features, cells and labels of a run.

    Raises
    ------
    UserError
        If a file is missing, or the cells are of other images than the features.
    """
    dataset = run.images()
    table = read_features(run)
    cells, values = cell_table.read(run)
    ids = cells["id"].cat.categories
    if odd := set(ids) ^ set(table.index):
        raise run.cells.refused(f"{min(odd)} is not measured both there and in features.parquet")
    if odd := set(ids) - set(dataset["id"]):
        raise run.cells.refused(f"{min(odd)} is not in dataset.parquet, which is of other images")
    target = training_rows(dataset).set_index("id")["target"]
    rows = dataset.set_index("id").loc[ids]
    rows["target"] = target.reindex(ids)
    image = cells["id"].cat.codes.to_numpy()
    starts = np.searchsorted(image, np.arange(len(ids) + 1))
    cells = cells.assign(image=image)
    areas, weak_areas = (mask_areas_of(cells, len(ids), name) for name in ("share", "weak_share"))
    agree = (rows["weak"] > 0.5).to_numpy() == (weak_areas.sum(axis=1) > 0)
    weak_areas[~agree] = np.nan
    return TrainingData(
        rows.reset_index(names="id"), table.loc[ids], cells, values, starts, areas, weak_areas
    )


def collapsed(data: TrainingData) -> Floats:
    """Which lungs have collapsed by their masks, (n, 2); NaN where no mask shows it.

    A mask that lies outside both lungs shows that there is air, but not on which side.
    """
    negative = (data.rows["label"] == 0).to_numpy()
    known = negative | (data.mask_areas.sum(axis=1) > 0)
    return np.where(known[:, None], _hold_enough(data.mask_areas), np.nan)


def weakly_collapsed(data: TrainingData) -> NDArray[np.bool_]:
    """Which lungs have collapsed by a weak mask, (n, 2)."""
    return _hold_enough(np.nan_to_num(data.weak_areas))


def healthy_lungs(data: TrainingData) -> NDArray[np.bool_]:
    """Which lungs hold no air, (n, 2): by the mask, or by weak label and weak mask together.

    A weak mask of one lung says that the other one is healthy.
    """
    rows, truth = data.rows, collapsed(data)
    no_mask = (rows["weak_mask"].isna() | (rows["weak_mask"] == rle.EMPTY)).to_numpy(bool)
    unlikely = no_mask & (rows["weak"] < HEALTHY_BELOW).to_numpy(bool, na_value=False)
    other_lung = (data.weak_areas == 0) & weakly_collapsed(data).any(axis=1, keepdims=True)
    return (truth == 0) | other_lung | (np.isnan(truth) & unlikely[:, None])


def _hold_enough(areas: Floats) -> NDArray[np.bool_]:
    """Which lungs hold enough of the mask to count as collapsed, by its area in each, (n, 2)."""
    return (areas >= LEAST_SHARE * areas.sum(axis=1, keepdims=True)) & (areas > 0)


@dataclass(frozen=True)
class LabelledCells:
    """Cells of collapsed lungs, from which the cells' booster learns where the air lies.

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


def labelled_cells(
    cells: pd.DataFrame,
    values: CellValues,
    lungs: NDArray[np.bool_],
    share: str = "share",
    step: int = 1,
    most: int | None = None,
) -> LabelledCells:
    """The cells of the collapsed lungs.

    Parameters
    ----------
    cells : DataFrame
        With "side", "share" and the number of their "image".
    values : CellValues
    lungs : (n, 2) array of bool
        Which lungs have collapsed, by number of the image.
    share : str
        Column of the share that is pneumothorax.
    step : int
        Of so many cells one is taken: neighbours are much alike.
    most : int, optional
        Most cells that are taken; where there are more, `step` is larger.
    """
    if most is not None:
        count = sum(len(rows) for rows in _rows_in(lungs, cells))
        step = max(step, -(-count // most))
    taken, before = [], 0
    for rows in _rows_in(lungs, cells):
        taken.append(rows[-before % step :: step])
        before += len(rows)
    rows = np.concatenate(taken)
    shares = cells[share].to_numpy()[rows].astype(float)
    images = len(np.unique(cells["image"].to_numpy()[rows]))
    return LabelledCells(values[rows].astype(np.float32), shares, images)


def _rows_in(lungs: NDArray[np.bool_], cells: pd.DataFrame) -> Iterator[NDArray[np.intp]]:
    """Numbers of the cells in some lungs, block by block."""
    image, side = cells["image"].to_numpy(), cells["side"].to_numpy()
    for block in _blocks(len(cells)):
        yield block.start + np.flatnonzero(lungs[image[block], side[block]])


def _blocks(cells: int) -> Iterator[slice]:
    """Slices of so many cells: indices of millions at once would take hundreds of megabytes."""
    for start in range(0, max(cells, 1), BLOCK):
        yield slice(start, min(start + BLOCK, cells))


def cells_without_air(data: TrainingData, lungs: NDArray[np.bool_], most: int) -> LabelledCells:
    """Cells of healthy lungs.

    Parameters
    ----------
    data : TrainingData
    lungs : (n, 2) array of bool
        Which lungs, by number of the image.
    most : int
        Most cells that are taken, spread over all of them.
    """
    sample = labelled_cells(data.cells, data.values, lungs, most=most)
    return replace(sample, shares=np.zeros(len(sample.shares)))


def read_auxiliary(run: RunFolder, known: Iterable[str]) -> LabelledCells:
    """Cells of the collapsed lungs of a run on auxiliary phantoms.

    Parameters
    ----------
    run : RunFolder
        Its cells alone are read.
    known : iterable of str
        Ids of the images that the map will describe; none of them may be such a phantom.

    Raises
    ------
    UserError
        If the cells are missing or not whole, none is of a collapsed lung, or they are of images
        that the map will describe: the models would learn from the masks they are scored on.
    """
    cells, values = cell_table.read(run)
    if shared := sorted(set(cells["id"].cat.categories) & set(known)):
        raise UserError(
            f"{run.cells.path}: {len(shared)} of its images are the run's own, such as "
            f"{shared[0]}; give a run on other phantoms, or leave --auxiliary out."
        )
    cells = cells.assign(image=cells["id"].cat.codes.to_numpy())
    areas = mask_areas_of(cells, len(cells["id"].cat.categories), "share")
    sample = labelled_cells(cells, values, _hold_enough(areas))
    if not len(sample.shares):
        raise UserError(
            f"{run.cells.path}: no lung has collapsed by a known mask; give a run on phantoms with "
            "pneumothorax, or leave --auxiliary out."
        )
    return sample


def mask_areas_of(cells: pd.DataFrame, images: int, share: str) -> Floats:
    """Area of the mask in each lung in cells, (images, 2); NaN where no mask is known."""
    areas = np.zeros((images, 2))
    columns = [cells[name].to_numpy() for name in ("image", "side", share)]
    for block in _blocks(len(cells)):
        image, side, shares = (column[block] for column in columns)
        np.add.at(areas, (image, side), shares.astype(float))
    return areas
