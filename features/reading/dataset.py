"""A dataset folder becomes one checked table: every image, its labels, its patient and its fold.

Images that cannot be used are set aside in ``quarantine.csv`` with the reason, and the run goes on.
Training images without any annotation are kept apart as "unlabelled" and never counted as positive
(SIIM-ACR has 37 of them). Optional files beside the annotations: ``patients.csv``
(``ImageId,patient``, see `features.reading.patients`), ``weak_labels.csv`` (``ImageId,probability``, soft
image-level labels) and ``stage_2_test_truth.csv`` (annotations of the test set, read for scoring
alone).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.reading import folds, images, layouts, patients, rle
from features.reading.layouts import ID, MASK
from features.reading.study import Study
from features.run import command, files, parallel
from features.run.files import UserError


@dataclass(frozen=True)
class Settings:
    """Read a dataset folder into RUN/dataset.parquet."""

    data: Path
    """Dataset folder in the layout of SIIM-ACR stage 1 or stage 2."""
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


def _check(path: Path) -> Study | str:
    """The study at `path` if its pixels can be decoded, else the reason why not."""
    try:
        return images.read(path)[0]
    except images.UnreadableImage as error:
        return str(error)


def _need_images(ids: pd.Series, known: set[str], path: Path) -> None:
    """Refuse a csv that names an image which is not there."""
    missing = [name for name in ids if name not in known]
    if missing:
        raise UserError(
            f"{path}: {missing[0]} has no image file ({len(missing)} such ids); every id needs an "
            "image, so put the file into the image folder or remove the row."
        )


def _patients(settings: Settings, studies: list[Study], known: set[str]) -> dict[str, str]:
    """The patient, or group of images that may be one's, of each study.

    A study that neither a list nor its own tag speaks of is a patient of its own.
    """
    own = settings.data / "patients.csv"
    lists = {path: patients.read(path) for path in settings.patients}
    for path, keys in lists.items():
        if known.isdisjoint(keys):
            raise UserError(
                f"{path}: names none of the {len(known)} images; give a list of this dataset's."
            )
    if own.is_file():
        lists = {own: patients.read(own)} | lists
        _need_images(pd.Series(list(lists[own])), known, own)
    tags = {study.id: study.patient for study in studies if study.patient}
    ids = sorted(study.id for study in studies)
    return patients.groups(ids, [*lists.values(), tags, dict(zip(ids, ids, strict=True))])


def _weak_labels(path: Path, known: set[str]) -> dict[str, float]:
    if not path.is_file():
        return {}
    labels = {}
    pairs = layouts.read_pairs(path, (ID, "probability"))
    _need_images(pd.Series(list(pairs)), known, path)
    for name, text in pairs.items():
        try:
            labels[name] = float(text)
        except ValueError:
            labels[name] = np.nan
        if not 0 <= labels[name] <= 1:
            raise UserError(f"{path}: {name} has probability {text!r}; it must be from 0 to 1.")
    return labels


def _splits(layout: layouts.Layout) -> tuple[dict[str, Path], pd.Series, pd.Series]:
    """Paths by id, the annotated ids and the test ids in the sample's order; all checked."""
    paths = layouts.image_paths(layout.train_images)
    if layout.test_images != layout.train_images and layout.test_images.is_dir():
        test_paths = layouts.image_paths(layout.test_images)
        if both := set(paths) & set(test_paths):
            raise UserError(
                f"{test_paths[min(both)]}: id {min(both)!r} is also {paths[min(both)]}; an image "
                "is either for training or for testing, so remove one of the two."
            )
        paths |= test_paths
    if not paths:
        raise UserError(
            f"{layout.train_images}: no image in it; a dataset has files ending in .dcm or .png."
        )
    annotated = layouts.read_csv(layout.train_csv, (ID, MASK))[ID].drop_duplicates()
    _need_images(annotated, set(paths), layout.train_csv)
    if layout.sample_csv is not None:
        test = layouts.read_csv(layout.sample_csv, (ID, MASK))[ID]
        _need_images(test, set(paths), layout.sample_csv)
        if test.duplicated().any():
            raise UserError(f"{layout.sample_csv}: {test[test.duplicated()].iloc[0]} stands twice.")
    else:
        below = [key for key, path in paths.items() if layout.test_images in path.parents]
        test = pd.Series(below if layout.test_images != layout.train_images else [], dtype=str)
    both = set(annotated) & set(test)
    if both:
        raise UserError(
            f"{layout.train_csv}: {min(both)} is a test image of the sample submission too; an "
            "image is in one of the two."
        )
    return paths, annotated, test


def _table(
    studies: list[Study], split: dict[str, str], masks: dict[str, str], owners: dict[str, str]
) -> pd.DataFrame:
    """One row an image, without folds."""
    rows = [
        {
            "id": study.id,
            "path": str(study.path.absolute()),  # a link's target may bear another name
            "split": split.get(study.id, "unlabelled"),
            "mask": masks.get(study.id),
            "patient": owners[study.id],
            "age": study.age,
            "sex": study.sex,
            "view": study.view,
            "spacing_mm": study.spacing_mm,
            "rows": study.rows,
            "columns": study.columns,
        }
        for study in studies
    ]
    table = pd.DataFrame(rows)
    # None, not NaN, marks a missing text, so that the columns stay of one kind.
    for column in ("mask", "patient", "sex", "view"):
        table[column] = table[column].astype("string")
    for column in ("age", "spacing_mm"):
        table[column] = table[column].astype(float)
    known = table["mask"].notna()
    table["label"] = np.where(known, (table["mask"] != rle.EMPTY).fillna(False), np.nan).astype(
        float
    )
    return table


