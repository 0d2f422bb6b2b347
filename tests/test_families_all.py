"""Feature families against scikit-image, hand-made arrays and the properties they promise."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from features.families import (
    firstorder,
    fractal,
    glcm,
    glrlm,
    gradients,
    lbp,
    markings,
    pleura,
    profiles,
    registry,
    shape,
    table,
    zonal,
)
from features.lungs import zones
from features.lungs.fields import LungFields
from features.lungs.prepared import Prepared, assemble, prepare, repeat_inside, working_size
from features.pixels import filters
from features.reading.study import Study
from features.run.files import UserError

STUDY = Study(id="a", path=Path("a.png"), rows=120, columns=120)


def prepared(grey: np.ndarray) -> Prepared:
    """An X-ray whose lungs are two boxes."""
    h, w = grey.shape
    right, left = np.zeros((h, w), bool), np.zeros((h, w), bool)
    right[h // 10 : -h // 10, w // 10 : w * 4 // 10] = True
    left[h // 10 : -h // 10, w * 6 // 10 : w * 9 // 10] = True
    return assemble(grey.astype(np.float32), LungFields(right, left, 1.0))


def value(family, image: Prepared, zone: str, measure: str) -> float:
    """One measure of one zone."""
    names = registry.zone_names(family.__name__.removeprefix("features."))
    return family.measure(image).ravel()[
        names.index(f"{family.__name__.removeprefix('features.')}.{zone}.{measure}")
    ]


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (120, 120)).astype(np.float32)


def test_glcm_counts_equal_scikit_image(noise):
    bins = glcm.quantise(noise)
    angles = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
    for distance in (1, 4):
        # scikit-image rounds the offsets of diagonals, so its distance is given per axis.
        expected = np.zeros((16, 16))
        for angle in angles:
            reach = distance * (np.sqrt(2) if angle in angles[1::2] else 1)
            expected += graycomatrix(bins.astype(np.uint8), [reach], [angle], 16, symmetric=True)[
                :, :, 0, 0
            ]
        found = glcm.counts(bins, np.zeros_like(bins, np.int8), distance, zones=1).sum(axis=(0, 1))
        np.testing.assert_array_equal(found, expected)


def test_glcm_measures_equal_scikit_image(noise):
    bins = glcm.quantise(noise)
    matrix = glcm.counts(bins, np.zeros_like(bins, np.int8), 1, zones=1).sum(axis=0)
    found = glcm.describe(matrix)
    normal = (matrix / matrix.sum())[0][:, :, None, None]
    for ours, theirs in (
        ("contrast", "contrast"),
        ("correlation", "correlation"),
        ("energy", "ASM"),
        ("entropy", "entropy"),
        ("homogeneity", "homogeneity"),
    ):
        expected = graycoprops(normal, theirs)[0, 0]
        # scikit-image's entropy is in nats, IBSI's in bits.
        expected = expected / np.log(2) if ours == "entropy" else expected
        assert found[ours][0] == pytest.approx(expected, rel=1e-6)


def test_glcm_of_a_constant_zone_is_finite():
    found = glcm.describe(np.zeros((1, 4, 4), np.int64))
    assert all(np.isfinite(values).all() for values in found.values())
    assert found["correlation"][0] == 1


def test_runs_by_hand():
    bins = np.array([[0, 0, 1], [1, 1, 1]])
    found = glrlm.counts(bins, np.zeros((2, 3), np.int8), zones=1, levels=2, longest=3)[:, 0]
    # Along the rows: 0 0, 1 and 1 1 1.
    np.testing.assert_array_equal(found[0], [[0, 1, 0], [1, 0, 1]])
    # Down the columns: 0 over 1 twice, and 1 1.
    np.testing.assert_array_equal(found[2], [[2, 0, 0], [2, 1, 0]])
    short, long, _, _, share, entropy, dark = glrlm.describe(found[:1], np.array([6]))[0]
    assert short == pytest.approx((1 / 4 + 1 + 1 / 9) / 3)
    assert long == pytest.approx((4 + 1 + 9) / 3)
    assert share == pytest.approx(3 / 6)
    assert entropy == pytest.approx(np.log2(3))
    assert dark == pytest.approx((1 + 2 / 4) / 3)


def test_every_pixel_lies_in_one_run_a_direction(noise):
    labels = prepared(noise).zones.labels[3]
    found = glrlm.counts(glcm.quantise(noise), labels, len(zones.NAMES), longest=120)
    pixels = (found * np.arange(1, 121)).sum(axis=(2, 3))
    expected = np.bincount(labels[labels >= 0], minlength=len(zones.NAMES))
    np.testing.assert_array_equal(pixels, np.tile(expected, (4, 1)))


def test_first_order_equals_scipy(noise):
    image = prepared(noise)
    values = noise[image.zones.labels[2] == zones.NAMES.index("left_rim")].astype(float)
    found = {m.name: value(firstorder, image, "left_rim", m.name) for m in firstorder.MEASURES}
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert found["deviation"] == pytest.approx(values.std(), rel=1e-5)
    assert found["skewness"] == pytest.approx(stats.skew(values), abs=1e-4)
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(values), abs=1e-4)
    p10, p25, p75, p90 = np.percentile(values, (10, 25, 75, 90))
    # The histogram's bins are 8 / 1024 wide; noise leaves gaps of about that size.
    assert found["p10"] == pytest.approx(p10, abs=0.03)
    assert found["p90"] == pytest.approx(p90, abs=0.03)
    assert found["iqr"] == pytest.approx(p75 - p25, abs=0.03)


@pytest.mark.parametrize("radius", [1, 2.5, 4])
@pytest.mark.parametrize("kind", ["noise", "levels", "smooth"])
def test_lbp_codes_equal_scikit_image(noise, radius, kind):
    grey = {
        "noise": noise,
        "levels": np.round(noise * 3).clip(-9, 9),  # many ties
        "smooth": ndimage.gaussian_filter(noise, 2),
    }[kind].astype(np.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Applying `local_binary_pattern`")
        expected = local_binary_pattern(grey, lbp.POINTS, radius, method="uniform")
    np.testing.assert_array_equal(lbp.codes(grey, radius, np.ones(grey.shape, bool)), expected)


def test_lbp_shares_sum_to_one(noise):
    shares = lbp.measure(prepared(noise)).reshape(len(zones.NAMES), len(lbp.SCALES), -1)
    np.testing.assert_allclose(shares.sum(axis=2), 1)


def test_gaussian_equals_scipy(noise):
    for sigma in (1.0, 1.5, 4.0):
        expected = ndimage.gaussian_filter(noise, sigma, mode="nearest")
        np.testing.assert_allclose(filters.gaussian(noise, sigma), expected, atol=1e-5)


def test_ridge_of_a_gaussian_line_by_hand():
    column = np.arange(41) - 20
    line = np.tile(np.exp(-(column**2) / (2 * 3.0**2)), (41, 1)).astype(np.float32)
    # The second derivative of exp(-x^2 / 2 s^2) at 0 is -1 / s^2, here by finite differences.
    bend = 2 * (1 - np.exp(-1 / 18))
    assert filters.ridge(line, 2.0)[20, 20] == pytest.approx(4 * bend, rel=1e-3)
    normal = np.zeros((2, 41, 41), np.float32)
    normal[1] = 1
    assert filters.ridge_across(line, normal, 2.0)[20, 20] == pytest.approx(4 * bend, rel=1e-3)
    assert filters.ridge_across(line, normal[::-1], 2.0)[20, 20] == 0
    assert filters.ridge(-line, 2.0)[20, 20] == pytest.approx(0, abs=1e-6)


def test_a_line_along_the_wall_is_told_from_one_across():
    grey = np.zeros((120, 120))
    along, across = grey.copy(), grey.copy()
    along[:, 18] = 5  # the right lung's chest wall is column 12
    across[60, :] = 5
    assert value(gradients, prepared(along), "right_middle", "along_wall") > 0.9
    assert value(gradients, prepared(across), "right_middle", "along_wall") < 0.1


def test_a_pleural_line_is_measured():
    """A line 6 pixels inside the right lung's wall, darker air outside of it."""
    grey = np.zeros((120, 120))
    grey[:, 12:18] = -1
    grey[:, 18] = 1
    image = prepared(grey)
    assert value(pleura, image, "right_rim", "longest") > 60
    assert value(pleura, image, "right_middle", "step") == pytest.approx(1, abs=0.2)
    assert value(pleura, image, "right_middle", "distance") == pytest.approx(6 / 36, abs=0.02)
    assert value(pleura, image, "left_rim", "length") == 0
    # A line that crosses the lung from the wall is none.
    crossing = np.zeros((120, 120))
    crossing[60] = 1
    assert value(pleura, prepared(crossing), "right_middle", "length") < 0.01


