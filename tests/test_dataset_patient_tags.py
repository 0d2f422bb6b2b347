"""Which patient ids of the files join images: no placeholder, and none of several persons."""

from pathlib import Path

import numpy as np
import pytest

from features.dataset import patient_tags, read
from features.dataset.read import Settings
from features.reading.study import Study
from tests.helpers import layout_files
from tests.helpers.image_files import write_dicom


def study(name, patient, age=None, sex=None):
    return Study(name, Path(name), 64, 64, age=age, sex=sex, patient=patient)


@pytest.mark.parametrize(
    "key",
    [
        "ANON",
        "ANONYMOUS",
        "Anonymized",
        "anonymised",
        "UNKNOWN",
        "N/A",
        "NA",
        "n.a.",
        "NONE",
        "none",
        "0",
        "000000",
        "XXXX",
        "xx",
        "TEST",
        "DUMMY",
        "DEIDENTIFIED",
        "DE-IDENTIFIED",
        "-",
        "--",
        "?",
        "Anon^Anon",
        "anonymous patient",
        "NULL",
        "99999",
        "TEST_TEST",
    ],
)
def test_placeholders(key):
    assert patient_tags.is_placeholder(key)


@pytest.mark.parametrize(
    "key",
    [
        "1",
        "7",
        "00013",
        "ANON0001",
        "P0",
        "TEST1",
        "12345678",
        "NATALIE",
        "a1b2",
        "N1",
        "NONE2",
        "X1",
        "ID_0",
        "Müller",
    ],
)
def test_ids(key):
    assert not patient_tags.is_placeholder(key)


def test_one_id_of_several_persons_joins_nobody():
    studies = [
        study("a", "P1", 30, "F"), study("b", "P1", 31, "F"), study("c", "P1"),
        study("d", "P2", 30, "F"), study("e", "P2", 30, "M"),
        study("f", "P3", 4), study("g", "P3", 45),
        study("h", "UNKNOWN"), study("i", None), study("j", "P4", 20), study("k", "P4", 60),
    ]  # fmt: skip
    keys, notes = patient_tags.usable(studies, {})
    assert keys == {**dict.fromkeys("abc", "P1"), **dict.fromkeys("jk", "P4")}
    assert len(notes) == 1
    for words in ("join nobody: 3, of 5 images", "'P2' of 2 images", "1 a placeholder", "40 years"):
        assert words in notes[0]
    assert patient_tags.usable(studies[:3], {}) == (dict.fromkeys("abc", "P1"), [])


def test_the_list_wins_where_it_speaks():
    studies = [study(name, "P1") for name in "abcd"]
    # It parts a and b; c and d, of which it says nothing, stay together.
    keys, notes = patient_tags.usable(studies, {"a": "A", "b": "B"})
    assert keys == {"c": "P1", "d": "P1"} and "parted by patients.csv" in notes[0]
    assert patient_tags.usable(studies, {"a": "A", "b": "A"})[0] == dict.fromkeys("abcd", "P1")


def test_a_dataset_with_placeholders(tmp_path, capsys):
    given = layout_files.images()
    folder = layout_files.stage_2(tmp_path / "data", given)
    tags = {"i0": "ANON", "i1": "ANON", "i2": "ANON", "i3": "P", "i4": "P", "i5": "ANON"}
    for name, tag in tags.items():
        path = folder / "stage_2_images" / f"{name}.dcm"
        write_dicom(path, given.pixels[name], PatientID=tag)
    (folder / "patients.csv").write_text("ImageId,patient\ni0,Q\ni1.dcm,Q\n")
    table = read.build(Settings(folder, tmp_path / "run", folds=2, jobs=1))[0]
    groups = dict(zip(table["id"], table["patient"], strict=True))
    assert groups["i0"] == groups["i1"] == "Q" and groups["i3"] == groups["i4"] == "P"
    assert len({groups[name] for name in ("i1", "i2", "i3", "i5", "i6")}) == 5
    assert "join nobody: 1, of 4 images" in capsys.readouterr().err


def test_a_real_dataset_with_placeholders(shared_data, tmp_path):
    folder = shared_data / "field" / "anon_half"
    table = read.build(Settings(folder, tmp_path / "run", folds=2, jobs=1))[0]
    assert table["patient"].is_unique and len(table) == 15
    assert set(table.loc[table["fold"].notna(), "fold"]) == {0, 1}
    assert np.isin(table["patient"], table["id"]).all()
