"""A written dataset of phantoms: whole or absent, its tables and tags true to its images."""

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from features.phantom import write
from features.phantom.contact_sheet import contact_sheet
from features.phantom.plan import planned_images
from features.phantom.radiograph import Phantom, phantom
from features.phantom.write import Settings, main, write_dataset
from features.reading import images, rle
from features.run.files import ABANDONED, UserError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small written dataset."""
    out = tmp_path_factory.mktemp("phantoms") / "set"
    chosen = Settings(out=out, train=6, test=4, seed=5, positives=0.5, size=128, truth=True)
    write_dataset(chosen, jobs=1)
    return chosen


@pytest.fixture(scope="module")
def drawn(dataset: Settings) -> dict[str, Phantom]:
    """The images of that dataset by id, drawn again."""
    return {image.image_id: write.draw_image(dataset, image) for image in write.plan(dataset)}


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_dicom_of_the_dataset_reads_back(
    dataset: Settings, drawn: dict[str, Phantom]
) -> None:
    for image_id, truth in drawn.items():
        study, pixels = images.read(dataset.out / "stage_2_images" / f"{image_id}.dcm")
        assert (study.id, study.view, study.sex, study.age) == (
            image_id, truth.view, truth.sex, truth.age,
        )  # fmt: skip
        assert study.spacing_mm == pytest.approx(truth.spacing_mm, abs=1e-5)
        assert np.abs(pixels * 255 - truth.pixels).mean() < 3  # JPEG is lossy


def test_dicoms_are_tagged_as_the_challenge_tags_them(dataset: Settings) -> None:
    paths = sorted((dataset.out / "stage_2_images").glob("*.dcm"))
    files = [pydicom.dcmread(path) for path in paths]
    for data in files:
        assert data.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
        assert data.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
        assert (data.PhotometricInterpretation, data.BitsStored) == ("MONOCHROME2", 8)
        assert data.PatientAge.isdigit()
        for uid in (data.SOPInstanceUID, data.StudyInstanceUID, data.SeriesInstanceUID):
            assert uid.is_valid
    uids = [uid for d in files for uid in (d.SOPInstanceUID, d.StudyInstanceUID)]
    assert len(set(uids)) == len(uids)


def test_the_tables_hold_what_readers_drew_and_the_exact_masks(
    dataset: Settings, drawn: dict[str, Phantom]
) -> None:
    train, truth, exact = (
        pd.read_csv(dataset.out / f"{name}.csv")
        for name in ("stage_2_train", "stage_2_test_truth", "exact_masks")
    )
    codes = pd.concat([train, truth]).groupby("ImageId")["EncodedPixels"].apply(list)
    shape = (dataset.size, dataset.size)
    overlaps = []
    for image_id, code in exact.to_numpy():
        mask = drawn[image_id].mask
        assert np.array_equal(rle.decode(code, shape), mask)
        joined = np.logical_or.reduce([rle.decode(text, shape) for text in codes[image_id]])
        assert joined.any() == mask.any()
        if mask.any():
            overlaps.append(_overlap(joined, mask))
    assert 0.4 < min(overlaps) < 1
    assert list(exact["ImageId"]) == sorted(drawn)
    ill = codes.str[0] != "-1"
    assert [ill[table["ImageId"].unique()].sum() for table in (train, truth)] == [3, 2]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_the_maps_of_the_truth_hold_zones_vessels_and_pleural_air(
    dataset: Settings, drawn: dict[str, Phantom]
) -> None:
    for image_id, truth in drawn.items():
        labels = np.asarray(Image.open(dataset.out / "truth" / f"{image_id}.png"))
        assert np.array_equal(labels & 64 > 0, truth.mask)
        assert np.array_equal(labels & 32 > 0, truth.vessels)
        zone = labels & 31
        assert np.array_equal((zone > 0) & (zone <= 10), truth.right_lung)
        assert np.array_equal(zone > 10, truth.left_lung)


def test_images_may_be_stored_with_air_bright(dataset: Settings, tmp_path: Path) -> None:
    chosen = replace(dataset, out=tmp_path / "inverted", inverted=1.0)
    write_dataset(chosen, jobs=1)
    for path in (dataset.out / "stage_2_images").glob("*.dcm"):
        other = chosen.out / "stage_2_images" / path.name
        assert pydicom.dcmread(other).PhotometricInterpretation == "MONOCHROME1"
        plain, inverted = images.read(path)[1], images.read(other)[1]
        assert np.abs(plain - inverted).max() < 0.05  # JPEG is lossy
    written = json.loads((chosen.out / "parameters.json").read_text())
    assert all(record["inverted"] for record in written)


def test_the_tables_agree_with_one_another(dataset: Settings) -> None:
    out = dataset.out
    train, truth, sample, patients = (
        pd.read_csv(out / f"{name}.csv")
        for name in ("stage_2_train", "stage_2_test_truth", "stage_2_sample_submission", "patients")
    )
    assert train["ImageId"].nunique() == dataset.train
    assert list(sample["ImageId"]) == list(truth["ImageId"].drop_duplicates())
    assert (sample["EncodedPixels"].astype(str) == "-1").all()
    assert len(sample) == dataset.test
    files = {path.stem for path in (out / "stage_2_images").iterdir()}
    assert files == set(patients["ImageId"]) == set(train["ImageId"]) | set(sample["ImageId"])
    owner = patients.set_index("ImageId")["patient"]
    assert owner.index.is_unique
    assert not set(owner[train["ImageId"]]) & set(owner[sample["ImageId"]])
    assert owner.value_counts().max() <= 3


def test_the_parameters_of_every_image_are_written(
    dataset: Settings, drawn: dict[str, Phantom]
) -> None:
    written = json.loads((dataset.out / "parameters.json").read_text())
    assert [record["id"] for record in written] == list(drawn)
    for record in written:
        truth = drawn[record["id"]]
        assert record["patient"]["age"] == truth.age
        assert record["exposure"]["field_mm"] == truth.exposure.field_mm
        assert (record["collapse"] is None) == (truth.collapse is None)
        if truth.collapse is not None:
            assert record["collapse"]["depth"] == truth.collapse.depth


def test_ids_and_patients_are_independent_of_the_label() -> None:
    planned = planned_images(train=900, test=300, positives=0.3, seed=0)
    labels = [image.pneumothorax for image in planned]
    ranks = np.argsort(np.argsort([image.image_id for image in planned]))
    images_of = pd.Series([image.patient for image in planned]).map(
        pd.Series([image.patient for image in planned]).value_counts()
    )
    for known in (ranks, images_of.to_numpy()):
        assert abs(np.corrcoef(known, labels)[0, 1]) < 0.1  # standard error 0.03


def test_bytes_do_not_depend_on_the_number_of_processes(dataset: Settings, tmp_path: Path) -> None:
    again = replace(dataset, out=tmp_path / "again")
    write_dataset(again, jobs=2)
    assert _digests(again.out) == _digests(dataset.out)


def test_a_finished_folder_is_left_alone(dataset: Settings) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.out.rglob("*")}
    write_dataset(dataset)
    assert before == {path: path.stat().st_mtime_ns for path in dataset.out.rglob("*")}


def test_a_folder_made_otherwise_is_refused(dataset: Settings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"made with other settings.*settings.json.*delete it"):
        write_dataset(replace(dataset, seed=6))
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"holds no phantoms .*choose another --out"):
        write_dataset(replace(dataset, out=tmp_path))
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_failed_write_leaves_nothing(
    dataset: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "write_csv", full)
    broken = replace(dataset, out=tmp_path / "set", train=1, test=1)
    with pytest.raises(UserError, match=r"No space left on device.*free some space"):
        write_dataset(broken, jobs=1)
    assert list(tmp_path.iterdir()) == []


def test_an_old_folder_of_a_killed_run_is_removed(dataset: Settings, tmp_path: Path) -> None:
    long_ago = time.time() - 2 * ABANDONED
    for name, changed in (("a", long_ago), ("b", time.time())):
        images_folder = tmp_path / f".set-{name}.partial" / "stage_2_images"
        images_folder.mkdir(parents=True)
        (images_folder / "ID_half.dcm").write_bytes(b"half")
        for path in (images_folder, images_folder.parent):
            os.utime(path, (changed, changed))
    write_dataset(replace(dataset, out=tmp_path / "set", train=1, test=1), jobs=1)
    # The younger folder may belong to a run that still writes.
    assert sorted(path.name for path in tmp_path.iterdir()) == [".set-b.partial", "set"]
    assert len(list((tmp_path / "set" / "stage_2_images").iterdir())) == 2


def _during_the_first_write(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Let a second writer write a whole dataset while the first has its images but no tables."""
    write_tables = write._write_tables

    def after_another_writer(*arguments: Any) -> None:
        monkeypatch.setattr(write, "_write_tables", write_tables)
        write_dataset(settings, jobs=1)
        write_tables(*arguments)

    monkeypatch.setattr(write, "_write_tables", after_another_writer)


