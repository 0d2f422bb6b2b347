"""The model that ships with the program, written as a small folder and read from it.

It has no images: what a new X-ray is compared with are quantiles of the training images' features,
and labels and log-odds of the images that calibrated it. The boosters are LightGBM's text, packed
by LZMA; ``model.json`` has the digest of every file, and nothing is read that has another.

It has no network either. One that has learned from phantoms alone draws worse on real X-rays than
the evidence map does, so its masks are cut from that; see the card in the folder.
"""

import csv
import hashlib
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as read_safetensors
from safetensors.numpy import save as safetensors_of

from baseline.evidence_map.models import EvidenceModel
from baseline.explanation.reference import Reference
from baseline.explanation.study_models import TrainingImage
from baseline.explanation.trained_run import TrainedRun
from baseline.gate.results import Gate
from baseline.gate.rules import Rule, fault
from baseline.learning.calibrate import Calibration
from baseline.learning.estimator import feature_names
from cnn.study.model import AnsweringModel
from features.run import files
from features.run.files import UserError
from features.run.version import VERSION

Floats = NDArray[np.float64]

FOLDER = Path(__file__).with_name("shipped")
RECORD, KNOWN, REFERENCE = "model.json", "known.csv", "reference.safetensors.xz"
# Raised when a file of the folder changes its form.
FORMAT = 2
# Quantiles of each feature that stand for the training images, each the value of one of them.
QUANTILES = 201
# Names of what is learned rather than measured begin so.
LEARNED = "evidence."
REPAIR = "restore it, since it ships with the program"


@dataclass(frozen=True)
class ShippedRecord:
    """Content of model.json.

    Parameters
    ----------
    format : int
    version : str
        Version of the toolkit that made it.
    name, about : str
        As in `AnsweringModel`.
    folds : int
        Models of each kind, whose mean answers.
    calibration : Calibration
    rule : Rule
        Which masks are kept, and where they are cut.
    digests : dict of str to str
        SHA-256 of every other file of the folder.
    """

    format: int
    version: str
    name: str
    about: str
    folds: int
    calibration: Calibration
    rule: Rule
    digests: dict[str, str]


@dataclass(frozen=True)
class ShippedModels:
    """The classifier's side of the shipped model; see `StudyModels`."""

    names: tuple[str, ...]
    measured_names: tuple[str, ...]
    boosters: Sequence[lgb.Booster]
    evidence_models: Sequence[EvidenceModel]
    calibrations: Mapping[int | None, Calibration]
    quantiles: NDArray[np.float32]
    labels: Floats
    raw: Floats

    def reference(self, fold: int | None) -> Reference:
        """The quantiles of the training images."""
        return Reference(self.names, self.quantiles)

    def known(self, fold: int | None) -> tuple[Floats, Floats]:
        """Labels and out-of-fold log-odds of the images that calibrated it."""
        return self.labels, self.raw

    def training_image(self, name: str) -> TrainingImage | None:
        """None, since it ships without images."""
        return None


def pack(trained: TrainedRun, rule: Rule, about: str, out: Path) -> int:
    """Write a run without its images and networks.

    Parameters
    ----------
    trained : TrainedRun
    rule : Rule
        Of a policy that needs no network.
    about : str
    out : Path
        The folder; model.json is written last.

    Returns
    -------
    int
        Bytes of all files.
    """
    contents = {
        name: _packed(booster.model_to_string().encode())
        for name, booster in _boosters(trained.boosters, trained.evidence_models).items()
    }
    features = trained.features.for_model(trained.training_ids(None), None)[list(trained.names)]
    levels = np.linspace(0, 1, QUANTILES)
    quantiles = np.quantile(features.to_numpy(), levels, axis=0, method="inverted_cdf").T
    contents[REFERENCE] = _packed(safetensors_of({"quantiles": quantiles.astype("f4", "C")}))
    labels, raw = trained.known(None)
    rows = (f"{int(label)},{score:.6f}\n" for label, score in zip(labels, raw, strict=True))
    contents[KNOWN] = ("label,raw\n" + "".join(rows)).encode()
    for name, content in contents.items():
        with files.atomic(out / name) as temporary:
            temporary.write_bytes(content)
    record = ShippedRecord(
        format=FORMAT,
        version=VERSION,
        name=out.resolve().name,
        about=about,
        folds=len(trained.boosters),
        calibration=trained.calibrations[None],
        rule=rule,
        digests={name: _digest(content) for name, content in contents.items()},
    )
    files.write_record(out / RECORD, record)
    return sum(map(len, contents.values())) + (out / RECORD).stat().st_size


