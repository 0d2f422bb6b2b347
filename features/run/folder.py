"""The run folder, the contract between stages: the path of every file, and the format's version.

Files of the package `baseline` stand in `features.run.baseline_files`, those of `cnn` in
`features.run.cnn_files`; what each table holds is in `features.run.schemas`. Stages meet through
these files alone. A run folder carries the version of its format, and one of another version is
refused by name.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.run import files
from features.run.baseline_files import BaselineFiles
from features.run.cnn_files import CnnFiles
from features.run.files import UserError
from features.run.schemas import CELLS, DATASET, FEATURES, MASKS, QUALITY, QUARANTINE, TRUTH
from features.run.tables import Table
from features.run.version import VERSION

# Raised whenever a file of a run changes its place or its content's form.
FORMAT = 6


@dataclass(frozen=True)
class RunFolder(BaselineFiles, CnnFiles):
    """Paths and tables of a run folder: here those that the package `features` writes.

    Parameters
    ----------
    root : Path
        The folder.
    """

    def create(self) -> "RunFolder":
        """Note the version of the format in the folder; return the run folder itself."""
        files.write_json(self.format, {"format": FORMAT, "version": VERSION})
        return self

    def check(self) -> "RunFolder":
        """The run folder itself, if it is one of this version.

        Raises
        ------
        UserError
            If it does not exist or has another format.
        """
        for folder in (self.root, self.unet):
            if folder.exists() and not folder.is_dir():
                raise UserError(
                    f"{folder}: is a file where a folder belongs; give another --run, or move it "
                    "away."
                )
        if not self.root.is_dir():
            raise UserError(f"{self.root}: no such run folder; run `make dataset` first.")
        content = files.read_json(self.format) if self.format.exists() else None
        written = content.get("format") if isinstance(content, dict) else None
        if written is None and not self.dataset.path.exists():
            raise UserError(
                f"{self.root}: is no run folder (no {self.format.name} in it); name one that make "
                "has begun."
            )
        if written != FORMAT:
            made = "an older version" if written is None else f"format {written}"
            raise UserError(
                f"{self.root}: a run folder of {made}, and this version reads format {FORMAT}; "
                "make the run again in a new folder, or delete this one."
            )
        return self

    # --- dataset ----------------------------------------------------------------------------------
    @property
    def format(self) -> Path:
        """Version of the format and of the toolkit."""
        return self.root / "format.json"

    @property
    def dataset(self) -> Table:
        """Every readable image."""
        return Table(self.root / "dataset.parquet", DATASET, "dataset")

    def images(self) -> pd.DataFrame:
        """Rows of the dataset as the stages after `measure` use them.

        What was set aside as no frontal chest X-ray (`features.measure --strict`) belongs to no
        fold: nothing is learned from it or scored on it.
        """
        table = self.dataset.read()
        aside = self.set_aside()
        if aside:
            table.loc[table["id"].isin(aside), "fold"] = pd.NA
        return table

    def set_aside(self) -> frozenset[str]:
        """Ids of the images that were set aside as no frontal chest X-rays."""
        return self._marked("aside")

    def flagged(self) -> frozenset[str]:
        """Ids of the images that may be no frontal chest X-rays, set aside or not."""
        return self._marked("flagged")

    def _marked(self, column: str) -> frozenset[str]:
        if not self.quality.exists():  # only cells were measured
            return frozenset()
        rows = self.quality.read()
        return frozenset(rows["id"][rows[column] == 1])

    @property
    def quarantine(self) -> Table:
        """Images that cannot be used, and why."""
        return Table(self.root / "quarantine.csv", QUARANTINE, "dataset")

    @property
    def sample(self) -> Table:
        """The sample submission: the test ids in its order."""
        return Table(self.root / "sample.csv", MASKS, "dataset")

    @property
    def truth(self) -> Table:
        """The test set's masks, for scoring alone; may be missing."""
        return Table(self.root / "truth.parquet", TRUTH, "dataset")

    # --- measurements ---------------------------------------------------------------------------
    @property
    def features(self) -> Table:
        """One column for each feature."""
        return Table(self.root / "features.parquet", FEATURES, "measure")

    @property
    def quality(self) -> Table:
        """Which images may be no frontal chest X-ray, and why."""
        return Table(self.root / "quality.parquet", QUALITY, "measure")

    @property
    def parts(self) -> Path:
        """Parts of features and cells while they are measured."""
        return self.root / "features.parts"

    @property
    def cells(self) -> Table:
        """One row for each cell."""
        return Table(self.root / "cells" / "index.parquet", CELLS, "measure")

    @property
    def cell_values(self) -> Path:
        """The measures of the same cells: float16, cell after cell."""
        return self.root / "cells" / "values.f16"

    # --- squares --------------------------------------------------------------------------------
    def squares(self, size: int) -> Path:
        """Every image at a network's size."""
        return self.root / "squares" / f"{size}.npy"

    def squares_from(self, size: int) -> Path:
        """What files they come from; written last."""
        return self.root / "squares" / f"{size}.json"


def measured(dataset: pd.DataFrame) -> pd.DataFrame:
    """Rows of the dataset that are measured and predicted: images of a fold and test images."""
    return dataset[dataset["fold"].notna() | (dataset["split"] == "test")]
