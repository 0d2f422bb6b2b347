"""Bad bytes set one image aside; a fault of ours or of the machine ends the run."""

import errno
import re

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from features.dataset import quarantine, read
from features.reading import dicom_image, dicom_tags, dicom_view, images, picture, pixel_data
from features.run.files import UserError
from features.storage import unreadable
from tests.helpers.image_files import write_dicom, write_jpeg_dicom, write_png


@pytest.fixture
def ramp() -> np.ndarray:
    return np.add.outer(np.arange(64), 2 * np.arange(80))


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.6, 0.97])
def test_a_truncated_dicom_is_refused(tmp_path, ramp, share):
    path = write_jpeg_dicom(tmp_path / "a.dcm", ramp)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(unreadable.UnreadableImage, match=r"a\.dcm"):
        images.read(path)


def test_a_damaged_header_is_refused_or_read_never_a_crash(tmp_path, ramp):
    content = write_jpeg_dicom(tmp_path / "a.dcm", ramp, PatientSex="F").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(132, 700, 3):
            damaged[place] = rng.integers(256)
        (tmp_path / "b.dcm").write_bytes(damaged)
        try:
            images.read(tmp_path / "b.dcm")
        except unreadable.UnreadableImage as error:
            assert "b.dcm" in str(error)
            refused += 1
    assert refused > 20


def test_a_truncated_png_is_refused(tmp_path, ramp):
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(unreadable.UnreadableImage, match=r"a\.png.*damaged"):
        images.read(tmp_path / "a.png")


def test_what_pillow_raises_on_bad_bytes_is_a_sentence(tmp_path, ramp, monkeypatch):
    path = tmp_path / "a.png"
    text = PngInfo()
    text.add_text("note", "x" * 2**21, zip=True)  # more than Pillow unpacks
    Image.fromarray(ramp.astype(np.uint8)).save(path, pnginfo=text)
    with pytest.raises(unreadable.UnreadableImage, match=r"a\.png: .*damaged"):
        images.read(path)
    Image.fromarray(ramp.astype(np.uint8)).save(path)
    assert images.read(path)[1].shape == ramp.shape
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", ramp.size // 3)
    with pytest.raises(unreadable.UnreadableImage, match=r"a\.png: .*damaged"):
        images.read(path)


def read_all(paths):
    """Read and set aside."""
    return quarantine.set_aside(paths, quarantine.outcomes(paths, jobs=1))


def raising(error: BaseException):
    """A function that takes anything and raises."""

    def function(*arguments, **options):
        raise error

    return function


class PanicException(BaseException):
    """What a decoder written in Rust raises, which no module exports."""


PanicException.__module__ = "pyo3_runtime"


@pytest.mark.parametrize(
    "error",
    [NameError("a bug"), AttributeError("a bug"), TypeError("a bug"), MemoryError("no room")],
    ids=["NameError", "AttributeError", "TypeError", "MemoryError"],
)
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (dicom_view, "_check_orientation"),
        (dicom_image, "to_unit"),
        (dicom_image, "_padding"),
        (dicom_tags, "age_in_years"),
        (picture, "check_size"),
        (picture, "to_unit"),
    ],
)
def test_a_bug_of_ours_is_no_damage(tmp_path, ramp, monkeypatch, module, name, error):
    paths = (
        write_png(tmp_path / "a.png")
        if module is picture
        else write_dicom(tmp_path / "a.dcm", ramp)
    )
    monkeypatch.setattr(module, name, raising(error))
    with pytest.raises(type(error), match=str(error)):
        read_all({"a": paths})


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no room"),
        KeyboardInterrupt("stop"),
        NameError("a bug"),
        SystemExit("x"),
        OSError(errno.EMFILE, "Too many open files"),
    ],
    ids=["MemoryError", "KeyboardInterrupt", "NameError", "SystemExit", "EMFILE"],
)
def test_what_no_bytes_can_cause_comes_through_a_library(tmp_path, ramp, monkeypatch, error):
    path = write_dicom(tmp_path / "a.dcm", ramp)
    for module, name in ((pydicom, "dcmread"), (pixel_data, "pixel_array")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, raising(error))
            with pytest.raises(type(error), match=re.escape(str(error))):
                images.read(path)
    monkeypatch.setattr(Image, "open", raising(error))
    with pytest.raises(type(error), match=re.escape(str(error))):
        images.read(write_png(tmp_path / "a.png"))


