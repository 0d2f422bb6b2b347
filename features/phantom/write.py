"""Synthetic chest X-rays with known truth, written as a SIIM dataset of stage 2.

``python -m features.phantom.write --out FOLDER`` writes the files of the challenge: DICOMs with
JPEG-compressed pixels, ``stage_2_train.csv`` and ``stage_2_sample_submission.csv``. As in the
challenge, masks are what readers drew. Further files are ``patients.csv``; for scoring only,
``stage_2_test_truth.csv``; ``exact_masks.csv``; ``parameters.json``, the parameters of each image;
and with ``--truth`` the folder ``truth``, a map of each image's zones, vessels and pleural air.
Everything follows from the seed.

The folder is written under a temporary name and renamed at the end: it is either whole or absent.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from features.phantom.annotator import annotate
from features.phantom.contact_sheet import contact_sheet
from features.phantom.dicom import to_dicom
from features.phantom.plan import PlannedImage, planned_images
from features.phantom.radiograph import Phantom, phantom
from features.phantom.streams import DIFFICULTY, child
from features.reading import rle
from features.run import command, new_folder, parallel
from features.run.files import UserError, atomic, write_csv, write_json

# Raised whenever a seed draws another image than before, so that older folders are not reused.
VERSION = 5
TWO_READERS = 0.15  # share of images that two readers outlined; the union of their masks counts


@dataclass(frozen=True)
class Settings:
    """What to write, and where."""

    out: Path
    """Folder to write; left alone if it was already made with these settings."""
    train: int = 180
    """Number of training images."""
    test: int = 60
    """Number of test images."""
    seed: int = 0
    """Seed of all random numbers."""
    positives: float = 0.3
    """Share of images with a pneumothorax in each set, 0 to 1."""
    size: int = 1024
    """Side of the images in pixels."""
    difficulty: float = DIFFICULTY
    """0: large pneumothoraces and no look-alikes; 1: slivers among many look-alikes."""
    drained: float = 0.0
    """Share of pneumothoraces that are treated by a drain, 0 to 1: a confounder."""
    inverted: float = 0.0
    """Share of images stored with air bright (MONOCHROME1), 0 to 1."""
    truth: bool = False
    """Write truth/<id>.png too: the number of the lung zone (1 to 10 in the right lung, from rim
    and core of the apex down to those of the base, 11 to 20 in the left), plus 32 for a vessel,
    plus 64 for pleural air."""
    sheet: Path | None = None
    """Also draw the first 24 test images, masks outlined, into this PNG file."""


@dataclass(frozen=True)
class _Written:
    """The truth about an image whose files have been written."""

    codes: list[str]  # run-length codes of the readers' masks
    exact: str  # run-length code of the exact mask
    parameters: dict[str, object]  # of patient, exposure, findings and pneumothorax


def main(settings: Settings) -> None:
    """Write the dataset, unless it is there, and with `sheet` the contact sheet."""
    _check(settings)
    write_dataset(settings)
    if settings.sheet is not None:
        shown = [image for image in plan(settings) if image.split == "test"][:24]
        phantoms = list(parallel.stream(partial(draw_image, settings), shown, "sheet"))
        with atomic(settings.sheet) as temporary:
            contact_sheet(phantoms).save(temporary, format="PNG")


def write_dataset(settings: Settings, jobs: int = -1) -> None:
    """Write the phantom dataset; a finished folder with the same settings is left alone.

    Parameters
    ----------
    settings : Settings
        Sizes, seed and folder.
    jobs : int
        Processes; -1 for one a core. The bytes do not depend on it.

    Raises
    ------
    UserError
        If the folder exists and was not made with these settings; nothing is overwritten. If the
        disk takes no more.
    """
    if new_folder.is_made(settings.out, _recorded(settings), "phantoms"):
        return
    out = settings.out
    subfolders = ("stage_2_images", "truth") if settings.truth else ("stage_2_images",)
    with new_folder.temporary(out, *subfolders) as folder:
        try:
            planned = plan(settings)
            write = partial(write_image, settings, folder)
            written = list(parallel.stream(write, planned, "phantoms", jobs))
            _write_tables(settings, folder, planned, written)
            _move_into_place(folder, settings)
        except OSError as error:
            raise UserError(
                f"{out}: could not be written ({error.strerror or error}); free some space or "
                "choose another --out folder, then run the same command again."
            ) from error


def _move_into_place(folder: Path, settings: Settings) -> None:
    """Rename the finished folder; if another run has finished the same dataset, its folder stays.

    Raises
    ------
    UserError
        If a folder with other content has appeared there meanwhile.
    OSError
        If the folder cannot be renamed for another reason.
    """
    try:
        folder.rename(settings.out)
    except OSError:
        if not new_folder.is_made(settings.out, _recorded(settings), "phantoms"):
            raise


def _check(settings: Settings) -> None:
    """Refuse settings from which no dataset can be made."""
    if not 0 <= settings.positives <= 1:
        raise UserError(f"--positives {settings.positives}: a share; give a number from 0 to 1.")
    for name in ("difficulty", "drained", "inverted"):
        share = getattr(settings, name)
        if not 0 <= share <= 1:
            raise UserError(f"--{name} {share}: a share; give a number from 0 to 1.")
    if settings.train < 1 or settings.test < 1:
        raise UserError(
            f"--train {settings.train} --test {settings.test}: both sets need at least one image."
        )
    if settings.size < 64:
        raise UserError(f"--size {settings.size}: too small for a chest; give 64 or more.")
    if settings.seed < 0:
        raise UserError(f"--seed {settings.seed}: a seed is not negative; give 0 or more.")


def _recorded(settings: Settings) -> dict[str, object]:
    """The settings on which the dataset's bytes depend."""
    content = {k: v for k, v in asdict(settings).items() if k not in ("out", "sheet")}
    return {"phantom": VERSION, **content}


