"""One pass over the images: features and cells in parts, joined in the order of the dataset."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from features import measure
from features.cells import table as cell_table
from features.cells.measure import shares_of
from features.families import table as feature_table
from features.lungs import fields
from features.measuring import parts
from features.measuring.one_image import Choice, items_of, measure_image
from features.phantom.radiograph import phantom
from features.quality import table as quality_table
from features.reading import images, rle
from features.run.files import UserError
from features.run.folder import RunFolder, measured
from features.squares.store import load_squares, read_square
from tests.helpers.datasets import dataset
from tests.helpers.image_files import write_png

FAMILIES = ("firstorder", "shape", "acquisition", "asymmetry")
IDS = ["b", "a", "d", "c", "e", "f"]
MEASURED = ["b", "a", "c", "e", "f"]


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunFolder:
    """Four images of folds, one without a label, one test image; parts of two images."""
    monkeypatch.setattr(parts, "PART_ROWS", 2)
    monkeypatch.setattr(parts, "PARTS_A_GROUP", 2)
    paths = [str(write_png(tmp_path / f"{name}.png", k)) for k, name in enumerate(IDS)]
    run = RunFolder(tmp_path / "run")
    run.create()
    split = ["train", "train", "unlabelled", "train", "train", "test"]
    masks = ["0 2000", "-1", None, "5 2", "64 1", None]
    folds = [0, 1, None, 0, 1, None]
    run.dataset.write(dataset(IDS, path=paths, split=split, mask=masks, fold=folds))
    return run


def settings(run: RunFolder, **changed: object) -> measure.Settings:
    return measure.Settings(run.root, **{"families": FAMILIES, "jobs": 1} | changed)


def interrupt(run, monkeypatch, after: int = 4, **changed):
    """Measure until that many files have been read, of which the last is not."""
    with monkeypatch.context() as patched:
        read, count = images.read, iter(range(1, after + 1))

        def interrupted(path):
            if next(count) == after:
                raise KeyboardInterrupt
            return read(path)

        patched.setattr(images, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure.main(settings(run, **changed))


def test_rows_are_those_of_each_image_in_the_order_of_the_dataset(run):
    measure.main(settings(run))
    rows = run.dataset.read().set_index("id")
    features = feature_table.read(run)
    index, values = cell_table.read(run)
    assert features.index.tolist() == MEASURED
    assert index["id"].cat.categories.tolist() == MEASURED
    assert index["id"].drop_duplicates().tolist() == MEASURED
    for item, name in zip(items_of(rows.loc[MEASURED]), MEASURED, strict=True):
        alone = measure_image(item, Choice(FAMILIES))
        expected = np.array(list(alone.features.values()), np.float32)
        np.testing.assert_array_equal(features.loc[name], expected)
        assert features.columns.tolist() == list(alone.features)
        cells = (index["id"] == name).to_numpy()
        np.testing.assert_array_equal(values[cells], alone.cells.values.astype(np.float16))
        np.testing.assert_array_equal(index["row"][cells], alone.cells.rows)
        mask = rows["mask"][name]
        if mask is not pd.NA:
            covered = rle.decode(mask, item.size)
            expected = shares_of(covered, alone.cells.rows, alone.cells.columns)
            np.testing.assert_array_equal(index["share"][cells], expected)
        assert index["share"][cells].isna().all() == (name == "f")
    assert index["share"][(index["id"] == "b").to_numpy()].max() > 0
    assert not run.parts.exists()


def test_each_file_is_decoded_once_and_its_lungs_are_found_once(run, monkeypatch):
    """For the network's squares, too."""
    calls = []
    read, segment = images.read, fields.segment
    monkeypatch.setattr(images, "read", lambda path: calls.append("read") or read(path))
    monkeypatch.setattr(
        "features.lungs.prepared.segment", lambda image: calls.append("lungs") or segment(image)
    )
    measure.main(settings(run, squares=32))
    load_squares(run, 32)
    assert calls == ["read", "lungs"] * len(MEASURED)


def test_squares_are_kept_in_the_order_of_the_dataset(run):
    measure.main(settings(run, squares=32))
    squares = load_squares(run, 32)
    rows = run.dataset.read().set_index("id").loc[MEASURED]
    assert squares.ids.tolist() == MEASURED
    items = zip(rows["path"], zip(rows["rows"], rows["columns"], strict=True), strict=True)
    np.testing.assert_array_equal(squares.pixels, [read_square(item, 32) for item in items])
    measure.main(settings(run, squares=0))
    assert run.squares(32).exists() and not run.squares(0).exists()


