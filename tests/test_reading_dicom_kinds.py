"""Odd kinds of DICOM files, made here and from the field: read alike, or refused in a sentence."""

import csv
import io
import os
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from features.dataset import file_masks
from features.reading import images, rle, square_pixels
from features.reading.placement import Placement
from features.storage.unreadable import LARGEST_FILE, UnreadableImage
from tests.helpers.image_files import dicom_dataset, write_dicom, write_jpeg_dicom

# Values that the standard does not allow, and pydicom warns of as they are written here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Invalid value for VR:UserWarning", "ignore:The value length:UserWarning"
)


@pytest.fixture
def picture() -> np.ndarray:
    """A smooth 8-bit picture of many greys, (96, 80)."""
    rows, columns = np.mgrid[:96, :80]
    return np.rint(20 + 1.5 * rows + 0.8 * columns + 10 * np.sin(columns / 9)).astype(np.uint8)


def correlation(path, picture) -> float:
    """Between what is read of a file, and the picture."""
    return float(np.corrcoef(images.read(path)[1].ravel(), picture.ravel())[0, 1])


def item(descriptor, data) -> Sequence:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", descriptor)
    table.add_new("LUTData", "OW", data)
    return Sequence([table])


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_modality_table_of_any_depth(tmp_path, picture, bits):
    falling = np.linspace(2**bits - 1, 0, 256).astype("<u2").tobytes()
    tags = {"ModalityLUTSequence": item([256, 0, bits], falling)}
    path = write_dicom(tmp_path / "a.dcm", picture.astype(int), bits=12, **tags)
    assert correlation(path, picture) < -0.99


def test_an_empty_transform_is_none(tmp_path, picture):
    plain = images.read(write_dicom(tmp_path / "a.dcm", picture, bits=12))[1]
    for tags in (
        {"ModalityLUTSequence": item(None, b"")},
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": "0"},
    ):
        again = images.read(write_dicom(tmp_path / "b.dcm", picture, bits=12, **tags))[1]
        np.testing.assert_array_equal(again, plain)


def test_a_decimal_comma(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture, bits=12, RescaleSlope="-9.5")
    path.write_bytes(path.read_bytes().replace(b"-9.5", b"-9,5"))
    assert correlation(path, picture) < -0.99


def test_a_falling_voi_table_inverts(tmp_path, picture):
    tags = {"VOILUTSequence": item([256, 0, 8], np.arange(255, -1, -1, "<i2").tobytes())}
    assert correlation(write_dicom(tmp_path / "a.dcm", picture, **tags), 255 - picture) > 0.98


def test_a_sigmoid_is_applied_and_a_linear_window_is_not(tmp_path, picture):
    levels = picture.astype(int) * 16
    window = {"WindowCenter": "2000", "WindowWidth": "600"}
    plain = images.read(write_dicom(tmp_path / "a.dcm", levels, bits=12))[1]
    linear = images.read(write_dicom(tmp_path / "b.dcm", levels, bits=12, **window))[1]
    np.testing.assert_array_equal(linear, plain)
    path = write_dicom(tmp_path / "c.dcm", levels, bits=12, VOILUTFunction="SIGMOID", **window)
    assert correlation(path, 1 / (1 + np.exp(-4 * (levels - 2000) / 600))) > 0.99


@pytest.mark.parametrize("really", [True, False])
def test_left_aligned_values(tmp_path, picture, really):
    levels = picture.astype(int) * 16 + 7
    dataset = dicom_dataset(picture, 12, "1.2.840.10008.1.2.1", {"HighBit": 15})
    dataset.PixelData = (levels << 4 if really else levels).astype("<u2").tobytes()
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert correlation(tmp_path / "a.dcm", picture) > 0.99


