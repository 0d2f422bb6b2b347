"""A dataset folder becomes one checked table: every image, its labels, its patient and its fold.

Images that cannot be used are set aside in ``quarantine.csv`` with the reason, and the run goes on,
unless one and the same reason strikes many of them (see `features.dataset.quarantine`).
Training images without any annotation are kept apart as "unlabelled" and never counted as positive
(SIIM-ACR has 37 of them). Optional files beside the annotations: ``patients.csv``
(``ImageId,patient``, see `features.dataset.patients`), ``weak_labels.csv``
(``ImageId,probability``, soft image-level labels), ``weak_masks.csv`` (``ImageId,EncodedPixels``,
masks that another model drew, or a reader whom one trusts less: they teach, help to choose the
gate's rule, and never score) and ``stage_2_test_truth.csv`` (annotations of the test set, read for
scoring alone).
"""

import sys
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.dataset import (
    file_masks,
    folds,
    image_list,
    layouts,
    patient_tags,
    patients,
    quarantine,
)
from features.dataset.image_list import ImageList
from features.dataset.layouts import ID, MASK
from features.reading import rle
from features.reading.study import Study
from features.run import command
from features.run.files import UserError
from features.run.folder import RunFolder
from features.run.schemas import DATASET
from features.storage import storage
from features.storage.names import image_id, shown

# What reads the files of a dataset: a study or a reason for each, in their order. It also gets the
# ids of the images that have a label or are to be predicted.
Outcomes = Generator[Study | str, None, None]
Reader = Callable[[Mapping[str, Path], Collection[str]], Outcomes]


@dataclass(frozen=True)
class Settings:
    """Read a dataset folder into RUN/dataset.parquet."""

    data: Path
    """Dataset folder, or zip, in the layout of SIIM-ACR stage 1 or stage 2, of a re-release as
    pictures, or of ChestX-ray14; or a plain folder of images, which can only be predicted."""
    run: Path
    """Run folder to write into."""
    folds: int = 5
    """Number of patient-disjoint folds."""
    patients: tuple[Path, ...] = ()
    """Further lists of patients beside the folder's patients.csv: csv files with the columns
    ImageId,patient, or the published Kaggle_ID,NIH_ID. Images that share a patient in any list stay
    together; images that the dataset lacks do not matter."""
    seed: int = 0
    """Seed of the split into folds."""
    jobs: int = -1
    """Processes; -1 for one a core."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers read the images."""


def _patient_lists(
    settings: Settings, beside: Path, paths: dict[str, Path]
) -> dict[Path, dict[str, str]]:
    """What each list of patients says, that beside the images first."""
    lists = {path: patients.read(path) for path in settings.patients}
    for path, keys in lists.items():
        if paths.keys().isdisjoint(keys):
            raise UserError(
                f"{path}: names none of the {len(paths)} images; give a list of this dataset's."
            )
    if storage.is_file(beside):
        lists = {beside: patients.read(beside)} | lists
        image_list.require_images(lists[beside], paths, beside)
    return lists


def _patients(
    lists: dict[Path, dict[str, str]], beside: Path, studies: list[Study], notes: list[str]
) -> dict[str, str]:
    """The patient, or group of images that may be one's, of each study.

    A study that neither a list nor its own tag names is a patient of its own.
    """
    tags, more = patient_tags.usable(studies, lists.get(beside, {}))
    notes.extend(more)
    ids = sorted(study.id for study in studies)
    return patients.groups(ids, [*lists.values(), tags, dict(zip(ids, ids, strict=True))])


def _weak_labels(path: Path, paths: dict[str, Path]) -> dict[str, float]:
    if not storage.is_file(path):
        return {}
    labels = {}
    pairs = layouts.read_pairs(path, (ID, "probability"))
    image_list.require_images(pairs, paths, path)
    for name, text in pairs.items():
        try:
            labels[name] = float(text.replace(",", "."))
        except ValueError:
            labels[name] = np.nan
        if not 0 <= labels[name] <= 1:
            raise UserError(
                f"{path}: {shown(name)} has probability {shown(repr(text))}; it must be from 0 to "
                "1."
            )
    return labels


