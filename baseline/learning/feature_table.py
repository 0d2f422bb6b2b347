"""The features of a run's images as each model sees them.

Measured features are the same for every model, but the evidence by zone is not: each model gets it
from evidence models that saw neither the image nor the fold that the model is scored on (see
`baseline.evidence_map.train`). So every model, whether it is trained, predicts or is explained,
gets its features from a `FeatureTable`.

The evidence map belongs to the folds of the dataset. Code that splits the images in another way, as
`baseline.classifier.ablation` does, cannot use it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.dataset.folds import by_fold
from features.families import map_summary
from features.families.table import read as read_measured
from features.run.files import UserError
from features.run.folder import RunFolder

Ids = pd.Series | pd.Index | Sequence[str]


@dataclass(frozen=True)
class FeatureTable:
    """Features of images: those measured, and optionally the evidence by zone for each fold.

    Parameters
    ----------
    measured : (n, m) DataFrame of float32
        Indexed by image id.
    evidence : tuple of (n, k) DataFrames of float32
        One a fold, for the model that has not seen the fold; of the same images in the same order.
        Empty where the models do not use it.
    """

    measured: pd.DataFrame
    evidence: tuple[pd.DataFrame, ...] = ()

    @property
    def index(self) -> pd.Index:
        """Ids of the images."""
        return self.measured.index

    def subset(self, ids: Ids) -> "FeatureTable":
        """The same features of some images, in the order of their ids."""
        rows = pd.Index(ids)
        return FeatureTable(
            self.measured.loc[rows], tuple(table.loc[rows] for table in self.evidence)
        )

    def without_texture(self) -> "FeatureTable":
        """The same features without those of the evidence map that the texture alone decides."""
        names = list(map_summary.texture_names())
        return FeatureTable(self.measured, tuple(t.drop(columns=names) for t in self.evidence))

    def for_model(self, ids: Ids, fold: int | None) -> pd.DataFrame:
        """Features of some images as the model of one fold sees them.

        Parameters
        ----------
        ids : (n,) Series, Index or sequence of str
            Images, also of the fold that the model has not seen.
        fold : int or None
            The fold that is held out from the model; None for the mean over all models.

        Returns
        -------
        (n, m + k) DataFrame of float32
            Indexed by image id: what was measured, then the evidence if there is any.
        """
        images = pd.Index(ids)
        rows = self.measured.loc[images]
        if not self.evidence:
            return rows
        tables = self.evidence if fold is None else (self.evidence[fold],)
        tables_of_images = [table.loc[images].to_numpy() for table in tables]
        mean = np.mean(tables_of_images, axis=0, dtype=np.float32)
        return pd.concat((rows, pd.DataFrame(mean, rows.index, tables[0].columns)), axis=1)

    def held_out(self, fold: pd.Series) -> pd.DataFrame:
        """Features of each image as the model that predicts it sees them.

        Parameters
        ----------
        fold : (n,) Series of Int64
            Fold of each image, indexed by image id; missing for the mean over all models.

        Returns
        -------
        (n, m + k) DataFrame
            In the order of `fold`.
        """
        parts = [self.for_model(fold.index[rows], number) for number, rows in by_fold(fold)]
        return pd.concat(parts).loc[fold.index]


def read(run: RunFolder, evidence: bool) -> FeatureTable:
    """The features of all measured images of a run.

    Parameters
    ----------
    run : RunFolder
    evidence : bool
        Whether to read the evidence by zone as well.

    Raises
    ------
    UserError
        If a file is missing or of another version, an image is there twice, a feature is no finite
        number, or the evidence is of other images.
    """
    measured = read_measured(run)
    _check(measured, run)
    return FeatureTable(measured, _read_evidence(run, measured.index) if evidence else ())


def uses_evidence(names: Sequence[str]) -> bool:
    """Whether evidence by zone is among these features."""
    return any(name.startswith("evidence.") for name in names)


def one_row(image_id: str, values: Mapping[str, float], columns: Sequence[str]) -> pd.DataFrame:
    """The features of one image as a (1, m) table of float32, in the order of a run's columns."""
    row = np.array([[values[column] for column in columns]], np.float32)
    return pd.DataFrame(row, index=[image_id], columns=list(columns))


def _check(table: pd.DataFrame, run: RunFolder) -> None:
    repair = "; delete the file and run `make measure` again."
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise UserError(
            f"{run.features.path}: {repeated[0]} is there twice ({len(repeated)} such rows); an "
            f"image has one row{repair}"
        )
    values = table.to_numpy()
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise UserError(
            f"{run.features.path}: {table.columns[column]} of {table.index[row]} is "
            f"{values[row, column]}; every feature must be a finite number{repair}"
        )


def _read_evidence(run: RunFolder, ids: pd.Index) -> tuple[pd.DataFrame, ...]:
    """Evidence by zone of these images, one table a fold."""
    rows = run.evidence_by_zone.read()
    names = list(map_summary.names())
    if list(rows.columns) != ["for_fold", "id", *names]:
        raise run.evidence_by_zone.refused("its columns are others")
    tables = []
    for fold in range(rows["for_fold"].max() + 1):
        table = rows[rows["for_fold"] == fold].set_index("id")[names].reindex(ids)
        if table.isna().to_numpy().any():
            missing = table.index[table.isna().any(axis=1)][0]
            raise run.evidence_by_zone.refused(f"{missing} is missing for the model of fold {fold}")
        tables.append(table)
    return tuple(tables)
