"""A trained run, read to be explained: predictions, models, features and SHAP values.

Predictions are read as `baseline.classifier.train` wrote them, SHAP values as
`baseline.explanation.shap_values` did, and each is compared with what it was made from, so that no
score of another model is ever explained. Parts are read when they are first used.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import models
from baseline.evidence_map.models import EvidenceModel
from baseline.explanation.attributions import TOLERANCE, Explanation
from baseline.explanation.reference import Reference, of_training
from baseline.explanation.study_models import TrainingImage
from baseline.learning import calibrate, feature_table, metrics, scores
from baseline.learning.calibrate import Calibration
from baseline.learning.estimator import feature_names, load, raw_scores
from baseline.learning.feature_table import FeatureTable
from baseline.learning.metrics import ClassifierMetrics
from features.dataset.folds import by_fold
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from features.run.tables import Table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrainedRun:
    """A run with a trained classifier.

    Parameters
    ----------
    run : RunFolder
    oof : DataFrame
        Out-of-fold predictions.
    predicted : DataFrame
        Predictions of all images, those out of fold before the deployed ones.
    metrics : ClassifierMetrics
    calibrations : dict of Calibration
        By fold, fitted on the other folds; under None that of images of no fold.
    """

    run: RunFolder
    oof: pd.DataFrame
    predicted: pd.DataFrame
    metrics: ClassifierMetrics
    calibrations: dict[int | None, Calibration]
    _references: dict[int | None, Reference] = field(default_factory=dict, repr=False)

    @cached_property
    def dataset(self) -> pd.DataFrame:
        """Rows of dataset.parquet, indexed by image id."""
        return self.run.images().set_index("id")

    @cached_property
    def truth(self) -> pd.DataFrame | None:
        """Masks of the test set, for scoring alone; None where they are unknown."""
        return self.run.truth.read() if self.run.truth.exists() else None

    @cached_property
    def boosters(self) -> list[lgb.Booster]:
        """The fold models."""
        return [load(self.run.classifier(fold)) for fold in range(self.oof["fold"].max() + 1)]

    @property
    def names(self) -> tuple[str, ...]:
        """Features that the models use, in their order."""
        return feature_names(self.boosters[0])

    @property
    def uses_evidence(self) -> bool:
        """Whether evidence by zone is among the models' features."""
        return feature_table.uses_evidence(self.names)

    @property
    def measured_names(self) -> tuple[str, ...]:
        """Features that are measured, in their order."""
        return tuple(self.features.measured.columns)

    @cached_property
    def features(self) -> FeatureTable:
        """Features of all measured images.

        Raises
        ------
        UserError
            If a predicted image has none.
        """
        table = feature_table.read(self.run, self.uses_evidence)
        missing = self.predicted["id"][~self.predicted["id"].isin(table.index)]
        if len(missing):
            raise UserError(
                f"{self.run.features.path}: {missing.iloc[0]} is predicted, but missing here; run "
                "`make classifier` again."
            )
        return table

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """Features of the predicted images, each as the models that predict it see them."""
        return self.features.held_out(self.fold)

    @cached_property
    def fold(self) -> pd.Series:
        """Fold of each predicted image, Int64, indexed by image id; missing for deployed ones."""
        return self.predicted.set_index("id")["fold"]

    @cached_property
    def right(self) -> Floats:
        """Share of the right lung in each feature of the predicted images, (n, m).

        See `Reference.right_shares`; an image is compared with those from which the models that
        predict it have learned.
        """
        shares = np.empty((len(self.fold), len(self.names)))
        for fold, rows in by_fold(self.fold):
            features = self.features.for_model(self.predicted["id"].iloc[rows], fold)
            values = features[list(self.names)].to_numpy(float)
            shares[rows] = self.reference(fold).right_shares(values)
        return shares

    def reference(self, fold: int | None) -> Reference:
        """The training images that an image of this fold is compared with; sorted once."""
        if fold not in self._references:
            training = self.features.for_model(self.training_ids(fold), fold)
            self._references[fold] = of_training(training[list(self.names)])
        return self._references[fold]

    @cached_property
    def evidence_models(self) -> list[EvidenceModel]:
        """Models of the evidence map, one a fold; none where the run has no map."""
        folds = range(len(self.boosters)) if self.run.evidence_map.path.exists() else ()
        return [models.load(self.run, fold) for fold in folds]

    @cached_property
    def explanation(self) -> Explanation:
        """SHAP values of the predicted images in their order, in calibrated log-odds."""
        table = self._read(self.run.shap)
        values = table.drop(columns="base")
        return Explanation(
            values.index.to_numpy(object),
            tuple(values.columns),
            table["base"].to_numpy(),
            values.to_numpy(),
        )

    @cached_property
    def by_place(self) -> pd.DataFrame:
        """SHAP values summed up by place in the lungs, (n, places), indexed by image id."""
        return self._read(self.run.shap_by_place).drop(columns="base")

    def _read(self, table: Table) -> pd.DataFrame:
        """A table of SHAP values, if it is of these predictions."""
        content = table.read().set_index("id")
        if list(content.index) != list(self.predicted["id"]):
            raise table.refused("it is of other images")
        gap = np.abs(content.to_numpy().sum(axis=1) - self.calibrated)
        if not gap.max(initial=0.0) <= TOLERANCE:  # so that NaN is refused too
            name = content.index[int(gap.argmax())]
            raise table.refused(f"the SHAP values of {name} do not add up to its prediction")
        return content

    @cached_property
    def calibrated(self) -> Floats:
        """Calibrated log-odds of the predicted images, (n,)."""
        result = np.empty(len(self.predicted))
        raw = self.predicted["raw"].to_numpy()
        for fold, rows in by_fold(self.predicted["fold"]):
            scale = self.calibrations[fold]
            result[rows] = scale.slope * raw[rows] + scale.intercept
        return result

    def training_ids(self, fold: int | None) -> pd.Series:
        """Images from which the models that predict an image of this fold have learned."""
        return self.oof["id"] if fold is None else self.oof.loc[self.oof["fold"] != fold, "id"]

    def known(self, fold: int | None) -> tuple[Floats, Floats]:
        """Labels and out-of-fold log-odds of truly labelled images, but not of this fold."""
        rows = self.oof if fold is None else self.oof[self.oof["fold"] != fold]
        labelled = rows[rows["label"].notna()]
        return labelled["label"].to_numpy(float), labelled["raw"].to_numpy(float)

    def training_image(self, name: str) -> TrainingImage | None:
        """An image that belongs to a fold, by its name; None for any other."""
        fold = self.fold.get(name)
        if fold is None or pd.isna(fold):
            return None
        mask = self.dataset["mask"].get(name)
        return TrainingImage(
            int(fold),
            self.features.subset([name]).measured,
            mask if isinstance(mask, str) else None,
        )

    def seen_by(self, ids: pd.Series, fold: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Features of images of one fold, and of the training images they are compared with.

        Both as the models that predict this fold see them, in the order of `names`.
        """
        names, training = list(self.names), self.training_ids(fold)
        table = self.features
        return table.for_model(ids, fold)[names], table.for_model(training, fold)[names]

    def check_models(self, most: int | None = None) -> None:
        """Refuse models that do not give the out-of-fold predictions.

        Parameters
        ----------
        most : int, optional
            Images of each fold that are looked at, where not all: one image is answered sooner.

        Raises
        ------
        UserError
        """
        for fold, booster in enumerate(self.boosters):
            part = self.oof[self.oof["fold"] == fold][:most]
            raw = raw_scores(booster, self.features.for_model(part["id"], fold))
            if not np.abs(raw - part["raw"].to_numpy()).max(initial=0.0) <= TOLERANCE:
                raise UserError(
                    f"{self.run.classifier(fold)}: the predictions in oof.csv are not those of "
                    "this model on the features; run `make classifier` again."
                )


def read(run: RunFolder) -> TrainedRun:
    """Read a trained run.

    Raises
    ------
    UserError
        If a file is missing, or predictions, scores and calibration do not belong together.
    """
    oof, test = run.oof.read(), run.test.read()
    classifier_metrics = metrics.read(run)
    _check_scores(run, classifier_metrics, oof)
    predicted = pd.concat((oof, test[test["kind"] == "deployed"]), ignore_index=True)
    trained = TrainedRun(run, oof, predicted, classifier_metrics, read_calibrations(run, oof))
    gap = np.abs(1 / (1 + np.exp(-trained.calibrated)) - predicted["probability"].to_numpy())
    if not gap.max(initial=0.0) <= TOLERANCE:
        raise UserError(
            f"{run.calibration}: the probability of {predicted['id'][int(gap.argmax())]} is not "
            "that of its log-odds; run `make classifier` again."
        )
    return trained


def read_calibrations(run: RunFolder, oof: pd.DataFrame) -> dict[int | None, Calibration]:
    """The calibration of each fold, fitted on the other folds, and under None the deployed one."""
    calibrations: dict[int | None, Calibration] = {
        None: files.read_record(run.calibration, Calibration)
    }
    known = oof[oof["label"].notna()]
    for fold in range(oof["fold"].max() + 1):
        others = known[known["fold"] != fold]
        calibrations[fold] = calibrate.fit(others["raw"].to_numpy(), others["label"].to_numpy())
    return calibrations


def fingerprint(predicted: pd.DataFrame) -> str:
    """A short hash by which results of other out-of-fold predictions are refused."""
    columns = predicted.loc[predicted["kind"] == "oof", ["id", "fold", "raw", "probability"]]
    text = columns.to_csv(index=False, float_format="%.6f")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_scores(run: RunFolder, classifier: ClassifierMetrics, oof: pd.DataFrame) -> None:
    """Refuse scores of other predictions."""
    known = oof[oof["label"].notna()]
    auc = scores.auc(known["label"].to_numpy(), known["probability"].to_numpy())
    out_of_fold = classifier.out_of_fold
    if out_of_fold.images != len(known) or not abs(out_of_fold.auc.value - auc) <= TOLERANCE:
        raise UserError(
            f"{run.classifier_metrics}: its scores are not those of oof.csv; run "
            "`make classifier` again."
        )
