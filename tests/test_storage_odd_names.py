"""Odd entries of a dataset folder and odd ids: passed over with a word, refused, or kept."""

import os

import pytest

from features.dataset import layouts, read
from features.dataset.read import Settings
from features.reading import images
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers import layout_files
from tests.helpers.image_files import write_dicom


@pytest.fixture(scope="module")
def given() -> layout_files.Images:
    return layout_files.images()


def build(folder, tmp_path):
    table, quarantine, test = read.build(Settings(folder, tmp_path / "run", folds=2, jobs=1))
    return table.set_index("id", drop=False), quarantine, list(test)


@pytest.mark.parametrize("special", ["pipe", "device", "socket", "nowhere", "itself"])
def test_special_files_are_never_opened(tmp_path, given, capsys, special):
    folder = layout_files.stage_2(tmp_path / "data", given)
    path = folder / "stage_2_images" / "odd.dcm"

    def make(path):
        path.unlink(missing_ok=True)
        if special == "pipe":
            os.mkfifo(path)
        elif special == "socket":
            os.mknod(path, 0o140644)
        else:
            path.symlink_to({"device": "/dev/zero", "itself": path.name}.get(special, "nowhere"))

    make(path)
    rows, quarantine, _ = build(folder, tmp_path)
    assert "odd" not in rows.index and quarantine.empty
    assert "note: " in (told := capsys.readouterr().err) and "odd.dcm" in told
    # One that a csv names is set aside with the reason.
    make(folder / "stage_2_images" / "i6.dcm")
    rows, quarantine, test = build(folder, tmp_path)
    assert list(quarantine["id"]) == ["i6"] and test == given.test


def test_a_loop_of_links_ends_and_linked_folders_are_read(tmp_path, given, capsys):
    folder = layout_files.stage_2(tmp_path / "data", given)
    (folder / "stage_2_images").rename(tmp_path / "store")
    (folder / "stage_2_images").mkdir()
    (folder / "stage_2_images" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "up").symlink_to(folder / "stage_2_images")
    rows = build(folder, tmp_path)[0]
    assert set(rows["id"]) == set(given.pixels)
    assert "up: a link to a folder that is listed already" in capsys.readouterr().err


def test_a_name_that_is_not_utf8_is_told(tmp_path, given, capsys):
    folder = layout_files.stage_2(tmp_path / "data", given)
    odd = os.fsencode(folder / "stage_2_images") + b"/caf\xe9.dcm"
    os.link(folder / "stage_2_images" / "i0.dcm", odd)
    assert "caf" not in "".join(build(folder, tmp_path)[0].index)
    assert r"caf\udce9.dcm: its name is not UTF-8" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"caf\\udce9\.dcm: its name is not UTF-8"):
        images.read(os.fsdecode(odd))
    folder.rename(tmp_path / os.fsdecode(b"d\xe9"))
    with pytest.raises(UserError, match="the folder's name is not UTF-8"):
        layouts.find(tmp_path / os.fsdecode(b"d\xe9"))


ODD_IDS = ["../../up", "=cmd|x", "<script>alert(1)</script>", "a\nb", "x" * 300, "a/b", "\x1b[31m"]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_odd_id_of_a_csv_is_refused_in_one_line(tmp_path, given, odd):
    folder = layout_files.stage_2(tmp_path / "data", given)
    table = given.sample()
    table.loc[0, "ImageId"] = odd
    table.to_csv(folder / "stage_2_sample_submission.csv", index=False)
    with pytest.raises(UserError, match=r"has no image file \(1 such ids\)") as refusal:
        build(folder, tmp_path)
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 400 + len(str(folder))


def test_odd_ids_that_are_names_of_files_are_kept_as_they_are(tmp_path, given):
    folder = layout_files.stage_2(tmp_path / "data", given)
    odd = {"i6": "=1+2", "i7": "<b>&"}
    for name, other in odd.items():
        (folder / "stage_2_images" / f"{name}.dcm").rename(folder / f"stage_2_images/{other}.dcm")
    table = given.sample().replace(odd)
    table.to_csv(folder / "stage_2_sample_submission.csv", index=False)
    settings = Settings(folder, tmp_path / "run", folds=2, jobs=1)
    read.main(settings)
    run = RunFolder(tmp_path / "run")
    assert list(run.sample.read()["ImageId"]) == list(odd.values())
    assert set(odd.values()) < set(run.dataset.read()["id"])
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("dataset.parquet", "format.json", "quarantine.csv", "sample.csv")
    }


def test_ids_that_differ_by_case_alone_are_two_images(tmp_path, given):
    folder = layout_files.stage_2(tmp_path / "data", given)
    write_dicom(folder / "stage_2_images" / "I0.dcm", given.pixels["i5"])
    rows = build(folder, tmp_path)[0]
    assert rows.loc["I0", "split"] == "unlabelled" and rows.loc["i0", "split"] == "train"


def test_the_sample_keeps_its_endings(tmp_path, given):
    folder = layout_files.stage_2(tmp_path / "data", given)
    table = given.sample()
    table["ImageId"] += ".dcm"
    table.to_csv(folder / "stage_2_sample_submission.csv", index=False)
    read.main(Settings(folder, tmp_path / "run", folds=2, jobs=1))
    run = RunFolder(tmp_path / "run")
    assert list(run.sample.read()["ImageId"]) == ["i6.dcm", "i7.dcm"]
    assert {"i6", "i7"} < set(run.dataset.read()["id"])
