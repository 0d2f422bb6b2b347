"""Pneumothorax put into a dataset's X-rays without one, written as a SIIM dataset of stage 2.

``python -m features.implant.write --data FOLDER --out FOLDER`` takes images whose mask is empty,
and those whose weak probability is small, and writes ``<id>-implant``: the same image with a
pneumothorax drawn at random, and the exact mask of its air. Beside it lies ``<id>-source``, the
same image as it was: both are compressed alike, so that nothing but the air tells them apart.

Written are DICOM files in ``stage_2_images``, ``stage_2_train.csv``, an empty sample submission,
``patients.csv`` with the patient, or group of patients, of each source, and ``parameters.json``
with what was drawn. Everything follows from the seed and the source. The pictures are real people's
X-rays: what may be done with the source may be done with them, and no more.

The folder is written under a temporary name and renamed at the end: it is either whole or absent.
"""

import hashlib
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom.dataset import FileDataset

from features.implant.draw import Implanted, implant
from features.implant.sources import of_folder
from features.lungs.fields import segment
from features.lungs.prepared import working_size
from features.phantom.dicom import secondary_capture, set_age
from features.phantom.streams import child
from features.reading import images, rle
from features.reading.study import Study
from features.run import command, new_folder, parallel
from features.run.files import UserError, write_csv, write_json

# Raised whenever a seed draws another pneumothorax than before, so that older folders stay apart.
VERSION = 1
QUALITY = 95  # of the JPEG compression, which the sources have gone through before
CLEAR = 0.5  # quality of the lung fields below which no implant is put into an image
NAME = "Implant"  # PatientName, which says that the image shows nobody as they were
WHAT = "Pneumothorax added by computation"  # DerivationDescription


@dataclass(frozen=True)
class Settings:
    """What to put into which images, and where to write it."""

    data: Path
    """Dataset folder, in any layout that the pipeline reads."""
    out: Path
    """Folder to write; left alone if it was already made with these settings."""
    count: int = 0
    """Number of implants, spread evenly over the images without pneumothorax; 0 for one in each.
    With more than there are images, some get several, each a picture of its own."""
    weak_below: float = 0.1
    """An image without a true label is taken if its weak probability is below this; 0 for none."""
    sources: bool = True
    """Write each image as it was, too, compressed like its implants."""
    patients: tuple[Path, ...] = ()
    """Further lists of patients, as of features.dataset.read."""
    seed: int = 0
    """Seed of all random numbers."""
    jobs: int = -1
    """Processes; -1 for one a core. The files do not depend on it."""


@dataclass(frozen=True)
class Planned:
    """Implants of one image: its id, file and patient, and how many."""

    id: str
    path: str
    patient: str
    count: int


@dataclass(frozen=True)
class _Written:
    """What stands in the tables about the files of one source."""

    rows: list[tuple[str, str, str]]  # id, run-length code, patient
    parameters: list[dict[str, object]]


def plan(table: pd.DataFrame, count: int) -> list[Planned]:
    """How many implants each image gets.

    Parameters
    ----------
    table : DataFrame
        id, path and patient of the images.
    count : int
        Of implants in all, spread evenly over the images; 0 for one in each.
    """
    total = count or len(table)
    until = np.arange(len(table) + 1) * total // len(table)
    rows = zip(table["id"], table["path"], table["patient"], np.diff(until), strict=True)
    return [Planned(str(i), str(path), str(who), int(n)) for i, path, who, n in rows if n]


def generator(seed: int, source: str, number: int) -> np.random.Generator:
    """The random numbers of an image's `number`-th implant; they depend on nothing else."""
    key = int.from_bytes(hashlib.sha256(source.encode()).digest()[:4], "big")
    return np.random.default_rng(child(seed, key, number))


def name_of(source: str, number: int) -> str:
    """Id of an image's `number`-th implant, from 0."""
    return f"{source}-implant{number + 1 if number else ''}"


def main(settings: Settings) -> None:
    """Write the dataset, unless it is there."""
    _check(settings)
    if new_folder.is_made(settings.out, _recorded(settings), "implants"):
        return
    table = of_folder(settings.data, settings.patients, settings.weak_below, settings.jobs)
    planned = plan(table, settings.count)
    with new_folder.temporary(settings.out, "stage_2_images") as folder:
        try:
            write = partial(write_source, settings, folder)
            written = list(parallel.stream(write, planned, "implants", settings.jobs))
            print(_write_tables(settings, folder, written, len(planned)))
            folder.rename(settings.out)
        except OSError as error:
            raise UserError(
                f"{settings.out}: could not be written ({error.strerror or error}); free some "
                "space or choose another --out folder, then run the same command again."
            ) from error


