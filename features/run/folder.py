"""The run folder, the contract between stages: the path of every file, and the format's version.

What each table holds is in `features.run.schemas`. Stages meet through these files alone. A run
folder carries the version of its format, and one of another version is refused by name.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.run import files
from features.run.files import UserError
from features.run.network_folder import NetworkFolder
from features.run.schemas import (
    ABLATION,
    CELLS,
    DATASET,
    EVIDENCE_BY_ZONE,
    EVIDENCE_MAP,
    FEATURES,
    MAPS,
    MASKS,
    OUTLINES,
    PREDICTIONS,
    QUALITY,
    QUARANTINE,
    SHAP,
    SHAP_BY_PLACE,
    TRUTH,
)
from features.run.tables import Table
from features.run.version import VERSION

# Raised whenever a file of a run changes its place or its content's form.
FORMAT = 4


@dataclass(frozen=True)
class RunFolder:
    """Paths and tables of a run folder.

    Parameters
    ----------
    root : Path
        The folder.
    """

    root: Path

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
        if written != FORMAT:
            made = "an older version" if written is None else f"format {written}"
            raise UserError(
                f"{self.root}: a run folder of {made}, and this version reads format {FORMAT}; "
                "make the run again in a new folder."
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

    # --- the evidence map ------------------------------------------------------------------------
    @property
    def evidence_by_zone(self) -> Table:
        """The evidence map summed up by zone."""
        return Table(self.root / "evidence" / "zones.parquet", EVIDENCE_BY_ZONE, "evidence")

    @property
    def evidence_map(self) -> Table:
        """The map of each image by the models that did not see it."""
        return Table(self.root / "evidence" / "map.parquet", EVIDENCE_MAP, "evidence")

    @property
    def evidence_pairs(self) -> Table:
        """The maps to learn from: of models that saw neither the image's fold nor `for_fold`."""
        return Table(self.root / "evidence" / "pairs.parquet", EVIDENCE_MAP, "evidence")

    def lung_model(self, fold: int) -> Path:
        """The booster for "has this lung collapsed?" that was trained without a fold."""
        return self.root / "evidence" / f"lungs{fold}.txt"

    def cell_model(self, fold: int) -> Path:
        """The booster for "is there air in this cell?" that was trained without a fold."""
        return self.root / "evidence" / f"cells{fold}.txt"

    @property
    def evidence_metrics(self) -> Path:
        """How well the map finds lungs and cells."""
        return self.root / "evidence" / "metrics.json"

    @property
    def evidence_settings(self) -> Path:
        """What the map was learned with."""
        return self.root / "evidence" / "settings.json"

    # --- the classifier --------------------------------------------------------------------------
    def classifier(self, fold: int) -> Path:
        """The booster that was trained without a fold."""
        return self.root / "baseline" / f"fold{fold}.txt"

    @property
    def oof(self) -> Table:
        """Out-of-fold predictions."""
        return Table(self.root / "baseline" / "oof.csv", PREDICTIONS, "classifier")

    @property
    def test(self) -> Table:
        """Predictions of the test images."""
        return Table(self.root / "baseline" / "test.csv", PREDICTIONS, "classifier")

    @property
    def calibration(self) -> Path:
        """Slope and intercept for images of no fold; those of the folds are fitted when needed."""
        return self.root / "baseline" / "calibration.json"

    @property
    def classifier_metrics(self) -> Path:
        """Scores of the classifier."""
        return self.root / "baseline" / "metrics.json"

    @property
    def classifier_settings(self) -> Path:
        """What the classifier was trained with."""
        return self.root / "baseline" / "settings.json"

    @property
    def shap(self) -> Table:
        """SHAP values of every predicted image."""
        return Table(self.root / "baseline" / "shap.parquet", SHAP, "shap")

    @property
    def shap_by_place(self) -> Table:
        """SHAP values of every predicted image, summed up by place in the lungs."""
        return Table(self.root / "baseline" / "shap_by_place.parquet", SHAP_BY_PLACE, "shap")

    @property
    def shortcuts(self) -> Path:
        """Shortcut checks, subgroups, operating points and triage."""
        return self.root / "baseline" / "shortcuts.json"

    @property
    def faithfulness(self) -> Path:
        """Faithfulness of the reasons: pointing, deletion, stability."""
        return self.root / "baseline" / "faithfulness.json"

    @property
    def ablation(self) -> Table:
        """Each feature family alone, and all but each."""
        return Table(self.root / "ablation.csv", ABLATION, "ablation")

    @property
    def search_journal(self) -> Path:
        """Trials of the search for settings."""
        return self.root / "tune" / "study.journal"

    @property
    def search_result(self) -> Path:
        """Default and best settings of the search with their scores."""
        return self.root / "tune" / "tune.json"

    @property
    def best_settings(self) -> Path:
        """Best settings of the search, fit for the classifier's `--settings`."""
        return self.root / "tune" / "best.json"

    @property
    def report(self) -> Path:
        """The SHAP report."""
        return self.root / "report" / "index.html"

    # --- the U-Net -------------------------------------------------------------------------------
    @property
    def unet(self) -> Path:
        """Folder of the U-Net."""
        return self.root / "cnn"

    def unet_fold(self, fold: int) -> "NetworkFolder":
        """Folder of the network that was trained without a fold."""
        return NetworkFolder(self.unet / f"fold{fold}")

    def unet_folds(self) -> list["NetworkFolder"]:
        """Folders of all networks that are there."""
        return [NetworkFolder(path) for path in sorted(self.unet.glob("fold*"))]

    @property
    def unet_settings(self) -> Path:
        """What the networks were trained with; written last."""
        return self.unet / "settings.json"

    def decoded_images(self, size: int) -> Path:
        """The images to learn from at the network's size."""
        return self.unet / f"images-{size}.npy"

    def decoded_masks(self, size: int) -> Path:
        """Their masks at the same size."""
        return self.unet / f"masks-{size}.npy"

    def decoded_from(self, size: int) -> Path:
        """What files and masks these two come from."""
        return self.unet / f"images-{size}.json"

    @property
    def maps(self) -> Table:
        """Where the probability map of each image lies."""
        return Table(self.unet / "maps" / "index.csv", MAPS, "cnn")

    def map_part(self, part: int) -> Path:
        """A file of some images' probability maps."""
        return self.unet / "maps" / f"part-{part:04d}.npz"

    # --- gate and submission ---------------------------------------------------------------------
    @property
    def outlines(self) -> Table:
        """Masks for the report."""
        return Table(self.unet / "outlines.csv", OUTLINES, "gate")

    @property
    def gate_figures(self) -> Path:
        """What the report shows of the gate."""
        return self.unet / "gate_figures.json"

    @property
    def gate(self) -> Path:
        """The chosen rule."""
        return self.root / "gate.json"

    @property
    def metrics(self) -> Path:
        """Scores of every policy."""
        return self.root / "metrics.json"

    @property
    def submission(self) -> Table:
        """The submission."""
        return Table(self.root / "submission.csv", MASKS, "submission")

    def submission_of(self, policy: str) -> Table:
        """The submission by another policy than the default one."""
        return Table(self.root / f"submission_{policy}.csv", MASKS, "submission")


def measured(dataset: pd.DataFrame) -> pd.DataFrame:
    """Rows of the dataset that are measured and predicted: images of a fold and test images."""
    return dataset[dataset["fold"].notna() | (dataset["split"] == "test")]