def _with_weak_mask(path: Path, paths: dict[str, Path]) -> set[str]:
    """Ids of the images that a weak mask is given for."""
    if not storage.is_file(path):
        return set()
    ids = layouts.read_csv(path, (ID, MASK))[ID].map(image_id)
    image_list.require_images(ids, paths, path)
    return set(ids)


def _with_weak(table: pd.DataFrame, weak: dict[str, float], masks: dict[str, str]) -> pd.DataFrame:
    """The table with weak labels and weak masks; the truth wins over both.

    A weak mask is a weak label, too: of 0 or 1 where the image has no other.
    """
    unknown = table["label"].isna()
    weak_mask = table["id"].map(masks).astype("string").where(unknown)
    from_mask = (weak_mask != rle.EMPTY).astype("Float64").to_numpy(float, na_value=np.nan)
    weak_label = table["id"].map(weak).astype(float).where(unknown)
    return table.assign(weak=weak_label.fillna(pd.Series(from_mask)), weak_mask=weak_mask)


def _table(
    studies: list[Study], split: dict[str, str], masks: dict[str, str], groups: dict[str, str]
) -> pd.DataFrame:
    """One row an image, without weak labels and folds."""
    rows = [
        {
            "id": study.id,
            "path": str(study.path.absolute()),  # a link's target may bear another name
            "split": split.get(study.id, "unlabelled"),
            "mask": masks.get(study.id),
            "weak_mask": None,
            "patient": groups[study.id],
            "age": study.age,
            "sex": study.sex,
            "view": study.view,
            "spacing_mm": study.spacing_mm,
            "rows": study.rows,
            "columns": study.columns,
        }
        | file_masks.to_row(study)
        for study in studies
    ]
    table = pd.DataFrame(rows)
    table["mask"] = table["mask"].astype("string")
    for column in file_masks.COLUMNS:
        table[column] = table[column].astype("Int64")
    positive = (table["mask"] != rle.EMPTY).astype("Float64")
    table["label"] = positive.to_numpy(float, na_value=np.nan)
    return table


def _completed(studies: list[Study], listed: ImageList) -> list[Study]:
    """The studies with what a table of the dataset says of their patients."""
    entries = listed.entries
    return [
        entries[study.id].complete(study) if study.id in entries else study for study in studies
    ]


