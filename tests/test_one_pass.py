"""Reading and measuring in one pass gives the files of both stages, from one decoding each."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from features import measure, one_pass
from features.dataset import image_list, layouts, read
from features.families import table as feature_table
from features.measuring import parts
from features.reading import images
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.image_files import write_png

FAMILIES = ("firstorder", "shape", "acquisition")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART_ROWS", 3)


@pytest.fixture
def data(png_dataset) -> Path:
    """The dataset with a damaged training image, a second test image, and weak masks."""
    folder = png_dataset
    damaged = folder / "stage_2_images" / "i4.png"
    damaged.write_bytes(damaged.read_bytes()[:100])
    write_png(folder / "stage_2_images" / "a9.png", 9)
    sample = pd.DataFrame({"ImageId": ["i6", "a9"], "EncodedPixels": "-1"})
    sample.to_csv(folder / "stage_2_sample_submission.csv", index=False)
    weak = pd.DataFrame({"ImageId": ["i6", "a9"], "EncodedPixels": ["100 900", "-1"]})
    weak.to_csv(folder / "weak_masks.csv", index=False)
    return folder


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that are decoded, in order."""
    names, read_image = [], images.read

    def watched(path):
        names.append(Path(path).stem)
        return read_image(path)

    monkeypatch.setattr(images, "read", watched)
    return names


def settings(data: Path, run: Path, **changed: object) -> one_pass.Settings:
    usual = {"folds": 2, "families": FAMILIES, "squares": 32, "jobs": 1}
    return one_pass.Settings(data=data, run=run, **usual | changed)


