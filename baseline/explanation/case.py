"""The numbers behind the sentences on one image: SHAP values, percentiles, and where they lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from baseline.explanation.attributions import parts
from baseline.explanation.trained_run import TrainedRun
from features.dataset.folds import by_fold
from features.lungs.zones import FINEST_NAMES, NAMES, enclosing

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """What the sentences of one image are made from.

    Parameters
    ----------
    names : tuple of str
        Features, m of them.
    shap : (m,) array
        SHAP values in calibrated log-odds, from `attributions.calibrated`.
    base : float
        Base value in calibrated log-odds.
    percentiles : (m,) array
        Where each feature lies among the training images, 0 to 100.
    right : (m,) array
        Share of each feature that is due to the right lung, from `Reference.right_shares`.
    """

    names: tuple[str, ...]
    shap: Floats
    base: float
    percentiles: Floats
    right: Floats

    @property
    def sign(self) -> float:
        """1 if the prediction is pneumothorax, else -1."""
        return 1.0 if self.score >= 0 else -1.0

    @property
    def score(self) -> float:
        """Log-odds of the probability."""
        return self.base + float(self.shap.sum())

    def probability(self, without: float = 0.0) -> float:
        """Probability of pneumothorax, after taking `without` (log-odds) off the score."""
        return float(expit(self.score - without))

    def within(self, place: str) -> Floats:
        """SHAP values as far as they belong to one of `attributions.PLACES`, shape (m,)."""
        return self.shap * parts(self.names, self.right, place)

    def painted(self, finest: str) -> Floats:
        """SHAP values as far as they are painted on one of `FINEST_NAMES`, shape (m,).

        A finest zone shows what belongs to it and to the larger zones that it lies in.
        """
        return np.sum([self.within(zone) for zone in enclosing(finest)], axis=0)


def strongest(case: Case, finest_zones: Sequence[str] = FINEST_NAMES) -> str:
    """The finest zone on which most is painted: for pneumothorax, or against it.

    Parameters
    ----------
    case : Case
        Its prediction decides which of the two.
    finest_zones : sequence of str
        Those of `FINEST_NAMES` that the image has.

    Returns
    -------
    str
        One of `finest_zones`, or "" if the SHAP values contradict the prediction in all of them.
    """
    sum_by_zone = {zone: case.sign * float(case.within(zone).sum()) for zone in NAMES}
    painted = {
        finest: sum(sum_by_zone[zone] for zone in enclosing(finest)) for finest in finest_zones
    }
    strongest_zone = max(painted, key=painted.__getitem__, default="")
    return strongest_zone if strongest_zone and painted[strongest_zone] > 0 else ""


def make_cases(trained: TrainedRun, rows: Sequence[int]) -> list[Case]:
    """The numbers behind the sentences on some images of a run.

    Parameters
    ----------
    trained : TrainedRun
    rows : sequence of int
        Rows of `trained.predicted`. Each image is compared with those from which the models that
        predict it have learned.
    """
    names, positions = list(trained.explanation.names), np.array(rows, np.intp)
    ranks = np.empty((len(positions), len(names)))
    right = np.empty((len(positions), len(names)))
    for fold, members in by_fold(trained.predicted["fold"].iloc[positions]):
        ids = trained.predicted["id"].iloc[positions[members]]
        reference = trained.reference(fold)
        features = trained.features.for_model(ids, fold)[names].to_numpy(float)
        ranks[members] = reference.percentiles(features)
        right[members] = reference.right_shares(features)
    return [
        Case(
            names=trained.explanation.names,
            shap=trained.explanation.values[row],
            base=float(trained.explanation.base[row]),
            percentiles=ranks[number],
            right=right[number],
        )
        for number, row in enumerate(positions)
    ]