@pytest.mark.parametrize("error", [MemoryError("no room"), NameError("a bug")])
def test_what_a_decoder_meets_comes_through_pydicom_too(tmp_path, ramp, monkeypatch, error):
    path = write_jpeg_dicom(tmp_path / "a.dcm", ramp)
    monkeypatch.setattr(Image, "open", raising(error))
    with pytest.raises(type(error), match=str(error)):
        images.read(path)
    monkeypatch.setattr(Image, "open", raising(ValueError("an odd chunk")))
    with pytest.raises(unreadable.UnreadableImage, match=r"its JPEG cannot be decoded"):
        images.read(path)


def test_a_panic_of_a_decoder_is_damage(tmp_path, ramp, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", ramp)
    monkeypatch.setattr(pixel_data, "pixel_array", raising(PanicException("out of bounds")))
    with pytest.raises(unreadable.UnreadableImage, match=r"a\.dcm: .* cannot be decoded") as stop:
        images.read(path)
    assert "out of bounds" not in str(stop.value)  # the decoder's own words


def test_a_damaged_run_length_stream_is_refused(shared_data, tmp_path):
    data = pydicom.dcmread(shared_data / "radiographs" / "RG3_RLE.dcm")
    data.PatientOrientation = ""
    data.save_as(tmp_path / "a.dcm")
    content = bytearray((tmp_path / "a.dcm").read_bytes())
    refused = 0
    rng = np.random.default_rng(0)
    for _ in range(8):
        damaged = content.copy()
        for place in rng.integers(len(content) - 1_900_000, len(content), 50):
            damaged[place] = 255 - damaged[place]
        (tmp_path / "b.dcm").write_bytes(damaged)
        try:
            images.read(tmp_path / "b.dcm")
        except unreadable.UnreadableImage as error:
            assert "run-length coded pixels" in str(error)
            refused += 1
    assert refused


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((64, 80, 2), np.uint8), "an array of 64x80x2, but the header says 64x80"),
        (np.zeros((80, 64), np.uint8), "an array of 80x64, but the header says 64x80"),
    ],
)
def test_pixels_are_a_picture_of_the_announced_size(tmp_path, ramp, monkeypatch, pixels, message):
    path = write_dicom(tmp_path / "a.dcm", ramp)
    monkeypatch.setattr(pixel_data, "pixel_array", lambda *_, **__: pixels)
    with pytest.raises(unreadable.UnreadableImage, match=message):
        images.read(path)