def test_missing_markings_are_seen(noise):
    grey = noise.copy()
    grey[:, 12:28] = 0  # nothing in the outer part of the right lung
    image = prepared(grey)
    assert (
        value(markings, image, "right_rim", "empty")
        > 0.5
        > 0.2
        > value(markings, image, "left_rim", "empty")
    )
    assert value(markings, image, "right_whole", "inwards") > 0.01
    assert value(markings, image, "right_rim", "density") < value(
        markings, image, "left_rim", "density"
    )


def test_fractal_dimension_of_a_plane_and_of_noise(noise):
    plane = np.add.outer(np.arange(120), np.arange(120)) / 60
    assert value(fractal, prepared(plane), "right_middle_core", "fine") == pytest.approx(
        2, abs=0.01
    )
    assert value(fractal, prepared(noise), "right_middle_core", "fine") == pytest.approx(3, abs=0.1)


def test_profile_of_a_step():
    grey = np.zeros((120, 120))
    grey[:, 12:18] = -1  # air over the outer 6 of 36 columns of the right lung
    image = prepared(grey)
    assert value(profiles, image, "right_middle", "grey1") == pytest.approx(-1)
    assert value(profiles, image, "right_middle", "grey7") == pytest.approx(0)
    assert value(profiles, image, "right_middle", "jump_at") == pytest.approx(0.13)
    assert value(profiles, image, "left_middle", "jump") == 0


