"""Synthetic chest X-rays with known truth, written as a SIIM dataset of stage 2.

``python -m features.phantom.write --out FOLDER`` writes what Kaggle handed out: JPEG-compressed DICOMs,
``stage_2_train.csv`` and ``stage_2_sample_submission.csv``; beside them ``patients.csv`` and, for
scoring only, the test set's truth. As there, masks are what readers drew; ``exact_masks.csv`` has
the exact ones, ``parameters.json`` the parameters of each image, and with ``--truth`` ``truth/`` a
map of each image's zones, vessels and pleural air. Everything follows from the seed.
The folder is written under a temporary name and renamed at the end, so that it is either whole or
absent.
"""

import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from scipy import ndimage

from features.phantom.annotator import annotated
from features.phantom.dicom import dicom
from features.phantom.radiograph import Phantom, phantom
from features.phantom.anatomy import DIFFICULTY, child
from features.reading import rle
from features.run import command, parallel
from features.run.files import UserError, atomic, read_json, write_csv, write_json

# Raised with every change of what a seed draws, so that older folders are told apart.
VERSION = 5
TWO_READERS = 0.15  # share of images that two readers outlined; their union counts

__all__ = ["Phantom", "Settings", "main", "phantom", "sheet", "write_dataset"]


@dataclass(frozen=True)
class Settings:
    """What to write, and where."""

    out: Path
    """Folder to write; left alone if these settings have already made it."""
    train: int = 180
    """Number of training images."""
    test: int = 60
    """Number of test images."""
    seed: int = 0
    """Seed of everything."""
    positives: float = 0.3
    """Share of images with a pneumothorax in each set, 0 to 1."""
    size: int = 1024
    """Side of the images in pixels."""
    difficulty: float = DIFFICULTY
    """0: large pneumothoraces and no look-alikes; 1: slivers among many look-alikes."""
    drained: float = 0.0
    """Share of pneumothoraces that have a drain in place because of it, 0 to 1: a confounder."""
    inverted: float = 0.0
    """Share of images stored with air bright (MONOCHROME1), 0 to 1."""
    truth: bool = False
    """Write truth/<id>.png too: the number of the lung zone (1 to 10 in the right lung, from the
    apex's rim and core down to the base's, 11 to 20 in the left), plus 32 for a vessel, plus 64 for
    pleural air."""
    sheet: Path | None = None
    """Also draw the first 24 test images, masks outlined, into this PNG file."""


@dataclass(frozen=True)
class _Order:
    """One image to draw: its place in the dataset, its name and its diagnosis."""

    index: int
    patient: int
    image_id: str
    split: str
    pneumothorax: bool


@dataclass(frozen=True)
class _Written:
    """What is known of an image that has been written."""

    codes: list[str]  # its annotations as run-length codes
    exact: str  # the same of the exact mask
    parameters: dict[str, object]  # of patient, exposure, findings and pneumothorax


def main(settings: Settings) -> None:
    """Write the dataset, unless it is there; then the sheet, if one is asked for."""
    _check(settings)
    write_dataset(settings)
    if settings.sheet is not None:
        orders = [order for order in _orders(settings) if order.split == "test"][:24]
        draw = partial(_drawn, settings)
        phantoms = list(parallel.stream(draw, orders, "sheet"))
        with atomic(settings.sheet) as temporary:
            sheet(phantoms).save(temporary, format="PNG")


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
        If the folder exists and was not made with these settings; nothing is overwritten.
    """
    out = settings.out
    if _finished(settings):
        return
    building = out.absolute().with_name(f".{out.absolute().name}.partial")
    try:
        shutil.rmtree(building, ignore_errors=True)  # what a killed run has left
        (building / "stage_2_images").mkdir(parents=True)
        if settings.truth:
            (building / "truth").mkdir()
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror or error}); choose another --out folder."
        ) from error
    try:
        orders = _orders(settings)
        write = partial(_write_image, settings, building)
        rows = list(parallel.stream(write, orders, "phantoms", jobs))
        _write_tables(settings, building, orders, rows)
        building.rename(out)
    except OSError as error:
        raise UserError(
            f"{out}: could not be written ({error.strerror or error}); free some space or choose "
            "another --out folder, then run the same command again."
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def sheet(phantoms: list[Phantom], columns: int = 6, side: int = 320) -> Image.Image:
    """A contact sheet of phantoms, each mask outlined and each image captioned with its truth.

    Parameters
    ----------
    phantoms : list of Phantom
        What to show, row by row.
    columns : int
        Images a row.
    side : int
        Pixels an image is wide.

    Returns
    -------
    PIL.Image.Image
        In RGB.
    """
    rows = -(-len(phantoms) // columns)
    page = Image.new("RGB", (columns * side, rows * side))
    for k, one in enumerate(phantoms):
        picture = Image.fromarray(one.pixels).convert("RGB").resize((side, side))
        small = Image.fromarray(one.mask).resize((side, side))
        inside = np.asarray(small, bool)
        pixels = np.array(picture)
        pixels[inside & ~ndimage.binary_erosion(inside)] = (255, 170, 40)
        tile = Image.fromarray(pixels)
        truth = "no pneumothorax"
        if one.collapse is not None:
            truth = f"{one.collapse.kind}, {one.collapse.side}, {100 * one.mask.mean():.1f}%"
        view = "supine" if one.exposure.pose == "supine" else one.view
        caption = f"{one.sex} {one.age} {view}: {truth}"
        ImageDraw.Draw(tile).text(
            (6, side - 18), caption, (255, 220, 120), stroke_width=2, stroke_fill=(0, 0, 0)
        )
        page.paste(tile, (k % columns * side, k // columns * side))
    return page


def _check(settings: Settings) -> None:
    """Refuse settings that make no dataset."""
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
    """The settings that decide the dataset's bytes."""
    content = {k: v for k, v in asdict(settings).items() if k not in ("out", "sheet")}
    return {"phantom": VERSION, **content}