def test_an_image_of_another_size_than_the_dataset_has_is_refused(run, tmp_path):
    Image.linear_gradient("L").resize((96, 128)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: has 128x96 pixels, but had .* put the former"):
        measure.main(settings(run))


def test_noise_is_flagged_and_told_and_set_aside_where_it_is_strict(run, capsys):
    measure.main(settings(run))
    plain, features = run.quality.read(), run.features.path.read_bytes()
    assert plain["id"].tolist() == MEASURED and plain["flagged"].all() and not plain["aside"].any()
    assert "5 of 5 images may be no frontal chest X-ray" in capsys.readouterr().out
    assert measured(run.images())["id"].tolist() == MEASURED and run.set_aside() == frozenset()
    measure.main(settings(run, strict=True))
    assert "set aside" in capsys.readouterr().out
    # What is measured is the same; nothing is learned from them, and the test image stays.
    pd.testing.assert_frame_equal(run.quality.read(), plain.assign(aside=1))
    assert run.features.path.read_bytes() == features
    assert run.set_aside() == run.flagged() == frozenset(MEASURED)
    assert run.images()["fold"].isna().all() and measured(run.images())["id"].tolist() == ["f"]
    assert run.dataset.read()["fold"].notna().sum() == 4


def test_chests_are_not_flagged(tmp_path, capsys):
    paths = []
    for seed in (40, 41):
        paths.append(str(tmp_path / f"{seed}.png"))
        Image.fromarray(phantom(seed, size=256).pixels).save(paths[-1])
    run = RunFolder(tmp_path / "run").create()
    run.dataset.write(dataset(["a", "b"], path=paths, fold=[0, 1], rows=256, columns=256))
    measure.main(settings(run, strict=True))
    assert "0 of 2 images may be no frontal chest X-ray" in capsys.readouterr().out
    pd.testing.assert_frame_equal(run.images(), run.dataset.read())


def test_cells_alone_are_the_same_and_write_no_features(run, capsys):
    measure.main(settings(run))
    index, values = cell_table.read(run)
    values = values[:].copy()
    run.features.path.unlink()
    capsys.readouterr()
    measure.main(settings(run, only_cells=True))
    assert not run.features.exists()
    assert "features" not in capsys.readouterr().out
    again, same = cell_table.read(run)
    pd.testing.assert_frame_equal(again, index)
    np.testing.assert_array_equal(same[:], values)


def test_a_killed_run_goes_on_with_the_part_it_was_at(run, monkeypatch):
    measure.main(settings(run))
    features, cells = run.features.path.read_bytes(), run.cell_values.read_bytes()
    interrupt(run, monkeypatch)
    assert len(list(run.parts.glob("*/features-*.parquet"))) == 1
    # The first part is kept; the second, of which one image was measured, is measured again.
    paths, read = [], images.read
    monkeypatch.setattr(images, "read", lambda path: paths.append(path) or read(path))
    measure.main(settings(run))
    assert len(paths) == 3
    assert run.features.path.read_bytes() == features
    assert run.cell_values.read_bytes() == cells


@pytest.mark.parametrize("change", ["image", "families", "squares"])
def test_parts_of_other_images_or_settings_are_not_used(run, monkeypatch, change):
    interrupt(run, monkeypatch, squares=32)
    changed: dict[str, object] = {"squares": 32}
    if change == "image":
        os.utime(run.dataset.read()["path"][0], (1, 1))
    elif change == "squares":
        changed = {"squares": 64}
    else:
        changed |= {"families": ("firstorder",)}
    paths, read = [], images.read
    monkeypatch.setattr(images, "read", lambda path: paths.append(path) or read(path))
    measure.main(settings(run, **changed))
    assert len(paths) == len(MEASURED)


def test_parts_are_good_for_other_masks_and_folds(run, monkeypatch):
    interrupt(run, monkeypatch)
    rows = run.dataset.read()
    rows.loc[0, ["mask", "fold"]] = ["-1", 1]
    run.dataset.write(rows)
    paths, read = [], images.read
    monkeypatch.setattr(images, "read", lambda path: paths.append(path) or read(path))
    measure.main(settings(run))
    assert len(paths) == len(MEASURED) - 2
    index, _ = cell_table.read(run)
    assert (index["share"][index["id"] == "b"] == 0).all()  # by the mask that it has now


def test_a_part_with_an_image_that_is_no_longer_wanted_is_not_used(run, monkeypatch):
    measure.main(settings(run))
    interrupt(run, monkeypatch)
    rows = run.dataset.read()
    run.dataset.write(rows[rows["id"] != "b"])
    measure.main(settings(run))
    assert feature_table.read(run).index.tolist() == [name for name in MEASURED if name != "b"]


@pytest.mark.parametrize(
    ("spans", "count", "expected"),
    [
        ([], 5, [(0, 2), (2, 4), (4, 5)]),
        ([(0, 2), (3, 5)], 5, [(2, 3)]),
        ([(1, 4)], 7, [(0, 1), (4, 6), (6, 7)]),
        ([(0, 3)], 3, []),
        ([], 0, []),
    ],
)
def test_gaps_are_what_no_part_covers(monkeypatch, spans, count, expected):
    monkeypatch.setattr(parts, "PART_ROWS", 2)
    assert list(parts.gaps(spans, count)) == expected


def test_what_fails_midway_is_not_taken_for_finished(run, monkeypatch):
    """make asks for the features, and settings that are taken back must not find the old ones."""

    def broken(*arguments: object) -> None:
        raise OSError("the disk is full")

    measure.main(settings(run))
    monkeypatch.setattr(quality_table, "join", broken)
    with pytest.raises(OSError, match="the disk is full"):
        measure.main(settings(run, strict=True))
    assert not run.features.path.exists()


def test_no_image_to_measure(run):
    rows = run.dataset.read()
    run.dataset.write(rows[rows["split"] == "unlabelled"])
    with pytest.raises(UserError, match=r"dataset\.parquet: no image to measure; .*quarantine"):
        measure.main(settings(run))


def test_unknown_family_or_folder(run, tmp_path):
    with pytest.raises(UserError, match="families = wavelet"):
        measure.main(settings(run, families=("wavelet",)))
    with pytest.raises(UserError, match="no such run folder; run `make dataset` first"):
        measure.main(measure.Settings(tmp_path / "none"))
