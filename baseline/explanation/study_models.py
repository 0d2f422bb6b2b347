"""What it takes to explain single X-rays: models, calibration, and what values are compared with.

A trained run has all of it (`baseline.explanation.trained_run`), and so has a model that ships
without the images it has learned from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map.models import EvidenceModel
from baseline.explanation.reference import Reference
from baseline.learning.calibrate import Calibration

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingImage:
    """An image that some of the models have learned from.

    Parameters
    ----------
    fold : int
        Its fold, whose models have not seen it.
    measured : (1, m) DataFrame
        Its features in the run.
    mask : str or None
        Run-length code of its true mask; None where the truth is unknown.
    """

    fold: int
    measured: pd.DataFrame
    mask: str | None


class StudyModels(Protocol):
    """Models that explain single X-rays."""

    @property
    def names(self) -> tuple[str, ...]:
        """Features that the classifier uses, in its order."""

    @property
    def measured_names(self) -> tuple[str, ...]:
        """Features that are measured, in their order."""

    @property
    def boosters(self) -> Sequence[lgb.Booster]:
        """The classifier's models, one a fold."""

    @property
    def evidence_models(self) -> Sequence[EvidenceModel]:
        """Models of the evidence map, one a fold; none where there is no map."""

    @property
    def calibrations(self) -> Mapping[int | None, Calibration]:
        """By fold; under None that of images of no fold."""

    def reference(self, fold: int | None) -> Reference:
        """The training images that an image of this fold is compared with."""

    def known(self, fold: int | None) -> tuple[Floats, Floats]:
        """Labels and out-of-fold log-odds of the images whose truth is known, but not a fold's."""

    def training_image(self, name: str) -> TrainingImage | None:
        """The training image of this name, if there is one."""