def test_a_dataset_that_another_writer_has_finished_meanwhile_is_accepted(
    dataset: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = replace(dataset, out=tmp_path / "set")
    _during_the_first_write(monkeypatch, chosen)
    write_dataset(chosen, jobs=1)
    assert _digests(chosen.out) == _digests(dataset.out)
    assert list(tmp_path.iterdir()) == [chosen.out]


def test_another_dataset_that_appeared_meanwhile_is_kept_and_refused(
    dataset: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = replace(dataset, out=tmp_path / "set", train=1, test=1)
    _during_the_first_write(monkeypatch, replace(chosen, seed=6))
    with pytest.raises(UserError, match="made with other settings"):
        write_dataset(chosen, jobs=1)
    assert json.loads((chosen.out / "settings.json").read_text())["seed"] == 6
    assert list(tmp_path.iterdir()) == [chosen.out]


def test_two_processes_may_write_the_same_dataset_at_the_same_time(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "features.phantom.write", "--out", str(tmp_path / "set")]
    command += ["--train", "3", "--test", "1", "--size", "64"]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], errors
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    alone = Settings(out=tmp_path / "alone", train=3, test=1, size=64)
    write_dataset(alone, jobs=1)
    assert _digests(tmp_path / "set") == _digests(alone.out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positives": 1.5}, "--positives 1.5: a share; give a number from 0 to 1"),
        ({"difficulty": -0.1}, "--difficulty -0.1: a share; give a number from 0 to 1"),
        ({"drained": 2}, "--drained 2: a share; give a number from 0 to 1"),
        ({"train": 0}, "--train 0 --test 4: both sets need"),
        ({"size": 10}, "--size 10: too small"),
        ({"seed": -1}, "--seed -1: a seed is not negative"),
    ],
)
def test_settings_from_which_no_dataset_can_be_made_are_refused(
    dataset: Settings, change: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        main(replace(dataset, **change))  # type: ignore[arg-type]


def test_the_sheet_outlines_the_masks(dataset: Settings, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    main(replace(dataset, sheet=target))
    assert target.stat().st_size > 10_000
    ill, well = (phantom(1, pneumothorax=has, size=128) for has in (True, False))
    page = np.asarray(contact_sheet([ill, well], columns=2, side=160))
    assert page.shape == (160, 320, 3)
    orange = (page == (255, 170, 40)).all(axis=-1)
    assert orange[:140, :160].any()
    assert not orange[:140, 160:].any()