def files_of(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


def test_the_files_are_those_of_both_stages_and_each_image_is_decoded_once(data, tmp_path, decoded):
    read.main(read.Settings(data, tmp_path / "two", folds=2, jobs=1))
    measure.main(measure.Settings(tmp_path / "two", families=FAMILIES, squares=32, jobs=1))
    decoded.clear()
    one_pass.main(settings(data, tmp_path / "one"))
    assert sorted(decoded) == ["a9", *(f"i{number}" for number in range(8))]
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    # All but the damaged one and the one without a label; test images in the sample's order.
    ids = feature_table.read(RunFolder(tmp_path / "one")).index
    assert ids.tolist() == ["i0", "i1", "i2", "i3", "i5", "i6", "a9"]


def test_cells_alone(data, tmp_path):
    one_pass.main(settings(data, tmp_path / "run", only_cells=True))
    run = RunFolder(tmp_path / "run")
    assert run.cells.exists() and not run.features.exists() and not run.squares(32).exists()


def watch_measuring(monkeypatch) -> list[str]:
    """Ids of the images that are measured, in order."""
    ids, measure_pixels = [], one_pass.measure_pixels

    def watched(study, pixels, choice):
        ids.append(study.id)
        return measure_pixels(study, pixels, choice)

    monkeypatch.setattr(one_pass, "measure_pixels", watched)
    return ids


def outcomes_of(data: Path, settings: one_pass.Settings):
    listed = image_list.read(layouts.find(data))
    return one_pass.outcomes(listed.paths, listed.split().keys(), settings)


def interrupt(data, run, monkeypatch, after: int) -> None:
    """Stop at that many files."""
    with monkeypatch.context() as patched:
        read_image, count = images.read, iter(range(1, after + 1))

        def interrupted(path):
            if next(count) == after:
                raise KeyboardInterrupt
            return read_image(path)

        patched.setattr(images, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            one_pass.main(settings(data, run))


def test_a_killed_pass_goes_on_and_measures_no_image_again(data, tmp_path, monkeypatch):
    one_pass.main(settings(data, tmp_path / "whole"))
    interrupt(data, tmp_path / "killed", monkeypatch, after=6)
    (folder,) = (tmp_path / "killed" / "features.parts").iterdir()
    (folder / ".half-written-1.json").touch()
    measured = watch_measuring(monkeypatch)
    one_pass.main(settings(data, tmp_path / "killed"))
    assert measured == ["i3", "i5", "i6", "a9"]  # a part holds i0 to i2
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_what_is_wrong_with_the_dataset_loses_no_measures(data, tmp_path, monkeypatch):
    good = (data / "stage_2_train.csv").read_text()
    (data / "stage_2_train.csv").write_text(good + "i5,0 5000\n")
    with pytest.raises(UserError, match=r"stage_2_train\.csv: .*i5"):
        one_pass.main(settings(data, tmp_path / "run"))
    assert not (tmp_path / "run" / "dataset.parquet").exists()
    (data / "stage_2_train.csv").write_text(good)
    monkeypatch.setattr(one_pass, "measure_pixels", None)
    one_pass.main(settings(data, tmp_path / "run"))
    assert len(feature_table.read(RunFolder(tmp_path / "run"))) == 7


def test_measuring_takes_what_a_pass_has_measured_before_it_was_killed(data, tmp_path, decoded):
    run = tmp_path / "run"
    read.main(read.Settings(data, run, folds=2, jobs=1))
    passed = settings(data, run)
    list(outcomes_of(data, passed))
    decoded.clear()
    measure.main(measure.Settings(run, families=FAMILIES, squares=32, jobs=1))
    assert decoded == []
    # Measured anew where a file has changed since, and all that are with it in a part.
    list(outcomes_of(data, passed))
    Image.linear_gradient("L").resize((64, 64)).save(data / "stage_2_images" / "i2.png")
    decoded.clear()
    measure.main(measure.Settings(run, families=FAMILIES, squares=32, jobs=1))
    assert decoded == ["i0", "i1", "i2"]


def test_a_row_that_is_taken_out_costs_the_measures_of_its_part_alone(data, tmp_path, monkeypatch):
    csv = data / "stage_2_train.csv"
    table = pd.read_csv(csv)
    with csv.open("a") as file:
        file.write("i5,0 5000\n")
    with pytest.raises(UserError, match="i5"):
        one_pass.main(settings(data, tmp_path / "run"))
    table[table["ImageId"] != "i5"].to_csv(csv, index=False)
    measured = watch_measuring(monkeypatch)
    one_pass.main(settings(data, tmp_path / "run"))
    # All are measured; what i5 was in a part with, i3 and i6, only afterwards once more.
    assert measured == []
    ids = feature_table.read(RunFolder(tmp_path / "run")).index
    assert ids.tolist() == ["i0", "i1", "i2", "i3", "i6", "a9"]


def test_an_image_that_comes_later_is_measured_alone(data, tmp_path, monkeypatch):
    list(outcomes_of(data, settings(data, tmp_path / "run")))
    write_png(data / "stage_2_images" / "i05.png", 5)
    with (data / "stage_2_train.csv").open("a") as file:
        file.write("i05,-1\n")
    measured = watch_measuring(monkeypatch)
    list(outcomes_of(data, settings(data, tmp_path / "run")))
    assert measured == ["i05"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("weak_labels.csv", "ImageId,probability\ni6,90%\n", "must be from 0 to 1"),
        ("weak_masks.csv", "ImageId,EncodedPixels\nnobody,-1\n", "nobody has no image file"),
        ("patients.csv", "ImageId,patient\nnobody,a\n", "nobody has no image file"),
    ],
)
def test_what_needs_no_pixels_is_refused_before_any_image_is_read(
    data, tmp_path, decoded, name, text, message
):
    (data / name).write_text(text)
    with pytest.raises(UserError, match=message):
        one_pass.main(settings(data, tmp_path / "run"))
    with pytest.raises(UserError, match="folds = 1"):
        one_pass.main(settings(data, tmp_path / "run", folds=1))
    assert decoded == []


def test_an_image_with_a_weak_label_alone_is_decoded_once_too(data, tmp_path, decoded):
    (data / "weak_labels.csv").write_text("ImageId,probability\ni7,0.9\n")
    one_pass.main(settings(data, tmp_path / "run"))
    assert decoded.count("i7") == 1
    assert "i7" in feature_table.read(RunFolder(tmp_path / "run")).index


def test_one_reason_that_strikes_many_stops_the_pass_before_all_are_measured(
    tmp_path, png_dataset, monkeypatch, decoded
):
    rows = [(f"b{number:03d}", "-1") for number in range(60)]
    for name, _ in rows:
        (png_dataset / "stage_2_images" / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    csv = png_dataset / "stage_2_train.csv"
    table = pd.concat([pd.read_csv(csv), pd.DataFrame(rows, columns=["ImageId", "EncodedPixels"])])
    table.to_csv(csv, index=False)
    with pytest.raises(UserError, match=r"b000\.png: .*at least 10 of 68 images"):
        one_pass.main(settings(png_dataset, tmp_path / "run"))
    assert len(decoded) == 10


def test_an_unknown_family_is_refused_before_any_image_is_read(data, tmp_path, decoded):
    with pytest.raises(UserError, match="families = wavelet"):
        one_pass.main(settings(data, tmp_path / "run", families=("wavelet",)))
    assert decoded == []
