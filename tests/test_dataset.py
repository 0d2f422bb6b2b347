"""A dataset folder to a checked table: both layouts, unions, patients, weak labels, mistakes."""

import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import write_png

from features import dataset, folds, layouts, rle
from features.dataset import Settings
from features.files import UserError


def build(folder, tmp_path, k=2):
    return dataset.build(Settings(folder, tmp_path / "run", folds=k, jobs=1))


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
    assert np.isnan(rows.loc["i7", "label"]) and rows.loc["i7", "fold"] == -1
    assert rows.loc["i6", "fold"] == -1
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
        (lambda f: (f / "stage_2_sample_submission.csv").unlink(), "tells its test images by it"),
        (lambda f: _append(f, "stage_2_train.csv", "i7,9223372036854775807 5"), "larger than any"),
        (_wrong_columns, r"stage_2_train\.csv: no column 'ImageId'"),
        (lambda f: (f / "stage_2_images" / "i2.png").unlink(), "i2 has no image"),
        (lambda f: (f / "stage_2_images" / "i6.png").unlink(), r"sample_submission\.csv: i6"),
        (lambda f: _append(f, "stage_2_train.csv", "i3,9999 3"), "i3.*(both|beyond)"),
        (lambda f: _append(f, "stage_2_train.csv", "i7,5000 3"), "i7.*beyond"),
        (lambda f: _append(f, "stage_2_train.csv", "i3,1 3"), "i3 has both"),
        (lambda f: _append(f, "stage_2_train.csv", "i6,-1"), "i6 is a test image"),
        (lambda f: _append(f, "stage_2_sample_submission.csv", "i6,-1"), "i6 stands twice"),
        (lambda f: write_png(f / "stage_2_images" / "more" / "i1.png"), "id 'i1' is also"),
        (lambda f: _append(f, "weak_labels.csv", "ImageId,probability\ni6,1.5"), "from 0 to 1"),
        (lambda f: _append(f, "weak_labels.csv", "ImageId,probability\ni6,high"), "from 0 to 1"),
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
        dataset.main(Settings(png_dataset, tmp_path / "run", folds=2, jobs=1))
    truth.write_text("ImageId,EncodedPixels\ni0,0 3\ni6,1 2\n")
    dataset.main(Settings(png_dataset, tmp_path / "run", folds=2, jobs=1))
    assert list(pd.read_parquet(tmp_path / "run" / "truth.parquet")["id"]) == ["i6"]


def test_more_folds_than_patients(png_dataset, tmp_path):
    with pytest.raises(UserError, match="folds = 20"):
        build(png_dataset, tmp_path, k=20)


def test_folds_keep_patients_together_and_strata_even():
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 120, 600).astype(str).astype(object)
    strata = (rng.random(600) < 0.3).astype(np.int64)
    assigned = folds.assign(strata, patients, 5, seed=1)
    assert pd.Series(assigned).groupby(patients).nunique().max() == 1
    shares = pd.Series(strata).groupby(assigned).mean()
    assert shares.max() - shares.min() < 0.05
    np.testing.assert_array_equal(assigned, folds.assign(strata, patients, 5, seed=1))


def test_siim_mini(shared_data, tmp_path):
    layout = layouts.find(shared_data / "siim-mini")
    ids = layouts.image_paths(layout.train_images)
    assert len(ids) == 1247
    masks = layouts.read_annotations(layout.train_csv, dict.fromkeys(ids, (1024, 1024)))
    assert len(masks) == 147
    assert sum(code != rle.EMPTY for code in masks.values()) == 52