def read(folder: Path = FOLDER) -> AnsweringModel:
    """Read the folder.

    Raises
    ------
    UserError
        If a file is missing, has another digest, or is of another version.
    """
    record = _record(folder / RECORD)
    if record.format != FORMAT:
        raise UserError(
            f"{folder / RECORD}: a model of format {record.format}, and this version reads format "
            f"{FORMAT}; {REPAIR}."
        )
    if problem := fault(record.rule):
        raise UserError(f"{folder / RECORD}: {problem}; {REPAIR}.")
    contents = {name: _checked(folder / name, digest) for name, digest in record.digests.items()}
    return AnsweringModel(
        models=_models(record, contents),
        gate=Gate(record.rule.policy, (), {record.rule.policy: record.rule}),
        error_rate=None,
        drawing=(),
        name=record.name,
        about=record.about,
        digest=_digest((folder / RECORD).read_bytes())[:16],
    )


def _record(path: Path) -> ShippedRecord:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ShippedRecord)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {REPAIR}.") from None
    except msgspec.MsgspecError as error:
        raise UserError(
            f"{path}: not as this version writes it ({files.in_short(error)}); {REPAIR}."
        ) from None


def _models(record: ShippedRecord, contents: Mapping[str, bytes]) -> ShippedModels:
    boosters = {
        name: lgb.Booster(model_str=lzma.decompress(contents[name]).decode())
        for name in _names(record.folds)
    }
    of_fold = [[boosters[name] for name in _names_of(fold)] for fold in range(record.folds)]
    names = feature_names(of_fold[0][0])
    rows = csv.DictReader(contents[KNOWN].decode().splitlines())
    known = np.array([(float(row["label"]), float(row["raw"])) for row in rows])
    return ShippedModels(
        names=names,
        measured_names=tuple(name for name in names if not name.startswith(LEARNED)),
        boosters=[classifier for classifier, _, _ in of_fold],
        evidence_models=[EvidenceModel(lungs, cells) for _, lungs, cells in of_fold],
        calibrations={None: record.calibration},
        quantiles=read_safetensors(lzma.decompress(contents[REFERENCE]))["quantiles"],
        labels=known[:, 0],
        raw=known[:, 1],
    )


def _names_of(fold: int) -> tuple[str, str, str]:
    """Files of a fold's classifier and of the two boosters of its evidence model."""
    return f"classifier{fold}.txt.xz", f"lungs{fold}.txt.xz", f"cells{fold}.txt.xz"


def _names(folds: int) -> list[str]:
    return [name for fold in range(folds) for name in _names_of(fold)]


def _boosters(
    boosters: Sequence[lgb.Booster], evidence_models: Sequence[EvidenceModel]
) -> dict[str, lgb.Booster]:
    """All boosters under their files' names."""
    result: dict[str, lgb.Booster] = {}
    for fold, (classifier, model) in enumerate(zip(boosters, evidence_models, strict=True)):
        parts = (classifier, model.lungs, model.cells)
        result.update(zip(_names_of(fold), parts, strict=True))
    return result


def _checked(path: Path, digest: str) -> bytes:
    """Content of a file, if it has the digest."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {REPAIR}.") from None
    if _digest(content) != digest:
        raise UserError(
            f"{path}: is not the file that {RECORD} was written with (its digest differs); "
            f"{REPAIR}."
        )
    return content


def _packed(content: bytes) -> bytes:
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
