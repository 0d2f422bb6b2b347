"""A dataset folder to a checked table: both layouts, unions, patients, weak labels, mistakes."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import layouts, patients, read
from features.dataset.read import Settings
from features.reading import images, rle
from features.run.files import UserError
from features.run.folder import RunFolder
from features.storage import listing
from tests.helpers.image_files import write_dicom, write_png


def build(folder, tmp_path, k=2):
    return read.build(Settings(folder, tmp_path / "run", folds=k, jobs=1))


def test_stage_2(png_dataset, tmp_path):
    table, quarantine, test = build(png_dataset, tmp_path)
    rows = table.set_index("id")
    assert list(rows.loc[["i0", "i3", "i6", "i7"], "split"]) == [
        "train",
        "train",
        "test",
        "unlabelled",
    ]
    assert rows.loc["i0", "mask"] == "0 5"  # the union of two overlapping rows
    assert list(rows.loc[[f"i{n}" for n in range(6)], "label"]) == [1, 1, 1, 0, 0, 0]
    assert np.isnan(rows.loc["i7", "label"]) and pd.isna(rows.loc["i7", "fold"])
    assert pd.isna(rows.loc["i6", "fold"])
    assert set(rows.loc[rows["split"] == "train", "fold"]) == {0, 1}
    assert quarantine.empty and list(test) == ["i6"]


def test_stage_1_with_its_spaces(tmp_path):
    folder = tmp_path / "data"
    for number in range(4):
        write_png(folder / "dicom-images-train" / f"s{number}" / "x" / f"i{number}.png", number)
    write_png(folder / "dicom-images-train" / "s9" / "x" / "orphan.png", 9)
    write_png(folder / "dicom-images-test" / "s5" / "x" / "t.png", 5)
    lines = ["ImageId, EncodedPixels", "i0, -1", "i1, 3 4", "i2, -1", "i3, 3 4", "i3, 5 4"]
    (folder / "train-rle.csv").write_text("\n".join(lines) + "\n")
    table, _, test = build(folder, tmp_path)
    rows = table.set_index("id")
    assert list(rows.loc[["i0", "i1", "i3"], "label"]) == [0, 1, 1]
    assert rows.loc["i3", "mask"] == "3 6"
    assert rows.loc["orphan", "split"] == "unlabelled"
    assert list(test) == ["t"] and rows.loc["t", "split"] == "test"


def test_patients_and_weak_labels(png_dataset, tmp_path):
    ids = [f"i{n}" for n in range(7)]
    names = ["a", "a", "b", "b", "c", "c", "a"]
    pd.DataFrame({"ImageId": ids, "patient": names}).to_csv(
        png_dataset / "patients.csv", index=False
    )
    weak = pd.DataFrame({"ImageId": ["i6", "i0"], "probability": [0.8, 0.1]})
    weak.to_csv(png_dataset / "weak_labels.csv", index=False)
    rows = build(png_dataset, tmp_path)[0].set_index("id")
    assert rows.loc["i6", "weak"] == 0.8 and np.isnan(rows.loc["i6", "label"])
    assert np.isnan(rows.loc["i0", "weak"])  # the truth wins
    # A weakly labelled test image takes part in the folds, together with its patient.
    assert rows.loc["i6", "fold"] == rows.loc["i0", "fold"] == rows.loc["i1", "fold"]


def test_weak_masks_are_weak_labels_too_and_the_truth_wins(png_dataset, tmp_path):
    _append(png_dataset, "weak_masks.csv", "ImageId,EncodedPixels\ni0,-1\ni6,0 3\ni6,2 4\ni7,-1")
    rows = build(png_dataset, tmp_path)[0].set_index("id")
    assert rows.loc["i6", "weak_mask"] == "0 6" and rows.loc["i6", "weak"] == 1
    assert rows.loc["i7", "weak_mask"] == "-1" and rows.loc["i7", "weak"] == 0
    assert rows.loc[["i0", "i1"], "weak_mask"].isna().all()
    assert rows.loc[["i0", "i1"], "weak"].isna().all()
    _append(png_dataset, "weak_labels.csv", "ImageId,probability\ni6,0.3")
    rows = build(png_dataset, tmp_path)[0].set_index("id")
    assert rows.loc["i6", "weak"] == 0.3 and rows.loc["i6", "weak_mask"] == "0 6"


def test_images_that_share_a_patient_in_any_list_are_one_group(png_dataset, tmp_path):
    # Sex and age part i0 from i3, which are of the same patient; i5 is in the second list alone.
    groups = {"i0": "M60", "i1": "M60", "i2": "F30", "i3": "M61", "i4": "F31"}
    lines = "".join(f"{name},{key}\n" for name, key in groups.items())
    (png_dataset / "patients.csv").write_text(f"ImageId,patient\n{lines}")
    published = tmp_path / "nih.csv.gz"
    names = {"i0": "00000013_001.png", "i3": "00000013_040.png", "i5": "00000014_000.png"}
    pd.DataFrame(
        {"Kaggle_ID": [*names, "elsewhere"], "NIH_ID": [*names.values(), "00000014_001.png"]}
    ).to_csv(published, index=False)
    settings = Settings(png_dataset, tmp_path / "run", folds=2, patients=(published,), jobs=1)
    rows = read.build(settings)[0].set_index("id")
    assert dict(rows["patient"].loc["i0":"i6"]) == {
        "i0": "M60", "i1": "M60", "i3": "M60", "i2": "F30", "i4": "F31", "i5": "00000014",
        "i6": "i6",
    }  # fmt: skip
    assert len(set(rows.loc[["i0", "i1", "i3"], "fold"])) == 1


@given(
    st.lists(
        st.dictionaries(st.integers(0, 9), st.integers(0, 5)).map(
            lambda keys: {f"i{name}": f"p{key}" for name, key in keys.items()}
        ),
        max_size=3,
    )
)
def test_groups_are_what_following_every_shared_key_reaches(lists):
    groups = patients.groups([f"i{n}" for n in range(10)], lists)

    def reach(name):
        reached, fresh = set(), {name}
        while fresh:
            reached |= fresh
            fresh = {
                other
                for keys in lists
                for member in reached & set(keys)
                for other, key in keys.items()
                if key == keys[member]
            } - reached
        return reached

    assert set(groups) == set().union(*lists)
    for name in groups:
        first = next(keys for keys in lists if reach(name) & set(keys))
        key = min(first[other] for other in reach(name) & set(first))
        assert groups[name].split(" (")[0] == key
        assert {other for other in groups if groups[other] == groups[name]} == reach(name)


def test_a_list_that_knows_some_images_does_not_part_what_their_tags_join(png_dataset, tmp_path):
    """Of two images with the same tag, the list names the first, by another key than the tag."""
    for name, tag in {"i0": "A", "i1": "A", "i2": "B", "i3": "B"}.items():
        (png_dataset / "stage_2_images" / f"{name}.png").unlink()
        pixels = np.random.default_rng(0).integers(0, 255, (64, 64))
        write_dicom(png_dataset / "stage_2_images" / f"{name}.dcm", pixels, PatientID=tag)
    (png_dataset / "patients.csv").write_text("ImageId,patient\ni0,P0\ni2,B\ni4,i5\n")
    settings = Settings(png_dataset, tmp_path / "run", folds=2, jobs=1)
    rows = read.build(settings)[0].set_index("id")
    groups = dict(rows["patient"].loc["i0":"i5"])
    # "B" of the list and "B" of the tags share the image i2; "i5" of the list is not image i5.
    assert groups == {"i0": "P0", "i1": "P0", "i2": "B", "i3": "B", "i4": "i5", "i5": "i5 (2)"}
    assert rows.loc["i0", "fold"] == rows.loc["i1", "fold"]


def test_linked_images_keep_the_names_of_the_links(png_dataset, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    for number, path in enumerate(sorted((png_dataset / "stage_2_images").glob("*.png"))):
        path.rename(store / str(number))
        path.symlink_to(store / str(number))
    rows = read.build(Settings(png_dataset, tmp_path / "run", folds=2, jobs=1))[0]
    assert all(Path(path).suffix == ".png" for path in rows["path"])
    assert images.read(rows["path"][0])[0].rows == rows["rows"][0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ImageId,patient\ni0,a\ni0,b\n", "i0 stands in it twice"),
        ("ImageId,patient\ni0,\n", "i0 has an empty patient"),
        ("ImageId,patient\nx,a\n", "names none of the 8 images"),
        ("image,patient\ni0,a\n", "must be 'ImageId,patient' or 'Kaggle_ID,NIH_ID'"),
    ],
)
def test_a_wrong_list_of_patients_is_refused(png_dataset, tmp_path, text, message):
    path = tmp_path / "more.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"more\.csv: .*{message}"):
        read.build(Settings(png_dataset, tmp_path / "run", folds=2, patients=(path,), jobs=1))


def test_unreadable_images_are_set_aside(png_dataset, tmp_path):
    (png_dataset / "stage_2_images" / "i3.png").write_bytes(b"\x89PNG nothing")
    table, quarantine, _ = build(png_dataset, tmp_path)
    assert "i3" not in set(table["id"])
    assert list(quarantine["id"]) == ["i3"] and "i3.png" in quarantine["reason"].iloc[0]


def _no_folder(folder):
    shutil.rmtree(folder)


def _no_images(folder):
    shutil.rmtree(folder / "stage_2_images")
    (folder / "stage_2_images").mkdir()


def _no_csv(folder):
    (folder / "stage_2_train.csv").unlink()


def _wrong_columns(folder):
    (folder / "stage_2_train.csv").write_text("Image,Pixels\ni0,-1\n")


def _all_negative(folder):
    lines = ["ImageId,EncodedPixels", *(f"i{n},-1" for n in range(6))]
    (folder / "stage_2_train.csv").write_text("\n".join(lines) + "\n")


def _append(folder, name, line):
    with (folder / name).open("a") as file:
        file.write(line + "\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_folder, "no such folder"),
        (_no_images, "no image"),
        (_no_csv, r"neither stage_2_train\.csv nor"),
        (_all_negative, "all of one class"),
        (lambda f: (f / "stage_2_sample_submission.csv").unlink(), "names its test images in it"),
        (lambda f: _append(f, "stage_2_train.csv", "i7,9223372036854775807 5"), "larger than any"),
        (_wrong_columns, r"stage_2_train\.csv: no column 'ImageId'"),
        (lambda f: (f / "stage_2_images" / "i2.png").unlink(), "i2 has no image"),
        (lambda f: (f / "stage_2_images" / "i6.png").unlink(), r"sample_submission\.csv: i6"),
        (lambda f: _append(f, "stage_2_train.csv", "i3,9999 3"), "i3.*(both|beyond)"),
        (lambda f: _append(f, "stage_2_train.csv", "i7,5000 3"), "i7.*beyond"),
        (lambda f: _append(f, "stage_2_train.csv", "i3,1 3"), "i3 has both"),
        (lambda f: _append(f, "stage_2_train.csv", "i6,-1"), "i6 is a test image"),
        (lambda f: _append(f, "stage_2_sample_submission.csv", "i6,-1"), "i6 stands in it twice"),
        (lambda f: write_png(f / "stage_2_images" / "more" / "i1.png"), "id 'i1' is also"),
        (lambda f: _append(f, "weak_labels.csv", "ImageId,probability\ni6,1.5"), "from 0 to 1"),
        (lambda f: _append(f, "weak_labels.csv", "ImageId,probability\ni6,high"), "from 0 to 1"),
        (lambda f: _append(f, "weak_masks.csv", "ImageId,EncodedPixels\nx,-1"), "x has no image"),
        (
            lambda f: _append(f, "weak_masks.csv", "ImageId,EncodedPixels\ni6,1"),
            r"masks\.csv: .*i6",
        ),
        (lambda f: _append(f, "patients.csv", "ImageId,patient\nnobody,p"), "nobody has no image"),
    ],
)
def test_mistakes_end_in_a_sentence(png_dataset, tmp_path, spoil, message):
    spoil(png_dataset)
    with pytest.raises(UserError, match=message):
        build(png_dataset, tmp_path)


def test_an_id_in_both_folders_of_stage_1(tmp_path):
    folder = tmp_path / "data"
    for part in ("train", "test"):
        write_png(folder / f"dicom-images-{part}" / "i0.png")
    (folder / "train-rle.csv").write_text("ImageId, EncodedPixels\ni0, -1\n")
    with pytest.raises(UserError, match="either for training or for testing"):
        build(folder, tmp_path)


def test_a_truth_of_other_images_is_refused(png_dataset, tmp_path):
    truth = png_dataset / "stage_2_test_truth.csv"
    truth.write_text("ImageId,EncodedPixels\ni0,0 3\n")
    with pytest.raises(UserError, match="none of its images is a test image"):
        read.main(Settings(png_dataset, tmp_path / "run", folds=2, jobs=1))
    truth.write_text("ImageId,EncodedPixels\ni0,0 3\ni6,1 2\n")
    read.main(Settings(png_dataset, tmp_path / "run", folds=2, jobs=1))
    run = RunFolder(tmp_path / "run").check()
    assert list(run.truth.read()["id"]) == ["i6"]
    # A truth of an earlier dataset goes.
    truth.unlink()
    read.main(Settings(png_dataset, tmp_path / "run", folds=2, jobs=1))
    assert not run.truth.exists()


def test_the_stage_writes_a_run_folder(png_dataset, tmp_path):
    read.main(Settings(png_dataset, tmp_path / "run", folds=2, jobs=1))
    run = RunFolder(tmp_path / "run").check()
    table, quarantine, test = build(png_dataset, tmp_path)
    pd.testing.assert_frame_equal(run.dataset.read(), table)
    fold = run.dataset.read().set_index("id")["fold"]
    assert fold.dtype == "Int64" and list(fold[fold.isna()].index) == ["i6", "i7"]
    assert run.quarantine.read().empty and quarantine.empty
    assert list(run.sample.read()["ImageId"]) == list(test) == ["i6"]
    assert list(run.sample.read()["EncodedPixels"]) == [rle.EMPTY]


def test_more_folds_than_patients(png_dataset, tmp_path):
    with pytest.raises(UserError, match="folds = 20"):
        build(png_dataset, tmp_path, k=20)


def test_siim_mini(shared_data, tmp_path):
    layout = layouts.find(shared_data / "siim-mini")
    ids = listing.image_paths(layout.train_images)
    assert len(ids) == 1467
    masks = layouts.read_annotations(layout.train_csv, dict.fromkeys(ids, (1024, 1024)))
    assert len(masks) == 147
    assert sum(code != rle.EMPTY for code in masks.values()) == 52