def test_shape_of_boxes(noise):
    image = prepared(noise)
    assert value(shape, image, "right_whole", "area") == pytest.approx(96 * 36 / 120**2)
    assert value(shape, image, "left_whole", "fill") == 1.0
    assert value(shape, image, "right_whole", "elongation") == pytest.approx(96 / 36)
    assert value(shape, image, "right_whole", "sulcus") == 0
    _, _, mediastinum, diaphragm = shape.measure_image(image, STUDY)
    assert (mediastinum, diaphragm) == (0, 0)


def test_zone_sums_equal_numpy(noise):
    image = prepared(noise)
    mean = zonal.means((noise, noise**2), image.zones)
    largest = zonal.largest(noise, image.zones)
    for number, name in enumerate(zones.NAMES):
        inside = (image.zones.labels == image.zones.stand_in[number]).any(axis=0)
        assert mean[number, 0] == pytest.approx(noise[inside].mean(), abs=1e-5), name
        assert mean[number, 1] == pytest.approx((noise[inside] ** 2).mean(), abs=1e-5)
        assert largest[number] == noise[inside].max()


def test_pixels_outside_are_repeated_by_hand():
    image = np.array([[9, 9, 9, 9, 9], [9, 1, 9, 3, 9], [9, 9, 9, 9, 9]], np.float32)
    inside = image != 9
    np.testing.assert_array_equal(repeat_inside(image, inside), [[1, 1, 2, 3, 3]] * 3)


def test_every_feature_is_named_explained_and_finite(noise):
    row = registry.measure(prepared(noise), STUDY, registry.FAMILIES)
    for name, found in row.items():
        assert np.isfinite(found), name
        feature = registry.describe(name)
        assert feature.text.endswith(".") and f"{feature.family}.{feature.zone}" in name


def test_asymmetry_is_the_difference_of_mirrored_zones(noise):
    row = registry.measure(prepared(noise), STUDY)
    assert row["asymmetry.apex_rim.glcm_contrast_d1"] == pytest.approx(
        abs(row["glcm.right_apex_rim.contrast_d1"] - row["glcm.left_apex_rim.contrast_d1"])
    )


def test_zones_in_words():
    assert registry.zone_in_words("left_upper_rim") == "rim of the upper zone of the left lung"
    assert registry.zone_in_words("apex_core") == "right and left core of the apex compared"
    assert registry.zone_in_words("right_whole") == "right lung as a whole"
    assert registry.zone_in_words("image") == "image as a whole"


WHOLE_IMAGE = [name for name in registry.ZONED if hasattr(registry.ZONED[name], "measure_image")]
IN_LUNGS = [name for name in registry.ZONED if name != "confounders"]


@pytest.mark.parametrize("family", IN_LUNGS)
def test_no_pixel_outside_the_lungs_changes_a_value(noise, family):
    image = prepared(noise)
    outside = np.random.default_rng(1).normal(0, 2, noise.shape).astype(np.float32)
    lungs = image.lungs.right | image.lungs.left
    changed = assemble(np.where(lungs, noise, outside), image.lungs)
    measure = registry.ZONED[family].measure
    np.testing.assert_array_equal(measure(image), measure(changed))


