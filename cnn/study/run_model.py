"""A trained run, read to answer on single X-rays."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baseline.evaluation import triage
from baseline.evidence_map import models
from baseline.evidence_map.models import EvidenceModel
from baseline.explanation import trained_run
from baseline.explanation.trained_run import TrainedRun
from baseline.gate.results import Gate, read_gate
from baseline.learning import conformal
from cnn.devices.compilation import keep_compiled
from cnn.gate.runs import together
from cnn.prediction.networks import load_networks
from cnn.prediction.predict import scored_images
from cnn.study.model import AnsweringModel, DrawingRun
from features.run import digests
from features.run.folder import RunFolder

# Images of a fold by which its model is known again; all of them take a second.
LOOKED_AT = 20


def read(run: Path) -> AnsweringModel:
    """Read a run that has come as far as its gate.

    Raises
    ------
    UserError
        If a stage is missing, or the files do not belong together.
    """
    folder = RunFolder(run).check()
    trained = trained_run.read(folder)
    trained.check_models(LOOKED_AT)
    gate = read_gate(folder)
    drawing = tuple(_drawing(trained, gate))
    keep_compiled(folder.unet)
    content = hashlib.sha256(folder.gate.read_bytes())
    for path in (folder.calibration, *_digest_files(folder)):
        content.update(path.read_bytes())
    for of_run in drawing:
        content.update(of_run.networks.digest.encode())
    error_rate = triage.error_rate(trained)
    return AnsweringModel(
        models=trained,
        gate=gate,
        error_rate=error_rate,
        drawing=drawing,
        name=folder.root.resolve().name,
        about=f"It has learned from the {len(trained.oof)} training images of its run.",
        digest=content.hexdigest()[:16],
        set_aside=folder.set_aside(),
        triaged=None if error_rate is None else triaged(trained, error_rate),
    )


def triaged(trained: TrainedRun, error_rate: float) -> NDArray[np.float64]:
    """As the run's check of its triage decides: by the images of other folds."""
    rows = trained.oof[trained.oof["label"].notna()]
    labels, raw = trained.known(None)
    flagged = rows["id"].isin(trained.run.flagged()).to_numpy(bool)
    return conformal.cross_triage(labels, raw, rows["fold"].to_numpy(), error_rate, flagged)


def _drawing(trained: TrainedRun, gate: Gate) -> list[DrawingRun]:
    result = []
    for number, run in enumerate(together(trained.run, gate.also)):
        networks = load_networks(run, scored_images(run))
        evidence: Sequence[EvidenceModel] = ()
        if networks.config.evidence:
            evidence = trained.evidence_models if number == 0 else _evidence_models(run)
        result.append(DrawingRun(networks, evidence))
    return result


def _evidence_models(run: RunFolder) -> list[EvidenceModel]:
    folds = int(run.dataset.read()["fold"].max()) + 1
    return [models.load(run, fold) for fold in range(folds)]


def _digest_files(run: RunFolder) -> list[Path]:
    """Where the digests of the classifier's and the evidence models' text are noted."""
    folders = (run.classifier(0).parent, run.lung_model(0).parent)
    return [path for folder in folders if (path := folder / digests.NAME).exists()]