def _finished(settings: Settings) -> bool:
    """Whether the folder holds just this dataset already."""
    out = settings.out
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    record = out / "settings.json"
    if not record.is_file():
        raise UserError(
            f"{out}: exists and is no phantom dataset (it has no settings.json), so it is not "
            "overwritten; choose another --out folder."
        )
    if read_json(record) != _recorded(settings):
        raise UserError(
            f"{out}: holds phantoms made with other settings (see its settings.json); delete it or "
            "choose another --out folder."
        )
    return True


def _orders(settings: Settings) -> list[_Order]:
    """Name every image, assign it to a patient (1 to 3 images, one split), choose the diagnosis."""
    rng = np.random.default_rng(child(settings.seed, 0))
    total = settings.train + settings.test
    numbers: set[int] = set()
    names: list[str] = []
    while len(names) < total:
        number = int(rng.integers(16**9))
        if number not in numbers:
            numbers.add(number)
            names.append(f"ID_{number:09x}")
    labels = np.random.default_rng(child(settings.seed, 4))
    orders: list[_Order] = []
    patient = -1
    for split, count in (("train", settings.train), ("test", settings.test)):
        begin, end = len(orders), len(orders) + count
        ill = labels.permutation(count) < round(settings.positives * count)
        while len(orders) < end:
            patient += 1
            for _ in range(min(int(rng.choice([1, 2, 3], p=[0.8, 0.14, 0.06])), end - len(orders))):
                index = len(orders)
                has = bool(ill[index - begin])
                orders.append(_Order(index, patient, names[index], split, has))
    return orders


def _drawn(settings: Settings, order: _Order) -> Phantom:
    """Draw the image that was ordered."""
    return phantom(
        child(settings.seed, 1, order.index),
        patient=child(settings.seed, 2, order.patient),
        pneumothorax=order.pneumothorax,
        size=settings.size,
        difficulty=settings.difficulty,
        drained=settings.drained,
    )


def _write_image(settings: Settings, folder: Path, order: _Order) -> _Written:
    """Draw one image, write its DICOM and, if it is asked for, its map of the truth."""
    image = _drawn(settings, order)
    rng = np.random.default_rng(child(settings.seed, 3, order.index))
    readers = 1 + (rng.random() < TWO_READERS)
    inverted = bool(rng.random() < settings.inverted)
    path = folder / "stage_2_images" / f"{order.image_id}.dcm"
    dicom(image, order.image_id, inverted).save_as(path, enforce_file_format=True)
    if settings.truth:
        labels = image.zones + np.uint8(32) * image.vessels + np.uint8(64) * image.mask
        Image.fromarray(labels).save(folder / "truth" / f"{order.image_id}.png")
    codes, exact = ["-1"], "-1"
    if image.mask.any():
        exact = rle.encode(image.mask)
        drawn_by = [annotated(image.mask, image.spacing_mm, rng) for _ in range(readers)]
        codes = [rle.encode(mask) for mask in drawn_by]
    drawn: dict[str, object] = {
        "id": order.image_id,
        "inverted": inverted,
        "patient": asdict(image.patient),
        "exposure": asdict(image.exposure),
        "findings": asdict(image.findings),
        "collapse": None if image.collapse is None else asdict(image.collapse),
    }
    return _Written(codes, exact, drawn)


def _write_tables(
    settings: Settings, folder: Path, orders: list[_Order], written: list[_Written]
) -> None:
    """Write the csv files, sorted by id as Kaggle's are, and last the record of the settings."""
    table = pd.DataFrame(
        [
            (order.image_id, code, order.split, f"P{order.patient:05d}")
            for order, one in zip(orders, written, strict=True)
            for code in one.codes
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
    exact = [(order.image_id, one.exact) for order, one in zip(orders, written, strict=True)]
    write_csv(folder / "exact_masks.csv", pd.DataFrame(sorted(exact), columns=columns))
    write_json(folder / "parameters.json", [one.parameters for one in written])
    write_json(folder / "settings.json", _recorded(settings))


if __name__ == "__main__":
    command.run(main)
