"""A written tree of implants: whole or absent, its ids, patients and masks true to its sources."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from features.dataset import read
from features.implant import write
from features.implant.draw import implant
from features.implant.sources import without_pneumothorax
from features.implant.write import Settings, generator, main, plan
from features.lungs.fields import segment
from features.lungs.prepared import working_size
from features.phantom import write as phantoms
from features.phantom.dicom import is_phantom
from features.reading import images, rle
from features.run.files import UserError


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of phantoms: five training images, two with pneumothorax, and a test image."""
    out = tmp_path_factory.mktemp("phantoms") / "set"
    settings = phantoms.Settings(out=out, train=5, test=1, seed=2, positives=0.4, size=512)
    phantoms.write_dataset(settings, jobs=1)
    return out


@pytest.fixture(scope="module")
def written(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Four implants in its three negatives."""
    out = tmp_path_factory.mktemp("implants") / "set"
    settings = Settings(data=source, out=out, count=4, seed=1, jobs=1)
    main(settings)
    return settings


def tables(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Codes and patients by id."""
    codes, patients = (
        pd.read_csv(folder / name, dtype=str) for name in ("stage_2_train.csv", "patients.csv")
    )
    return (
        dict(zip(codes["ImageId"], codes["EncodedPixels"], strict=True)),
        dict(zip(patients["ImageId"], patients["patient"], strict=True)),
    )


def negatives(source: Path) -> list[str]:
    return [name for name, code in tables(source)[0].items() if code == "-1"]


def test_ids_name_the_source_and_patients_are_the_sources(written: Settings, source: Path):
    codes, patients = tables(written.out)
    names = negatives(source)
    firsts = [f"{name}-{kind}" for name in names for kind in ("implant", "source")]
    (second,) = set(codes) - set(firsts)
    assert set(firsts) < set(codes)
    assert second.removesuffix("-implant2") in names
    for name, code in codes.items():
        assert (code == "-1") == name.endswith("-source")
        assert patients[name] == tables(source)[1][name.rpartition("-")[0]]


def test_the_tree_is_a_dataset(written: Settings):
    table, quarantine, test = read.build(read.Settings(written.out, written.out, folds=2, jobs=1))
    assert len(table) == 7
    assert table["label"].sum() == 4
    assert quarantine.empty
    assert test.empty


def test_files_hold_the_implant_and_the_source(written: Settings, source: Path):
    name = negatives(source)[0]
    _, before = images.read(source / "stage_2_images" / f"{name}.dcm")
    drawn = implant(before, segment(working_size(before)), generator(1, name, 0))
    folder = written.out / "stage_2_images"
    for kind, expected in (("implant", drawn.pixels), ("source", before)):
        study, pixels = images.read(folder / f"{name}-{kind}.dcm")
        assert 255 * np.abs(pixels - expected).mean() < 2  # JPEG is lossy
        assert study.notes == ()
    code = tables(written.out)[0][f"{name}-implant"]
    assert np.array_equal(rle.decode(code, before.shape), drawn.mask)


def test_files_say_what_they_are(written: Settings, source: Path):
    name = negatives(source)[0]
    of_source = pydicom.dcmread(source / "stage_2_images" / f"{name}.dcm")
    paths = sorted((written.out / "stage_2_images").glob(f"{name}-*.dcm"))
    files = [pydicom.dcmread(path) for path in paths]
    assert files[0].DerivationDescription == "Pneumothorax added by computation"
    for path, data in zip(paths, files, strict=True):
        assert not is_phantom(path)
        assert data.ImageType[0] == "DERIVED"
        for tag in ("PatientSex", "PatientAge", "ViewPosition"):
            assert data.get(tag) == of_source.get(tag)
    assert len({data.SOPInstanceUID for data in files}) == len(files)


def test_the_parameters_are_written(written: Settings):
    drawn = json.loads((written.out / "parameters.json").read_text())
    assert len(drawn) == 4
    for one in drawn:
        assert one["id"].startswith(f"{one['source']}-implant")
        assert one["pixels"] == rle.area(tables(written.out)[0][one["id"]])
        assert 2 <= one["collapse"]["depth"] <= 200


def test_a_finished_folder_stays_and_another_is_not_overwritten(written: Settings):
    times = {path: path.stat().st_mtime_ns for path in written.out.rglob("*")}
    main(written)
    assert times == {path: path.stat().st_mtime_ns for path in written.out.rglob("*")}
    with pytest.raises(UserError, match="holds implants made with other settings"):
        main(replace(written, seed=2))


def test_nothing_is_left_where_it_fails(source: Path, tmp_path: Path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_write_tables", fail)
    with pytest.raises(UserError, match="free some space"):
        main(Settings(data=source, out=tmp_path / "set", count=1, jobs=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"count": -1}, "--count -1"), ({"weak_below": 2.0}, "--weak-below 2.0")],
)
def test_mistakes_are_one_sentence(wrong: dict, message: str, source: Path, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        main(Settings(data=source, out=tmp_path / "set", **wrong))


def test_a_dataset_without_negatives_is_refused(png_dataset: Path, tmp_path: Path):
    train = png_dataset / "stage_2_train.csv"
    table = pd.read_csv(train)
    table[table["EncodedPixels"] != "-1"].to_csv(train, index=False)
    with pytest.raises(UserError, match="all of one class"):
        main(Settings(data=png_dataset, out=tmp_path / "set", jobs=1))


def test_images_without_clear_lungs_are_left_out(png_dataset: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"in none of its 3 images .* clear enough"):
        main(Settings(data=png_dataset, out=tmp_path / "set", jobs=1))


def test_implants_are_spread_evenly():
    table = pd.DataFrame({"id": list("abcde"), "path": list("abcde"), "patient": list("pqrst")})
    assert [planned.count for planned in plan(table, 0)] == [1] * 5
    assert sum(planned.count for planned in plan(table, 13)) == 13
    assert {planned.count for planned in plan(table, 13)} == {2, 3}
    assert len(plan(table, 2)) == 2


def test_random_numbers_depend_on_seed_source_and_number_alone():
    first = generator(0, "a", 0).random()
    assert generator(0, "a", 0).random() == first
    others = [generator(*key).random() for key in ((1, "a", 0), (0, "b", 0), (0, "a", 1))]
    assert first not in others


def test_weak_negatives_count_where_nothing_contradicts():
    table = pd.DataFrame(
        [
            ("true negative", 0.0, None, None, True),
            ("true positive", 1.0, None, None, False),
            ("weak negative", np.nan, 0.05, None, True),
            ("weak negative, empty mask", np.nan, 0.05, "-1", True),
            ("weak negative, mask", np.nan, 0.05, "0 3", False),
            ("doubtful", np.nan, 0.3, "-1", False),
            ("unknown", np.nan, np.nan, None, False),
        ],
        columns=["id", "label", "weak", "weak_mask", "taken"],
    )
    chosen = without_pneumothorax(table, 0.1)
    assert set(chosen["id"]) == set(table["id"][table["taken"]])
    assert set(without_pneumothorax(table, 0.0)["id"]) == {"true negative"}