def build(
    settings: Settings, reader: Reader | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Read a dataset folder.

    Parameters
    ----------
    settings : Settings
    reader : callable, optional
        What reads the files, where that is to do more than to check them: it gets their paths by
        id, and the ids of those that have a label or are to be predicted.

    Returns
    -------
    table : DataFrame
        One row a readable image, see `features.run.schemas.DATASET`: training images by id, test
        images in the sample's order, then the others by id.
    refused : DataFrame
        id, path and reason of each image that cannot be used.
    test : Series
        The test ids in the sample submission's order and as it writes them, unreadable ones
        included.

    Raises
    ------
    UserError
        If the folder, its csv files or their ids break a rule.
    """
    layout = layouts.find(settings.data)
    listed = image_list.read(layout)
    # What needs no pixels comes first: the files may take long.
    folds.check_count(settings.folds)
    beside, of_masks = layout.beside("patients.csv"), layout.beside("weak_masks.csv")
    lists = _patient_lists(settings, beside, listed.paths)
    weak = _weak_labels(layout.beside("weak_labels.csv"), listed.paths)
    with_weak_mask = _with_weak_mask(of_masks, listed.paths)
    wanted = listed.split().keys() | weak.keys() | with_weak_mask
    with closing(
        reader(listed.paths, wanted)
        if reader
        else quarantine.outcomes(listed.paths, settings.jobs, settings.scheduler)
    ) as outcomes:
        studies, refused = quarantine.set_aside(listed.paths, outcomes)
    studies = _completed(studies, listed)
    places = {study.id: study.place for study in studies}
    in_files = listed.codes(
        layout, {name: place.file for name, place in places.items()}, settings.jobs
    )
    masks = file_masks.on_pictures(in_files, places)
    groups = _patients(lists, beside, studies, listed.notes)
    table = _table(studies, listed.split(), masks, groups)
    table.loc[table["id"].isin(listed.positive()), "label"] = 1.0
    weak_masks = file_masks.read(of_masks, places) if with_weak_mask else {}
    table = _with_weak(table, weak, weak_masks)
    table["fold"] = pd.NA if layout.is_unlabelled else _folds(table, settings)
    for note in listed.notes:
        print(f"note: {note}.", file=sys.stderr)
    only = ", which can only be predicted (`pneumothorax predict` answers on each)"
    print(f"{settings.data}: {layout.name}{only * layout.is_unlabelled}", file=sys.stderr)
    return table.astype(DATASET.types(table.columns)), refused, listed.sample


def _folds(table: pd.DataFrame, settings: Settings) -> pd.Series:
    """Folds over all images that can be learned from: those with a true or a weak label."""
    fold = pd.Series(pd.NA, table.index, dtype="Int64")
    if table["label"].nunique() < 2:
        raise UserError(
            f"{settings.data}: the annotated images are all of one class; training and scoring "
            "need images with and without pneumothorax."
        )
    labelled = table["label"].notna() | table["weak"].notna()
    rows = table[labelled]
    fold[labelled] = folds.assign(
        folds.strata(rows), rows["patient"].to_numpy(object), settings.folds, settings.seed
    )
    return fold


def _truth(path: Path, table: pd.DataFrame, test: pd.Series) -> pd.DataFrame:
    """Masks of the readable test images; only the test set's truth may score the test set."""
    annotations = file_masks.read(path, file_masks.placements(table))
    masks = {name: annotations[name] for name in test if name in annotations}
    if not masks:
        raise UserError(f"{path}: none of its images is a test image; remove or mend the file.")
    return pd.DataFrame({"id": list(masks), "mask": list(masks.values())})


def main(settings: Settings) -> None:
    """Write dataset.parquet, quarantine.csv, sample.csv and, if known, truth.parquet."""
    write(settings)


def write(settings: Settings, reader: Reader | None = None) -> None:
    """Do what `main` does, with a reader as for `build`."""
    run = RunFolder(settings.run)
    if run.format.exists():  # what another version left there would be taken for this one's
        run.check()
    table, refused, test = build(settings, reader)
    path = layouts.find(settings.data).beside("stage_2_test_truth.csv")
    truth = _truth(path, table, test.map(image_id)) if storage.is_file(path) else None
    run.create()
    if truth is None:
        run.truth.path.unlink(missing_ok=True)  # may be another dataset's
    else:
        run.truth.write(truth)
    run.quarantine.write(refused)
    run.sample.write(pd.DataFrame({ID: test, MASK: rle.EMPTY}))
    run.dataset.write(table)
    print(summary(table, refused))


def summary(table: pd.DataFrame, refused: pd.DataFrame) -> str:
    """Counts of the images, and a warning where test patients are known from training."""
    label, split, fold = table["label"], table["split"], table["fold"]
    unfolded_test = table[(split == "test") & fold.isna()]
    shared = unfolded_test["patient"].isin(table.loc[fold.notna(), "patient"]).sum()
    warning = (
        f"\n{shared} test images are of patients who are in the training set too; where the truth "
        "of the test set is known, the scores leave them out."
    )
    return (
        f"{len(table)} images: {(label == 1).sum()} with and {(label == 0).sum()} without "
        f"pneumothorax, {table['weak'].notna().sum()} weakly labelled "
        f"({table['weak_mask'].notna().sum()} with a weak mask), {(split == 'test').sum()} "
        f"test, {(split == 'unlabelled').sum()} unlabelled and set aside; "
        f"{table['patient'].nunique()} patient groups in {fold.nunique()} folds; "
        f"{len(refused)} unreadable (quarantine.csv).{warning if shared else ''}"
    )


if __name__ == "__main__":
    command.run(main, creates=True)
