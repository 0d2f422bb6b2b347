"""Each layout, made here, against the images and masks that it was made of; and what is refused."""

import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from features.dataset import layouts, read
from features.dataset.read import Settings
from features.measuring.one_image import Choice, items_of, measure_image
from features.reading import images, rle
from features.run import files
from features.run.files import UserError
from features.storage import listing
from tests.helpers import layout_files
from tests.helpers.image_files import write_dicom, write_png


@pytest.fixture(scope="module")
def given() -> layout_files.Images:
    return layout_files.images()


def build(folder, tmp_path):
    table, quarantine, test = read.build(Settings(folder, tmp_path / "run", folds=2, jobs=1))
    return table.set_index("id", drop=False), quarantine, list(test)


def zipped(make, inside=""):
    return lambda folder, given: layout_files.packed(make(folder, given), inside)


def images_zipped(folder, given):
    layout_files.stage_2(folder, given)
    layout_files.packed(folder / "stage_2_images")
    return folder


def zip_in_a_folder(folder, given):
    packed = layout_files.packed(layout_files.stage_2(folder / "x", given), "top/")
    return packed.parent


LAYOUTS = {
    "stage 2": layout_files.stage_2,
    "stage 1": layout_files.stage_1,
    "masks": layout_files.masks,
    "codes": layout_files.codes,
    "zip of stage 2": zipped(layout_files.stage_2),
    "zip of stage 1 in a folder": zipped(layout_files.stage_1, "siim-acr/"),
    "zip of masks": zipped(layout_files.masks),
    "stage_2_images.zip": images_zipped,
    "a zip in the folder": zip_in_a_folder,
}


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
def test_images_and_masks_are_those_it_was_made_of(tmp_path, given, make):
    folder = make(tmp_path / "data", given)
    rows, quarantine, test = build(folder, tmp_path)
    assert quarantine.empty and test == given.test
    assert set(rows["id"]) == set(given.pixels)
    assert list(rows.loc[given.test, "split"]) == ["test", "test"]
    assert rows.loc[given.test, ["mask", "label", "fold"]].isna().all(axis=None)
    for name, mask in given.masks.items():
        assert rows.loc[name, "split"] == "train"
        np.testing.assert_array_equal(rle.decode(rows.loc[name, "mask"], mask.shape), mask)
        assert rows.loc[name, "label"] == mask.any()
    for name, pixels in given.pixels.items():
        # The table's path is all that later stages have.
        study, read = images.read(rows.loc[name, "path"])
        assert study.id == name
        np.testing.assert_allclose(read, pixels / 255, atol=1e-6)


def test_chest_xray14(tmp_path, given, capsys):
    rows, _, test = build(layout_files.chest_xray14(tmp_path / "data", given), tmp_path)
    assert test == given.test and rows.loc[test, ["mask", "label", "fold"]].isna().all(axis=None)
    train = rows.loc[list(given.masks)]
    assert list(train["label"]) == [float(mask.any()) for mask in given.masks.values()]
    # Of a positive image no outline is known; a negative one's is empty.
    assert list(train["mask"].isna()) == [bool(label) for label in train["label"]]
    assert set(train["mask"].dropna()) == {rle.EMPTY}
    assert list(train["patient"]) == ["i0", "i1", "1", "1", "2", "2"]  # "0" is a placeholder
    assert list(train["age"][:2]) == [40, 41] and set(train["sex"]) == {"F"}
    assert list(train["view"][:2]) == ["PA", "AP"]
    assert "1 of its 9 images are not here" in capsys.readouterr().err


def test_a_plain_folder_can_only_be_predicted(tmp_path, given, capsys):
    folder = tmp_path / "data"
    layout_files.png(folder / "a", dict(list(given.pixels.items())[:4]))
    layout_files.png(folder / "b", dict(list(given.pixels.items())[4:]), ending="")
    (folder / "README.txt").write_text("ID,what\n")
    (folder / "list.csv").write_text("name,value\ni0,3\n")
    for name in (".DS_Store", "Thumbs.db", "._i0.png"):
        (folder / name).write_bytes(b"\0\0\0\1Bud1" + bytes(600))
    rows, quarantine, test = build(folder, tmp_path)
    assert quarantine.empty and test == sorted(given.pixels)
    assert set(rows["split"]) == {"test"}
    assert rows[["label", "fold", "mask"]].isna().all(axis=None)
    assert "a plain folder of images" in capsys.readouterr().err


def test_images_and_codes_may_lie_in_one_folder(tmp_path, given):
    folder = tmp_path / "data"
    layout_files.png(folder, given.pixels)
    given.codes().to_csv(folder / "train.csv", index=False)
    given.sample().to_csv(folder / "sample_submission.csv", index=False)
    rows, _, test = build(folder, tmp_path)
    assert test == given.test and rows.loc["i1", "label"] == 1


@pytest.mark.parametrize(
    ("name", "levels"), [("1.png", (0, 1)), ("255.png", (0, 255)), ("x.jpg", (2, 250))]
)
def test_masks_of_other_levels(tmp_path, given, name, levels):
    folder = layout_files.masks(tmp_path / "data", given)
    for image_id, mask in given.masks.items():
        drawn = np.where(mask, levels[1], levels[0]).astype(np.uint8)
        (folder / "png_masks" / f"{image_id}.png").unlink()
        picture = Image.fromarray(drawn)
        picture.save(folder / "png_masks" / f"{image_id}_mask.{name.split('.')[1]}")
    rows = build(folder, tmp_path)[0]
    for image_id, mask in given.masks.items():
        read = rle.decode(rows.loc[image_id, "mask"], mask.shape)
        # JPEG shifts an edge now and then.
        assert (read != mask).sum() <= (0.05 * mask.sum() if name == "x.jpg" else 0)