def write_source(settings: Settings, folder: Path, planned: Planned) -> _Written:
    """Write the implants of one image and, if wanted, the image as it was."""
    study, whole = images.read_whole(Path(planned.path))
    cut, pixels = images.cut_border(study, whole)
    fields = segment(working_size(pixels))
    if fields.quality < CLEAR:
        return _Written([], [])
    rows, parameters = [], []
    if settings.sources:
        name = f"{planned.id}-source"
        _save(folder, whole, name, study)
        rows.append((name, rle.EMPTY, planned.patient))
    for number in range(planned.count):
        name = name_of(planned.id, number)
        put_in = implant(pixels, fields, generator(settings.seed, planned.id, number))
        changed, mask = _in_file(whole, put_in, cut)
        _save(folder, changed, name, study, WHAT)
        rows.append((name, rle.encode(mask), planned.patient))
        drawn = {"id": name, "source": planned.id, "pixels": int(mask.sum())}
        parameters.append(drawn | asdict(put_in.parameters))
    return _Written(rows, parameters)


def _in_file(whole: np.ndarray, put_in: Implanted, cut: Study) -> tuple[np.ndarray, np.ndarray]:
    """Picture and mask with the border that the file has."""
    top, left = cut.place.corner
    rows, columns = put_in.mask.shape
    picture = slice(top, top + rows), slice(left, left + columns)
    changed, mask = whole.copy(), np.zeros(whole.shape, bool)
    changed[picture], mask[picture] = put_in.pixels, put_in.mask
    return changed, mask


def _save(folder: Path, pixels: np.ndarray, name: str, study: Study, what: str = "") -> None:
    """Write an X-ray as a DICOM file with the view, age and sex of its source."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:12], "big")
    data: FileDataset = secondary_capture(
        np.rint(255 * pixels).astype(np.uint8), name, number, QUALITY
    )
    data.PatientName = NAME
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.DerivationDescription = what or "Compressed again"
    data.PatientSex = study.sex or ""
    data.ViewPosition = study.view or ""
    if study.age is not None:
        set_age(data, int(study.age))
    data.save_as(folder / "stage_2_images" / f"{name}.dcm", enforce_file_format=True)


def _write_tables(settings: Settings, folder: Path, written: list[_Written], sources: int) -> str:
    """Write the csv and JSON files; a sentence that says what was written."""
    rows = sorted(row for of_image in written for row in of_image.rows)
    parameters = [drawn for of_image in written for drawn in of_image.parameters]
    if not rows:
        raise UserError(
            f"{settings.data}: in none of its {sources} images without pneumothorax are the lungs "
            "clear enough; give other images."
        )
    table = pd.DataFrame(rows, columns=["ImageId", "EncodedPixels", "patient"])
    write_csv(folder / "stage_2_train.csv", table[["ImageId", "EncodedPixels"]])
    write_csv(folder / "patients.csv", table[["ImageId", "patient"]])
    sample = pd.DataFrame({"ImageId": [], "EncodedPixels": []}, dtype=str)
    write_csv(folder / "stage_2_sample_submission.csv", sample)
    write_json(folder / "parameters.json", parameters)
    write_json(folder / "settings.json", _recorded(settings))
    unclear = sum(not of_image.rows for of_image in written)
    left_out = f"; {unclear} images left out, whose lungs are not clear" if unclear else ""
    return f"{settings.out}: {len(parameters)} implants in {sources - unclear} images{left_out}"


def _recorded(settings: Settings) -> dict[str, object]:
    """The settings on which the files depend."""
    content = {k: v for k, v in asdict(settings).items() if k not in ("out", "jobs")}
    content["data"] = str(settings.data.absolute())
    content["patients"] = [str(path.absolute()) for path in settings.patients]
    return {"implant": VERSION, **content}


def _check(settings: Settings) -> None:
    """Refuse settings from which no dataset can be made."""
    if settings.count < 0:
        raise UserError(f"--count {settings.count}: a number of implants; give 0 or more.")
    if not 0 <= settings.weak_below <= 1:
        raise UserError(
            f"--weak-below {settings.weak_below}: a probability; give a number from 0 to 1."
        )


if __name__ == "__main__":
    command.run(main)
