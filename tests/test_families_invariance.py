"""What must change no feature: pixels outside the lungs, exposure, storage; and bad images."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from features.families import registry
from features.lungs.fields import LungFields
from features.lungs.prepared import assemble, prepare
from features.measuring.one_image import Item, measure_image
from features.reading import images
from tests.helpers import box_lungs
from tests.helpers.box_lungs import STUDY, prepared


@pytest.fixture
def noise() -> np.ndarray:
    return box_lungs.noise()


MEASURING_ZONES = [name for name, family in registry.MEASURED.items() if family.measure_zones]
IN_LUNGS = [name for name in MEASURING_ZONES if name != "confounders"]
# Those that are given the lungs and what is near them.
IN_LUNGS_ALONE = [name for name in MEASURING_ZONES if not registry.MEASURED[name].measure_image]


@pytest.mark.parametrize("family", IN_LUNGS)
def test_no_pixel_outside_the_lungs_changes_a_value(noise, family):
    image = prepared(noise)
    outside = np.random.default_rng(1).normal(0, 2, noise.shape).astype(np.float32)
    lungs = image.lungs.right | image.lungs.left
    changed = assemble(np.where(lungs, noise, outside), image.lungs)
    measure = registry.MEASURED[family].measure_zones
    np.testing.assert_array_equal(measure(image), measure(changed))


@pytest.mark.parametrize("family", MEASURING_ZONES)
def test_a_mirrored_image_swaps_right_and_left(noise, family):
    image = prepared(ndimage.gaussian_filter(noise, 1) * 3)
    flipped = LungFields(image.lungs.left[:, ::-1], image.lungs.right[:, ::-1], 1.0)
    mirrored = assemble(image.scene[:, ::-1].copy(), flipped)
    measure = registry.MEASURED[family].measure_zones
    right, left = np.split(measure(image), 2)
    swapped = np.concatenate((left, right))
    np.testing.assert_allclose(measure(mirrored), swapped, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.2), (0.3, 0.0), (2.0, -0.3)])
def test_gain_and_offset_hardly_matter(shared_data, gain, offset):
    """On some X-rays rounding moves the edge of a lung, and with it all measures a little.

    A measure of few pixels, such as the largest in a zone, may then change by more.
    """
    for path in sorted((shared_data / "siim-mini" / "stage_2_images").glob("*.dcm"))[::400]:
        pixels = images.read(path)[1]
        plain = registry.measure(prepare(pixels), STUDY)
        changed = registry.measure(prepare(pixels * np.float32(gain) + np.float32(offset)), STUDY)
        close = np.isclose(list(changed.values()), list(plain.values()), rtol=0.02, atol=0.05)
        assert close.mean() > 0.998, path.name


@pytest.mark.parametrize("family", IN_LUNGS_ALONE)
def test_what_is_cut_off_around_the_lungs_changes_no_texture(noise, family):
    smooth = ndimage.gaussian_filter(noise, 2) * 4
    wide = assemble(
        np.pad(smooth, 60),
        LungFields(
            *(
                np.pad(lung, 60)
                for lung in (prepared(noise).lungs.right, prepared(noise).lungs.left)
            ),
            1.0,
        ),
    )
    measure = registry.MEASURED[family].measure_zones
    assert wide.near_lungs.grey.size < wide.grey.size
    np.testing.assert_array_equal(measure(wide.near_lungs), measure(wide))


def test_inverted_storage_gives_the_same_features(shared_data, tmp_path):
    """MONOCHROME1 of the inverse is the same X-ray."""
    path = next((shared_data / "siim-mini" / "stage_2_images").glob("ID_*.dcm"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Invalid value for VR UI")
        plain, inverse = pydicom.dcmread(path), pydicom.dcmread(path)
        plain.decompress()
        inverse.decompress()
    inverse.PhotometricInterpretation = "MONOCHROME1"
    inverse.PixelData = (255 - inverse.pixel_array).tobytes()
    rows = []
    for name, dataset in (("plain", plain), ("inverse", inverse)):
        dataset.save_as(tmp_path / f"{name}.dcm")
        study, pixels = images.read(tmp_path / f"{name}.dcm")
        rows.append(registry.measure(prepare(pixels), study))
    np.testing.assert_allclose(list(rows[0].values()), list(rows[1].values()), atol=1e-3, rtol=1e-2)


def from_the_side(size: int = 256) -> np.ndarray:
    """A thorax of ellipsoids, seen from its left, front to the left; exp(-mu x) on a log scale."""
    y, x = np.mgrid[:size, :size] / size - 0.5

    def chord(column, row, wide, high, deep):
        inside = 1 - ((x - column) / wide) ** 2 - ((y - row) / high) ** 2
        return 2 * deep * np.sqrt(np.clip(inside, 0, None))

    trunk = chord(0, 0.1, 0.36, 0.75, 170)
    lungs = chord(0, -0.05, 0.25, 0.36, 130)  # one behind the other
    others = chord(-0.12, 0.12, 0.13, 0.16, 55) + chord(0.05, 0.42, 0.33, 0.16, 120)
    arms = chord(-0.25, -0.45, 0.3, 0.15, 60)
    spine = np.exp(-(((x - 0.2 - 0.08 * y) / 0.045) ** 2)) * (60 + 15 * np.sin(90 * y))
    water = trunk - 0.75 * lungs + others + arms + spine * (trunk > 0)  # mm
    dark = -np.log(np.exp(-0.019 * np.clip(water, 0, None)) + 0.01)
    return ((dark - dark.min()) / np.ptp(dark)).astype(np.float32)


@pytest.mark.parametrize("kind", ["blank", "noise", "one white lung", "lateral view"])
def test_bad_images_give_finite_rows(kind):
    pixels = np.full((256, 256), 0.5, np.float32)
    if kind == "lateral view":
        pixels = from_the_side()
    if kind == "noise":
        pixels = np.random.default_rng(0).random((256, 256)).astype(np.float32)
    if kind == "one white lung":
        pixels[40:220, 30:110] = 0.1
    row = registry.measure(prepare(pixels), STUDY)
    assert np.isfinite(list(row.values())).all()
    assert row["shape.image.quality"] < 0.5


def features_of(path: Path) -> dict[str, float]:
    study, _ = images.read(path)
    return measure_image(Item(str(path), (study.rows, study.columns))).features


def test_odd_real_images_give_finite_rows_and_a_leg_is_not_trusted(shared_data, tmp_path):
    folder = shared_data / "radiographs"
    chest = features_of(folder / "RG1_J2KI.dcm")
    legs = pydicom.dcmread(folder / "RG3_RLE.dcm")
    legs.PatientOrientation = ""  # or it would be refused
    legs.save_as(tmp_path / "leg.dcm")
    leg = features_of(tmp_path / "leg.dcm")
    assert np.isfinite([*chest.values(), *leg.values()]).all()
    assert chest["shape.image.quality"] > 0.8 > 0.5 > leg["shape.image.quality"]