def test_weak_masks_and_odd_names_beside_the_data_confuse_nothing(tmp_path, given):
    folder = layout_files.stage_2(tmp_path / "data", given)
    for name in ("weak_masks.csv", "stage_2_train (1).csv", "a:b.csv", "$x & 'y' [z].csv"):
        given.codes().to_csv(folder / name, index=False)
    assert layouts.find(folder).train_csv == folder / "stage_2_train.csv"


@pytest.mark.parametrize(
    "odd", ["it's", 'a "b"', "[x]", "$HOME", "a&b", "a:b", "ä ö", "(1)", "x;y"]
)
def test_odd_names_of_the_folder(tmp_path, given, odd):
    folder = layout_files.stage_2(tmp_path / odd, given)
    rows = build(folder, tmp_path)[0]
    assert images.read(rows["path"].iloc[0])[0].id == rows["id"].iloc[0]
    packed = layout_files.packed(folder)
    rows = build(packed, tmp_path)[0]
    assert images.read(rows["path"].iloc[0])[0].id == rows["id"].iloc[0]


def _both_stages(folder, given):
    layout_files.stage_2(folder, given)
    layout_files.stage_1(folder, given)


def _two_mask_folders(folder, given):
    layout_files.masks(folder, given)
    layout_files.png(folder / "masks", given.pixels)


def _masks_and_codes(folder, given):
    layout_files.masks(folder, given)
    given.codes().to_csv(folder / "train.csv", index=False)


def _two_tables(folder, given):
    layout_files.chest_xray14(folder, given)
    (folder / "Data_Entry_2017.csv").write_text("Image Index,Finding Labels\n")


def _no_pictures_of_nih(folder, given):
    folder.mkdir()
    (folder / "Data_Entry_2017.csv").write_text("Image Index,Finding Labels\n")


def _mask_of_another_size(folder, given):
    layout_files.masks(folder, given)
    Image.fromarray(np.zeros((99, 99), np.uint8)).save(folder / "png_masks" / "i0.png")


def _mask_without_an_image(folder, given):
    layout_files.masks(folder, given)
    write_png(folder / "png_masks" / "other.png")


def _text_as_a_mask(folder, given):
    layout_files.masks(folder, given)
    (folder / "png_masks" / "i0.png").write_text("no picture")


def _nothing(folder, given):
    folder.mkdir()
    (folder / "notes.txt").write_text("no image")


def _codes_without_images(folder, given):
    folder.mkdir()
    given.codes().to_csv(folder / "stage_2_train.csv", index=False)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_both_stages, r"layout of stage 2 \(stage_2_train.csv\) and that of stage 1"),
        (_two_mask_folders, "masks and png_masks are both folders of masks"),
        (_masks_and_codes, r"png_masks and train\.csv are both annotations"),
        (_two_tables, "are both tables of ChestX-ray14"),
        (_no_pictures_of_nih, "whose pictures lie in images_001/images"),
        (_mask_of_another_size, r"i0\.png: a mask of 99x99 pixels, but its image has 64x64"),
        (_mask_without_an_image, r"png_masks: other has no image file"),
        (_text_as_a_mask, r"i0\.png: no PNG, JPEG or TIFF picture"),
        (_nothing, "neither stage_2_train.csv nor train-rle.csv is in it, and no image; give"),
        (_codes_without_images, "stage_2_images: no such folder; the stage 2 layout"),
    ],
)
def test_what_cannot_be_told_is_one_sentence(tmp_path, given, make, sentence):
    make(tmp_path / "data", given)
    with pytest.raises(UserError, match=sentence) as refusal:
        build(tmp_path / "data", tmp_path)
    assert "\n" not in str(refusal.value)


def test_later_stages_read_members_of_a_zip(tmp_path, given):
    """The features of a picture are those of the same picture in a DICOM file, exactly."""
    chest = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8)
    chest[30:90, 20:50] //= 3
    chest[30:90, 70:100] //= 3
    (tmp_path / "d").mkdir()
    plain = write_dicom(tmp_path / "d" / "a.dcm", chest)
    layout_files.png(tmp_path / "e", {"a": chest})
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(plain, "in/a.dcm")
        file.write(tmp_path / "e" / "a.png", "in/b.png")
    paths = [plain, tmp_path / "x.zip::" / "in" / "a.dcm", tmp_path / "x.zip::" / "in" / "b.png"]
    rows = pd.DataFrame(
        {"path": map(str, paths), "mask": None, "weak_mask": None, "rows": 128, "columns": 128}
    )
    first, *others = (
        measure_image(item, Choice(("firstorder", "glcm"))) for item in items_of(rows)
    )
    for other in others:
        assert other.features == first.features
        np.testing.assert_array_equal(other.cells.values, first.cells.values)
    stamps = files.stamps(rows["path"])
    assert stamps[1] == stamps[2] == (tmp_path / "x.zip").stat().st_mtime_ns


def test_folders_and_zips_stand_for_their_images(tmp_path, given):
    single = write_png(tmp_path / "single.png")
    layout_files.png(tmp_path / "a" / "b", {"x": given.pixels["i0"]})
    layout_files.png(tmp_path / "c", {"y": given.pixels["i1"]}, ending="")
    packed = layout_files.packed(tmp_path / "c")
    found = listing.expanded([single, tmp_path / "a", packed, tmp_path / "missing.png"])
    assert found == [
        single,
        tmp_path / "a" / "b" / "x.png",
        tmp_path / "c.zip::" / "y",
        tmp_path / "missing.png",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no DICOM, PNG, JPEG or TIFF image in it"):
        listing.expanded([tmp_path / "empty"])
