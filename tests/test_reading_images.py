"""Reading DICOM and PNG: files written here with known pixels, and real odd ones."""

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian

from features.reading import dicom_tags, grey_levels, images
from features.storage import unreadable
from tests.helpers.image_files import dicom_dataset, write_dicom, write_jpeg_dicom


@pytest.fixture
def ramp() -> np.ndarray:
    return np.add.outer(np.arange(64), 2 * np.arange(80))


def test_pixels_and_tags_of_an_8_bit_dicom(tmp_path, ramp):
    path = write_dicom(
        tmp_path / "a.dcm", ramp, PatientSex="F", ViewPosition="AP", PixelSpacing=[0.15, 0.15]
    )
    study, pixels = images.read(path)
    np.testing.assert_allclose(pixels, ramp / 255, atol=1e-6)
    assert pixels.dtype == np.float32
    assert (study.id, study.rows, study.columns) == ("a", 64, 80)
    assert (study.sex, study.view, study.spacing_mm) == ("F", "AP", 0.15)


def test_monochrome1_is_inverted(tmp_path, ramp):
    plain = images.read(write_dicom(tmp_path / "a.dcm", ramp))[1]
    inverse = write_dicom(tmp_path / "b.dcm", 255 - ramp, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(images.read(inverse)[1], plain, atol=1e-6)


def scaled(levels: np.ndarray) -> np.ndarray:
    """What is to be read of a deep image: nearly its extremes are the ends."""
    low, high = np.percentile(levels, (grey_levels.DARKEST, 100 - grey_levels.BRIGHTEST))
    return np.clip((levels - low) / (high - low), 0, 1)


def test_deep_pixels_are_scaled_by_nearly_their_extremes(tmp_path, ramp):
    path = write_dicom(tmp_path / "a.dcm", ramp * 10 + 300, bits=12)
    pixels = images.read(path)[1]
    np.testing.assert_allclose(pixels, scaled(ramp), atol=1e-6)
    assert pixels.min() == 0 and pixels.max() == 1
    inverse = write_dicom(
        tmp_path / "b.dcm", 4000 - ramp, bits=12, PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_allclose(images.read(inverse)[1], pixels, atol=1e-6)


def test_a_marker_and_padding_do_not_darken_a_deep_image(tmp_path, ramp):
    plain = images.read(write_dicom(tmp_path / "a.dcm", ramp * 10, bits=16))[1]
    levels = ramp * 10
    levels[:4, :4] = 65535  # 0.3% of the image
    marked = images.read(write_dicom(tmp_path / "b.dcm", levels, bits=16))[1]
    np.testing.assert_allclose(marked[4:], plain[4:], atol=0.03)
    assert (marked[:4, :4] == 1).all()
    levels = np.pad(ramp * 10, 30, constant_values=65535)
    padded = images.read(write_dicom(tmp_path / "c.dcm", levels, bits=16, PixelPaddingValue=65535))[
        1
    ]
    # What is padded is 0, and a border that is cut.
    np.testing.assert_allclose(padded, plain, atol=1e-6)
    inverse = write_dicom(
        tmp_path / "d.dcm",
        np.pad(3000 - ramp * 10, 30, constant_values=40000),
        bits=16,
        PixelPaddingValue=39000,
        PixelPaddingRangeLimit=41000,
        PhotometricInterpretation="MONOCHROME1",
    )
    np.testing.assert_allclose(images.read(inverse)[1], padded, atol=1e-6)


def test_signed_pixels_of_8_bits_are_not_cut(tmp_path, ramp):
    path = tmp_path / "a.dcm"
    dataset = dicom_dataset(ramp, 8, ExplicitVRLittleEndian, {"PixelRepresentation": 1})
    dataset.PixelData = (ramp - 120).astype(np.int8).tobytes()
    dataset.save_as(path, enforce_file_format=True)
    np.testing.assert_allclose(images.read(path)[1], scaled(ramp), atol=1e-6)


@pytest.mark.parametrize("tag", [["R", "F"], ["L", "H"], ["RH", "F"], ["L", "HR"]])
def test_an_image_that_is_mirrored_or_upside_down_is_refused(tmp_path, ramp, tag):
    path = write_dicom(tmp_path / "a.dcm", ramp, PatientOrientation=tag)
    with pytest.raises(
        unreadable.UnreadableImage, match=r"PatientOrientation .* L\\F, so turn"
    ) as refusal:
        images.read(path)
    assert "\\".join(tag) in str(refusal.value)


@pytest.mark.parametrize("tag", [["P", "F"], ["A", "F"]])
def test_an_image_whose_rows_run_front_to_back_is_lateral(tmp_path, ramp, tag):
    with pytest.raises(unreadable.UnreadableImage, match=r"a lateral view, tag PatientOrientation"):
        images.read(write_dicom(tmp_path / "a.dcm", ramp, PatientOrientation=tag))


@pytest.mark.parametrize("tag", [["L", "F"], ["LF", "FR"], "", ["L", ""]])
def test_an_image_that_stands_upright_or_does_not_say_is_read(tmp_path, ramp, tag):
    assert images.read(write_dicom(tmp_path / "a.dcm", ramp, PatientOrientation=tag))[0].rows == 64


@pytest.mark.parametrize(
    ("tag", "spacing"),
    [
        (["0.143", ".143"], 0.143),
        (["1.43e-1", "1.43E-1"], 0.143),
        (["0.143", "0.2"], 0.143),
        (["-0.1", "-0.1"], None),
        (["0", "0"], None),
        ("0.143", None),
    ],
)
def test_distance_of_pixels(tmp_path, ramp, tag, spacing):
    study = images.read(write_dicom(tmp_path / "a.dcm", ramp, PixelSpacing=tag))[0]
    assert study.spacing_mm == spacing


def test_jpeg_baseline_is_close_to_what_went_in(tmp_path, ramp):
    study, pixels = images.read(write_jpeg_dicom(tmp_path / "a.dcm", ramp))
    assert np.abs(pixels - ramp / 255).max() < 0.03
    assert (study.id, study.rows, study.columns) == ("a", 64, 80)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_png(tmp_path, ramp, kind):
    values = ramp.astype(np.uint8) if kind == "uint8" else (ramp * 100).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    _, pixels = images.read(tmp_path / "a.png")
    expected = ramp / 255 if kind == "uint8" else scaled(ramp)
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("38", 38),
        ("038Y", 38),
        ("018M", 1.5),
        ("148", None),
        ("413", None),
        ("", None),
        ("x", None),
    ],
)
def test_ages(text, years):
    assert dicom_tags.age_in_years(text) == years


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_siim_age_without_a_unit(tmp_path, ramp):
    assert images.read(write_dicom(tmp_path / "a.dcm", ramp, PatientAge="38"))[0].age == 38


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL"])
def test_a_lateral_view_is_refused(tmp_path, ramp, view):
    path = write_dicom(tmp_path / "a.dcm", ramp, ViewPosition=view)
    with pytest.raises(unreadable.UnreadableImage, match=r"a\.dcm: a lateral view.*\(PA, AP\)"):
        images.read(path)