@pytest.mark.parametrize("family", list(registry.ZONED))
def test_a_mirrored_image_swaps_right_and_left(noise, family):
    image = prepared(ndimage.gaussian_filter(noise, 1) * 3)
    flipped = LungFields(image.lungs.left[:, ::-1], image.lungs.right[:, ::-1], 1.0)
    mirrored = assemble(image.scene[:, ::-1].copy(), flipped)
    measure = registry.ZONED[family].measure
    right, left = np.split(measure(image), 2)
    swapped = np.concatenate((left, right))
    np.testing.assert_allclose(measure(mirrored), swapped, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.2), (0.3, 0.0), (2.0, -0.3)])
def test_gain_and_offset_change_nothing(shared_data, gain, offset):
    from features.reading import images

    for path in sorted((shared_data / "siim-mini" / "stage_2_images").glob("*.dcm"))[::400]:
        pixels = images.read(path)[1]
        plain = registry.measure(prepare(pixels), STUDY)
        changed = registry.measure(prepare(pixels * np.float32(gain) + np.float32(offset)), STUDY)
        np.testing.assert_allclose(list(changed.values()), list(plain.values()), 1e-6, 1e-9)


@pytest.mark.parametrize("family", [n for n in registry.ZONED if n not in WHOLE_IMAGE])
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
    measure = registry.ZONED[family].measure
    assert wide.near_lungs.grey.size < wide.grey.size
    np.testing.assert_array_equal(measure(wide.near_lungs), measure(wide))


def test_half_resolution_keeps_the_zones(shared_data):
    from features.reading import images

    for path in sorted((shared_data / "siim-mini" / "stage_2_images").glob("*.dcm"))[::250]:
        pixels = images.read(path)[1]
        half = pixels.reshape(512, 2, 512, 2).mean(axis=(1, 3))
        shares = []
        for image in (prepare(pixels), prepare(half)):
            counts = np.bincount(image.zones.labels[image.zones.labels >= 0], minlength=36)
            shares.append(counts / image.grey.size)
        assert np.abs(shares[0] - shares[1]).max() < 0.03


def test_inverted_storage_gives_the_same_features(shared_data, tmp_path):
    """MONOCHROME1 of the inverse is the same X-ray."""
    import pydicom

    from features.reading import images

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


def test_odd_real_images_give_finite_rows_and_a_leg_is_not_trusted(shared_data, tmp_path):
    folder = shared_data / "radiographs"
    chest = table.row(str(folder / "RG1_J2KI.dcm"))
    legs = pydicom.dcmread(folder / "RG3_RLE.dcm")
    legs.PatientOrientation = ""  # or it would be refused
    legs.save_as(tmp_path / "leg.dcm")
    leg = table.row(str(tmp_path / "leg.dcm"))
    assert np.isfinite([*chest.values(), *leg.values()]).all()
    assert chest["shape.image.quality"] > 0.8 > 0.5 > leg["shape.image.quality"]


def test_working_size_averages_areas():
    big = np.arange(1024 * 1024, dtype=np.float32).reshape(1024, 1024)
    small = working_size(big)
    assert small.shape == (512, 512)
    assert small[0, 0] == np.mean([0, 1, 1024, 1025])
    assert working_size(np.zeros((900, 600), np.float32)).shape == (512, 341)


def test_an_image_of_more_pixels_is_the_same_image():
    rng = np.random.default_rng(0)
    pixels = rng.random((1024, 900), np.float32)
    for times in (2, 3):
        larger = np.kron(pixels, np.ones((times, times), np.float32))
        np.testing.assert_allclose(working_size(larger), working_size(pixels), atol=1e-6)


def test_unknown_family():
    with pytest.raises(UserError, match="families = wavelet"):
        registry.check(("glcm", "wavelet"))
    with pytest.raises(UserError, match="families = asymmetry: it compares what other families"):
        registry.check(("asymmetry",))


@pytest.mark.parametrize(
    "name", ["glcm.nonsense.contrast_d1", "shape.left_apex.area", "glcm.image.contrast_d1"]
)
def test_a_measure_that_is_taken_nowhere_is_not_described(name):
    with pytest.raises(KeyError):
        registry.describe(name)


def test_a_table_of_another_version_is_refused(tmp_path):
    import pandas as pd

    pd.DataFrame({"id": ["a"], "old.zone.thing": [1.0]}).to_parquet(tmp_path / "features.parquet")
    with pytest.raises(UserError, match=r"old\.zone\.thing.*unknown"):
        table.read(tmp_path)