def jpeg(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def write_compressed(path, data, picture, syntax=JPEGBaseline8Bit, bits=8, **tags):
    dataset = dicom_dataset(picture, bits, syntax, tags)
    dataset.PixelData = encapsulate(data)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_an_8_bit_jpeg_tagged_12_bits(tmp_path, picture):
    path = write_compressed(tmp_path / "a.dcm", [jpeg(picture)], picture, bits=12)
    assert np.abs(images.read(path)[1] * 255 - picture).max() < 8


@pytest.mark.parametrize("colour", ["RGB", "YBR_FULL", "YBR_FULL_422"])
def test_grey_in_colours(tmp_path, picture, colour):
    three = np.repeat(picture[..., None], 3, axis=-1)
    path = tmp_path / "a.dcm"
    if colour == "RGB":
        dataset = dicom_dataset(
            picture,
            8,
            "1.2.840.10008.1.2.1",
            {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0},
        )
        dataset.PixelData = three.tobytes()
        dataset.save_as(path, enforce_file_format=True)
    else:
        tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": colour}
        write_compressed(path, [jpeg(three)], picture, PlanarConfiguration=0, **tags)
    assert correlation(path, picture) > 0.999


def test_colours_are_refused(tmp_path, picture):
    dataset = dicom_dataset(
        picture,
        8,
        "1.2.840.10008.1.2.1",
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0},
    )
    dataset.PixelData = np.stack((picture, picture // 2, picture // 3), -1).tobytes()
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(UnreadableImage, match="a colour image"):
        images.read(tmp_path / "a.dcm")


def test_a_grey_palette(tmp_path, picture):
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue"):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = (np.arange(256) * 257).astype("<u2").tobytes()
    assert correlation(write_dicom(tmp_path / "a.dcm", picture, **tags), picture) > 0.999


def test_float_pixels(tmp_path, picture):
    dataset = dicom_dataset(picture, 16, "1.2.840.10008.1.2.1", {"BitsAllocated": 32})
    for keyword in ("BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, keyword)
    dataset.FloatPixelData = (picture / 7).astype("<f4").tobytes()
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert correlation(tmp_path / "a.dcm", picture) > 0.98
    dataset.FloatPixelData = np.full(picture.shape, np.nan, "<f4").tobytes()
    dataset.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    with pytest.raises(UnreadableImage, match="not finite"):
        images.read(tmp_path / "b.dcm")


@pytest.mark.parametrize("tag", ["SamplesPerPixel", "PhotometricInterpretation", "BitsStored"])
def test_a_missing_tag_has_a_usual_value(tmp_path, picture, tag):
    path = write_dicom(tmp_path / "a.dcm", picture)
    dataset = pydicom.dcmread(path)
    delattr(dataset, tag)
    dataset.save_as(path)
    np.testing.assert_allclose(images.read(path)[1] * 255, picture, atol=1e-4)


def test_pixels_without_a_closing_delimiter(tmp_path, picture):
    path = write_jpeg_dicom(tmp_path / "a.dcm", picture)
    whole = images.read(path)[1]
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    np.testing.assert_array_equal(images.read(path)[1], whole)
    path.write_bytes(content[:-300])
    with pytest.raises(UnreadableImage, match=r"pixel data end after [\d,]+ of [\d,]+ bytes"):
        images.read(path)


def test_native_pixels_cut_short_or_of_two_frames(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UnreadableImage, match=r"end after 6,680 of 7,680 bytes"):
        images.read(path)
    dataset = pydicom.dcmread(write_dicom(path, picture))
    dataset.Rows = 64
    dataset.PixelData = bytes(64 * 80 * 2)
    dataset.save_as(path)
    with pytest.raises(UnreadableImage, match=r"have 10,240 bytes, but one frame .* 5,120"):
        images.read(path)


def test_half_a_jpeg_scan_is_told(tmp_path, picture):
    rng = np.random.default_rng(0)
    noise = np.clip(picture + rng.integers(-15, 15, picture.shape), 0, 255).astype(np.uint8)
    stream = jpeg(noise)
    cut = stream[: len(stream) * 6 // 10] + b"\xff\xd9"
    path = write_compressed(tmp_path / "a.dcm", [cut], picture)
    with pytest.raises(UnreadableImage, match=r"its JPEG ends in row \d+ of 96"):
        images.read(path)


def packed(plane: np.ndarray) -> bytes:
    """Run-length code of bytes, in literal runs alone."""
    data, out = plane.tobytes(), b""
    for start in range(0, len(data), 128):
        part = data[start : start + 128]
        out += bytes([len(part) - 1]) + part
    return out + b"\0" * (len(out) % 2)


def rle_frame(*planes: np.ndarray) -> bytes:
    segments, offsets = [packed(plane) for plane in planes], [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    header = np.array([len(planes), *offsets, *[0] * (15 - len(planes))], "<u4").tobytes()
    return header + b"".join(segments)


def test_run_length_coded_pixels_are_decoded_within_their_size(tmp_path, picture):
    deep = picture.astype(np.uint16) * 13
    frame = rle_frame((deep >> 8).astype(np.uint8), (deep & 255).astype(np.uint8))
    path = write_compressed(tmp_path / "a.dcm", [frame], picture, RLELossless, bits=12)
    assert correlation(path, picture) > 0.98
    with pytest.raises(UnreadableImage, match="run-length coded pixels have 2 segments"):
        images.read(write_compressed(tmp_path / "b.dcm", [frame], picture, RLELossless))
    short = rle_frame(picture[:-9])
    with pytest.raises(UnreadableImage, match=r"segment 1 .* has 6,960 bytes, .* 7,680"):
        images.read(write_compressed(tmp_path / "c.dcm", [short], picture, RLELossless))


@pytest.mark.parametrize("level", [0, 7, 255])
def test_blank_pictures_and_texts_are_refused(tmp_path, level):
    pixels = np.full((96, 96), level)
    with pytest.raises(UnreadableImage, match="blank"):
        images.read(write_dicom(tmp_path / "a.dcm", pixels))
    pixels[30:40, ::3] = 255 - level
    with pytest.raises(UnreadableImage, match="one or two greys"):
        images.read(write_dicom(tmp_path / "a.dcm", pixels))


@pytest.mark.parametrize(
    "tags",
    [{"PixelSpacing": [0.2, 0.1]}, {"ImagerPixelSpacing": [2, 1]}, {"PixelAspectRatio": [2, 1]}],
)
def test_oblong_pixels_are_made_square(tmp_path, picture, tags):
    study, pixels = images.read(write_dicom(tmp_path / "a.dcm", picture, **tags))
    assert pixels.shape == (study.rows, study.columns) == (192, 80)
    assert study.place == Placement.whole((96, 80), (192, 80))
    plain = images.read(write_dicom(tmp_path / "b.dcm", picture))[1]
    np.testing.assert_allclose(pixels.reshape(96, 2, 80).mean(axis=1), plain, atol=0.02)


def test_masks_come_back_to_the_file_as_they_were():
    rng = np.random.default_rng(0)
    for shape, size in (((40, 30), (53, 30)), ((40, 30), (40, 119)), ((40, 30), (40, 30))):
        mask = rng.random(shape) < 0.3
        there = square_pixels.resample_mask(mask, size)
        assert there.shape == size
        np.testing.assert_array_equal(square_pixels.resample_mask(there, shape), mask)
        assert file_masks.encode(there, Placement.whole(shape, size)) == rle.encode(mask)


def test_annotations_are_brought_to_the_picture(tmp_path):
    (tmp_path / "a.csv").write_text("ImageId,EncodedPixels\na,0 4\nb,-1\n")
    of = {name: Placement.whole((4, 3), (8, 3)) for name in "ab"}
    codes = file_masks.read(tmp_path / "a.csv", of)
    assert codes["b"] == rle.EMPTY
    assert rle.decode(codes["a"], (8, 3))[:, 0].all() and rle.area(codes["a"]) == 8


def test_what_is_no_ordinary_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.dcm")
    (tmp_path / "b.dcm").mkdir()
    (tmp_path / "c.dcm").symlink_to("/dev/zero")
    for name, what in (("a", "a named pipe"), ("b", "a folder"), ("c", "a device")):
        with pytest.raises(UnreadableImage, match=what):
            images.read(tmp_path / f"{name}.dcm")
    with pytest.raises(UnreadableImage, match="File name too long"):
        images.read(tmp_path / ("x" * 300 + ".dcm"))


def test_sizes_are_believed_before_anything_is_decoded(tmp_path, picture):
    with pytest.raises(UnreadableImage, match="at most 64,000,000"):
        images.read(write_dicom(tmp_path / "a.dcm", picture, Rows=60000, Columns=60000))
    stream = bytearray(jpeg(picture))
    place = stream.index(b"\xff\xc0") + 5
    stream[place : place + 4] = b"\xff\xff\xff\xff"
    path = write_compressed(tmp_path / "b.dcm", [bytes(stream)], picture)
    with pytest.raises(UnreadableImage, match="compressed picture is 65535x65535"):
        images.read(path)


def test_a_deflated_bomb_is_refused(tmp_path, picture):
    write_dicom(tmp_path / "a.dcm", picture)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    dataset.save_as(tmp_path / "a.dcm")
    assert images.read(tmp_path / "a.dcm")[0].rows == 96
    content = (tmp_path / "a.dcm").read_bytes()
    head = content[: 144 + int.from_bytes(content[140:144], "little")]
    packer, zeros = zlib.compressobj(wbits=-15), bytes(2**20)
    bomb = b"".join(packer.compress(zeros) for _ in range(LARGEST_FILE // 2**20 + 1))
    (tmp_path / "a.dcm").write_bytes(head + bomb + packer.flush())
    with pytest.raises(UnreadableImage, match="inflates to more than"):
        images.read(tmp_path / "a.dcm")


def test_control_characters_of_a_tag_do_not_reach_the_terminal(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture, PhotometricInterpretation="AAAAAAAA")
    path.write_bytes(path.read_bytes().replace(b"AAAAAAAA", b"\x1b[2J\x07\x9b\nX"))
    with pytest.raises(UnreadableImage, match="PhotometricInterpretation") as refusal:
        images.read(path)
    assert str(refusal.value).isprintable()


REFUSED = {
    "all_black.dcm": "blank",
    "rot_F_L.dcm": "quarter",
    "view_LLAT.dcm": "lateral",
    "tags_ct_knee.dcm": "Modality",
}


def test_files_from_the_field_are_right(shared_data):
    folder = shared_data / "field"
    right = images.read(folder / "right.dcm")[1]
    with (folder / "index.csv").open() as lines:
        names = [row["file"] for row in csv.DictReader(lines) if row["file"].endswith(".dcm")]
    for name in names:
        if name in REFUSED:
            with pytest.raises(UnreadableImage, match=REFUSED[name]):
                images.read(folder / name)
        elif name != "noise.dcm":  # of which only the picture says that it is no chest
            study, pixels = images.read(folder / name)
            assert pixels.shape == right.shape, name
            assert np.corrcoef(pixels.ravel(), right.ravel())[0, 1] > 0.98, name
            assert study.place.file == ((512, 256) if "nonsquare" in name else (512, 512))


def test_damaged_files_from_the_field_are_told_in_a_sentence(shared_data, capfd):
    for path in sorted((shared_data / "field" / "damaged").glob("*.dcm")):
        try:
            study, pixels = images.read(path)
        except UnreadableImage as error:
            sentence = str(error).removeprefix(str(path))
            assert len(sentence) < 400 and sentence.isprintable()
            for word in ("NoneType", "ufunc", "broadcast", "plugin", "Error", "index out"):
                assert word not in sentence
        else:
            assert pixels.shape == (study.rows, study.columns) and np.isfinite(pixels).all()
    assert capfd.readouterr() == ("", "")