def build(settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Read a dataset folder.

    Returns
    -------
    table : DataFrame
        One row a readable image: id, path, split ("train", "test" or "unlabelled"), label (0, 1 or
        NaN), weak (probability or NaN), mask (run-length code or missing), patient, age (years),
        sex, view, spacing_mm, rows, columns, fold (-1 for images that belong to none).
    quarantine : DataFrame
        id, path and reason of each image that cannot be used.
    test : Series
        The test ids in the sample submission's order, unreadable ones included.

    Raises
    ------
    UserError
        If the folder, its csv files or their ids break a rule.
    """
    layout = layouts.find(settings.data)
    paths, annotated, test = _splits(layout)
    checked = list(parallel.stream(_check, list(paths.values()), "reading images", settings.jobs))
    studies = [item for item in checked if isinstance(item, Study)]
    bad = [
        (key, paths[key], item)
        for key, item in zip(paths, checked, strict=True)
        if isinstance(item, str)
    ]
    quarantine = pd.DataFrame(bad, columns=["id", "path", "reason"])
    if not studies:
        raise UserError(
            f"{layout.train_images}: none of its {len(paths)} images can be read; "
            f"the first: {bad[0][2]}"
        )
    sizes = {study.id: (study.rows, study.columns) for study in studies}
    masks = layouts.read_annotations(layout.train_csv, sizes)
    owners = _patients(settings, studies, set(paths))
    split = dict.fromkeys(annotated, "train") | dict.fromkeys(test, "test")
    table = _table(studies, split, masks, owners)
    weak = _weak_labels(settings.data / "weak_labels.csv", set(paths))
    # The truth wins over a weak label of the same image.
    table["weak"] = table["id"].map(weak).astype(float).where(table["label"].isna())
    table["fold"] = _folds(table, settings)
    order = {"train": 0, "test": 1, "unlabelled": 2}
    rank = dict(zip(test, range(len(test)), strict=True))
    table["_rank"] = table["id"].map(rank).fillna(-1)
    table = table.sort_values(
        ["split", "_rank", "id"], key=lambda c: c.map(order) if c.name == "split" else c
    )
    return table.drop(columns="_rank").reset_index(drop=True), quarantine, test


def _folds(table: pd.DataFrame, settings: Settings) -> pd.Series:
    """Folds over all images that teach: those with a true label and those with a weak one."""
    fold = pd.Series(-1, table.index)
    if table["label"].nunique() < 2:
        raise UserError(
            f"{settings.data}: the annotated images are all of one class; training and scoring "
            "need images with and without pneumothorax."
        )
    teaches = table["label"].notna() | table["weak"].notna()
    part = table[teaches]
    fold[teaches] = folds.assign(
        strata(part), part["patient"].to_numpy(object), settings.folds, settings.seed
    )
    return fold


def strata(rows: pd.DataFrame) -> NDArray[np.int64]:
    """What folds are to spread evenly: true or weak label, positive or negative; (n,)."""
    positive = rows["label"].fillna(rows["weak"]) > 0.5
    return np.asarray(2 * rows["label"].notna() + positive, np.int64)


def main(settings: Settings) -> None:
    """Write dataset.parquet, quarantine.csv, sample.csv and, if known, truth.parquet."""
    table, quarantine, test = build(settings)
    truth = settings.data / "stage_2_test_truth.csv"
    (settings.run / "truth.parquet").unlink(missing_ok=True)  # may be another dataset's
    if truth.is_file():
        sizes = dict(
            zip(table["id"], zip(table["rows"], table["columns"], strict=True), strict=True)
        )
        found = layouts.read_annotations(truth, sizes)
        # Only the test set's truth may score the test set.
        masks = {name: found[name] for name in test if name in found}
        if not masks:
            raise UserError(
                f"{truth}: none of its images is a test image; remove or mend the file."
            )
        frame = pd.DataFrame({"id": list(masks), "mask": list(masks.values())})
        files.write_table(settings.run / "truth.parquet", frame)
    files.write_csv(settings.run / "quarantine.csv", quarantine)
    files.write_csv(settings.run / "sample.csv", pd.DataFrame({ID: test, MASK: rle.EMPTY}))
    files.write_table(settings.run / "dataset.parquet", table)
    print(summary(table, quarantine))


def summary(table: pd.DataFrame, quarantine: pd.DataFrame) -> str:
    """What was found, and a warning where test patients are known from training."""
    label, split = table["label"], table["split"]
    deployed = table[(split == "test") & (table["fold"] < 0)]
    shared = deployed["patient"].isin(table.loc[table["fold"] >= 0, "patient"]).sum()
    warning = (
        f"\n{shared} test images are of patients who are in the training set too; where the truth "
        "of the test set is known, the scores leave them out."
    )
    return (
        f"{len(table)} images: {(label == 1).sum()} with and {(label == 0).sum()} without "
        f"pneumothorax, {table['weak'].notna().sum()} weakly labelled, {(split == 'test').sum()} "
        f"test, {(split == 'unlabelled').sum()} unlabelled and set aside; "
        f"{table['patient'].nunique()} patient groups in {table['fold'].max() + 1} folds; "
        f"{len(quarantine)} unreadable (quarantine.csv).{warning if shared else ''}"
    )


if __name__ == "__main__":
    command.run(main)
