"""Files of a run folder that the package `baseline` writes: evidence map, classifier, report."""

from dataclasses import dataclass
from pathlib import Path

from features.run.schemas import (
    ABLATION,
    EVIDENCE_BY_ZONE,
    EVIDENCE_MAP,
    PREDICTIONS,
    SHAP,
    SHAP_BY_PLACE,
)
from features.run.tables import Table


@dataclass(frozen=True)
class BaselineFiles:
    """A part of `features.run.folder.RunFolder`.

    Parameters
    ----------
    root : Path
        The run folder.
    """

    root: Path

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

    # --- the audit -------------------------------------------------------------------------------
    @property
    def audit_page(self) -> Path:
        """What to know of the dataset before training."""
        return self.root / "audit" / "index.html"

    @property
    def audit_findings(self) -> Path:
        """The same for machines."""
        return self.root / "audit" / "audit.json"