def plan(settings: Settings) -> list[PlannedImage]:
    """The images of the dataset that these settings make."""
    return planned_images(settings.train, settings.test, settings.positives, settings.seed)


def draw_image(settings: Settings, planned: PlannedImage) -> Phantom:
    """Draw an image of the dataset."""
    return phantom(
        child(settings.seed, 1, planned.index),
        patient=child(settings.seed, 2, planned.patient),
        pneumothorax=planned.pneumothorax,
        size=settings.size,
        difficulty=settings.difficulty,
        drained=settings.drained,
    )


def write_image(settings: Settings, folder: Path, planned: PlannedImage) -> _Written:
    """Draw an image; write its DICOM file and, with `truth`, its map of the truth."""
    image = draw_image(settings, planned)
    rng = np.random.default_rng(child(settings.seed, 3, planned.index))
    readers = 1 + (rng.random() < TWO_READERS)
    inverted = bool(rng.random() < settings.inverted)
    path = folder / "stage_2_images" / f"{planned.image_id}.dcm"
    to_dicom(image, planned.image_id, inverted).save_as(path, enforce_file_format=True)
    if settings.truth:
        labels = image.zones + np.uint8(32) * image.vessels + np.uint8(64) * image.mask
        Image.fromarray(labels).save(folder / "truth" / f"{planned.image_id}.png")
    codes, exact = ["-1"], "-1"
    if image.mask.any():
        exact = rle.encode(image.mask)
        masks = [annotate(image.mask, image.spacing_mm, rng) for _ in range(readers)]
        codes = [rle.encode(mask) for mask in masks]
    parameters: dict[str, object] = {
        "id": planned.image_id,
        "inverted": inverted,
        "patient": asdict(image.patient),
        "exposure": asdict(image.exposure),
        "findings": asdict(image.findings),
        "collapse": None if image.collapse is None else asdict(image.collapse),
    }
    return _Written(codes, exact, parameters)


def _write_tables(
    settings: Settings, folder: Path, planned: list[PlannedImage], written: list[_Written]
) -> None:
    """Write the csv files, sorted by id as in the challenge, and last the settings."""
    pairs = list(zip(planned, written, strict=True))
    table = pd.DataFrame(
        [
            (image.image_id, code, image.split, f"P{image.patient:05d}")
            for image, truth in pairs
            for code in truth.codes
        ],
        columns=["ImageId", "EncodedPixels", "split", "patient"],
    ).sort_values("ImageId", kind="stable")
    columns = ["ImageId", "EncodedPixels"]
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    write_csv(folder / "stage_2_train.csv", train[columns])
    write_csv(folder / "stage_2_test_truth.csv", test[columns])
    sample = test[["ImageId"]].drop_duplicates().assign(EncodedPixels="-1")
    write_csv(folder / "stage_2_sample_submission.csv", sample)
    write_csv(folder / "patients.csv", table[["ImageId", "patient"]].drop_duplicates())
    exact = sorted((image.image_id, truth.exact) for image, truth in pairs)
    write_csv(folder / "exact_masks.csv", pd.DataFrame(exact, columns=columns))
    write_json(folder / "parameters.json", [truth.parameters for truth in written])
    write_json(folder / "settings.json", _recorded(settings))


if __name__ == "__main__":
    command.run(main)
