"""Everything that decides an answer on one X-ray: models, gate, networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baseline.evidence_map.models import EvidenceModel
from baseline.explanation.study_models import StudyModels
from baseline.gate.results import Gate

if TYPE_CHECKING:
    from cnn.prediction.networks import Networks  # JAX takes seconds, and not all models draw


@dataclass(frozen=True)
class DrawingRun:
    """What draws the U-Net's map of one of the runs whose maps are averaged.

    Parameters
    ----------
    networks : Networks
    evidence : sequence of EvidenceModel
        One a fold, whose maps the networks see beside the X-ray; empty where they see none.
    """

    networks: "Networks"
    evidence: Sequence[EvidenceModel] = ()


@dataclass(frozen=True)
class AnsweringModel:
    """Everything that decides an answer.

    Parameters
    ----------
    models : StudyModels
        The classifier's side.
    gate : Gate
    error_rate : float or None
        Of each class, as the triage states it; None where no triage was checked.
    drawing : tuple of DrawingRun
        The run itself, then those that its gate names; empty where no network draws.
    name : str
    about : str
        What it has learned from, as a sentence.
    digest : str
        Fingerprint of all this.
    set_aside : frozenset of str
        Images that get no mask, since they were set aside as no chest X-rays.
    triaged : (n,) array, optional
        What triage decides of the images of `StudyModels.known`, each by the images of other folds,
        see `conformal.cross_triage`; None where no triage was checked.
    """

    models: StudyModels
    gate: Gate
    error_rate: float | None
    drawing: tuple[DrawingRun, ...]
    name: str
    about: str
    digest: str
    set_aside: frozenset[str] = frozenset()
    triaged: NDArray[np.float64] | None = None