@pytest.mark.parametrize("view", ["LLD", "RLD"])
def test_a_decubitus_view_is_frontal(tmp_path, ramp, view):
    study, _ = images.read(write_dicom(tmp_path / "a.dcm", ramp, ViewPosition=view))
    assert study.view is None


def test_a_strip_is_no_chest(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((64, 600)))
    with pytest.raises(unreadable.UnreadableImage, match="4 times as long"):
        images.read(path)


@pytest.mark.parametrize(
    ("tags", "rule"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "MONOCHROME"),
        ({"NumberOfFrames": 2}, "one greyscale frame"),
        ({"Rows": 10}, "at least 64"),
    ],
)
def test_other_images_are_refused(tmp_path, ramp, tags, rule):
    with pytest.raises(unreadable.UnreadableImage, match=rule):
        images.read(write_dicom(tmp_path / "a.dcm", ramp, **tags))


def test_no_image_at_all(tmp_path):
    (tmp_path / "a.dcm").write_text("nothing")
    (tmp_path / "a.png").write_text("nothing")
    for name in ("a.dcm", "a.png", "b.dcm", "b.png"):
        with pytest.raises(unreadable.UnreadableImage, match=name.replace(".", r"\.")):
            images.read(tmp_path / name)


def test_colour_png(tmp_path):
    colours = np.zeros((64, 64, 3), np.uint8)
    colours += np.arange(64, dtype=np.uint8)[:, None, None]
    Image.fromarray(colours).save(tmp_path / "grey.png")
    assert images.read(tmp_path / "grey.png")[1].max() == pytest.approx(63 / 255)
    colours[..., 0] = 200
    Image.fromarray(colours).save(tmp_path / "red.png")
    with pytest.raises(unreadable.UnreadableImage, match="colour"):
        images.read(tmp_path / "red.png")


def test_odd_real_files(shared_data, tmp_path):
    folder = shared_data / "radiographs"
    for name in (
        "966_fixed.dcm",
        "CR-MONO1-10-chest",
        "RG1_J2KI.dcm",
        "CR-ModalitySequenceLUT.dcm",
    ):
        study, pixels = images.read(folder / name)
        assert pixels.shape == (study.rows, study.columns)
        assert 0 <= pixels.min() < pixels.max() <= 1
    with pytest.raises(unreadable.UnreadableImage, match=r"PatientOrientation .* is R\\F;"):
        images.read(folder / "RG3_RLE.dcm")
    for name in ("RG3_RLE.dcm", "RG3_JPLL.dcm", "RG3_J2KI.dcm"):
        dataset = pydicom.dcmread(folder / name)
        dataset.PatientOrientation = ""
        dataset.save_as(tmp_path / name)
        study, _ = images.read(tmp_path / name)
        assert study.place.file == (1760, 1760)  # a leg between two black borders
    dataset = pydicom.dcmread(folder / "RG3_JPLY.dcm")
    dataset.PatientOrientation = ""
    dataset.save_as(tmp_path / "JPLY.dcm")
    with pytest.raises(unreadable.UnreadableImage, match="cannot be decoded"):
        images.read(tmp_path / "JPLY.dcm")


def test_siim_tags(shared_data):
    path = next((shared_data / "siim-mini" / "stage_2_images").glob("ID_*.dcm"))
    study, pixels = images.read(path)
    assert pixels.shape == (1024, 1024)
    assert study.sex in {"F", "M"} and study.view in {"PA", "AP"} and 0 < study.age < 110
    assert 0.1 < study.spacing_mm < 0.25


def test_a_wrong_photometric_tag_inverts_a_siim_image(shared_data):
    # A SIIM image whose tag alone says MONOCHROME1: its open air comes out bright.
    path = shared_data / "radiographs" / "Fake_MONOHR1.dcm"
    stored = pydicom.dcmread(path).pixel_array
    # Decoders of JPEG may round differently, by one grey level.
    np.testing.assert_allclose(images.read(path)[1], 1 - stored / 255, atol=1.01 / 255)