@pytest.mark.parametrize("slope", ["1e300", "nan", "-inf"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_pixels_are_finite(tmp_path, ramp, slope):
    path = write_dicom(tmp_path / "a.dcm", ramp, RescaleSlope="2.5", RescaleIntercept="0")
    content = path.read_bytes()
    place = content.index(b"2.5 ")
    # One value of another length: the tag's length stands in the two bytes before it.
    value = slope.encode().ljust(len(slope) + len(slope) % 2)
    head = content[: place - 2] + len(value).to_bytes(2, "little")
    path.write_bytes(head + value + content[place + 4 :])
    with pytest.raises(unreadable.UnreadableImage, match=r"a\.dcm: .*(not finite|decoded)"):
        images.read(path)


@pytest.mark.parametrize("value", [b"US", b"ZZ"])
def test_a_size_that_cannot_be_parsed_is_damage(tmp_path, ramp, value):
    path = write_dicom(tmp_path / "a.dcm", ramp)
    content = path.read_bytes()
    rows = b"\x28\x00\x10\x00US\x02\x00"
    assert rows in content
    broken = b"\x28\x00\x10\x00" + value + b"\x01\x00"
    path.write_bytes(content.replace(rows, broken))
    with pytest.raises(unreadable.UnreadableImage, match=r"a\.dcm"):
        images.read(path)


def spoil(folder, count: int) -> dict[str, object]:
    """40 images, of which the first ones are cut short after the same bytes."""
    paths = {f"i{n}": write_png(folder / f"i{n}.png", n) for n in range(40)}
    for path in list(paths.values())[:count]:
        path.write_bytes(path.read_bytes()[:60])
    return paths


def test_few_damaged_images_are_set_aside(tmp_path):
    studies, table = read_all(spoil(tmp_path, 9))
    assert len(studies) == 31 and list(table["id"]) == [f"i{n}" for n in range(9)]
    assert all(f"i{n}.png: " in reason for n, reason in enumerate(table["reason"]))


def test_one_reason_that_strikes_more_than_a_tenth_stops_the_stage(tmp_path):
    with pytest.raises(
        UserError, match=r"i0\.png: .*; the same holds for at least 10 of 40 images"
    ) as stop:
        read_all(spoil(tmp_path, 10))
    assert "repair them, or remove the files" in str(stop.value)


def test_different_reasons_do_not_add_up(tmp_path):
    paths = spoil(tmp_path, 8)
    for path in list(paths.values())[8:16]:
        Image.new("L", (30, 30)).save(path)
    assert len(read_all(paths)[1]) == 16


def test_the_stage_stops_at_the_image_that_is_one_too_many(tmp_path):
    paths = spoil(tmp_path, 40)
    read = []

    def outcomes():
        for number, outcome in enumerate(quarantine.outcomes(paths, jobs=1)):
            read.append(number)
            yield outcome

    with pytest.raises(UserError, match="the same holds for at least 10 of 40 images"):
        quarantine.set_aside(paths, outcomes())
    assert len(read) == 10


def test_a_stage_that_stops_lets_its_reader_end(png_dataset, tmp_path):
    """Or its progress bar would be drawn over the sentence."""
    ended = []
    for number in range(8, 14):
        write_png(png_dataset / "stage_2_images" / f"i{number}.png", number)

    def reader(paths, wanted):
        try:
            for path in paths.values():
                yield f"{path}: damaged."
        finally:
            ended.append(True)

    settings = read.Settings(png_dataset, tmp_path / "run", folds=2, jobs=1)
    with pytest.raises(UserError, match="at least 10 of 14 images") as stop:
        read.build(settings, reader)
    assert ended == [True] and stop.traceback  # which would keep the reader alive


def test_a_tenth_of_many_images_is_more_than_ten(tmp_path):
    sentence = "{}: the PNG is damaged (x)."
    paths = {f"i{n}": tmp_path / f"i{n}.png" for n in range(201)}
    study = images.read(write_png(tmp_path / "good.png"))[0]

    def outcomes(count: int):
        reasons = [sentence.format(path) for path in list(paths.values())[:count]]
        return reasons + [study] * (len(paths) - count)

    assert len(quarantine.set_aside(paths, outcomes(20))[1]) == 20
    with pytest.raises(UserError, match="the same holds for at least 21 of 201 images"):
        quarantine.set_aside(paths, outcomes(21))


def test_no_image_that_can_be_read(png_dataset, tmp_path):
    for path in (png_dataset / "stage_2_images").iterdir():
        path.write_text("nothing")
    settings = read.Settings(png_dataset, tmp_path / "run", folds=2, jobs=1)
    with pytest.raises(UserError, match=r"none of the 8 images can be read; the first: .*i0\.png"):
        read.build(settings)


def test_a_fault_of_a_worker_ends_the_stage(png_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "to_unit", raising(AttributeError("a bug")))
    settings = read.Settings(png_dataset, tmp_path / "run", folds=2, jobs=1)
    with pytest.raises(AttributeError, match="a bug"):
        read.main(settings)
    assert not (tmp_path / "run" / "quarantine.csv").exists()


def test_a_damaged_image_is_set_aside_by_the_stage(png_dataset, tmp_path):
    path = png_dataset / "stage_2_images" / "i3.png"
    path.write_bytes(path.read_bytes()[:100])
    read.main(read.Settings(png_dataset, tmp_path / "run", folds=2, jobs=1))
    table = pd.read_csv(tmp_path / "run" / "quarantine.csv")
    assert list(table["id"]) == ["i3"] and "i3.png: " in table["reason"].iloc[0]


def test_damaged_files_from_the_field(shared_data):
    paths = sorted((shared_data / "field" / "damaged").glob("*.dcm"))
    read = set()
    for path in paths:
        try:
            study, pixels = images.read(path)
        except unreadable.UnreadableImage as error:
            assert path.name in str(error)
        else:
            assert pixels.shape == (study.rows, study.columns) and np.isfinite(pixels).all()
            read.add(path.stem)
    assert len(read) < len(paths)
    assert not read & {
        "rle-panic-rows-191",
        "rows-halved",
        "sixteen-bit-said-to-be-8",
        "slope-1-intercept-1e308",
        "slope-nan-intercept",
        "two-frames-NumberOfFrames-1",
    }
