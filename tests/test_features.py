"""Feature families against scikit-image, hand-made arrays and the properties they promise."""

import numpy as np
import pytest
from scipy import stats
from skimage.feature import graycomatrix, graycoprops

from features import firstorder, glcm, gradients, lbp, registry, shape, table, zones
from features.files import UserError
from features.lungs import LungFields
from features.prepared import Prepared, prepare, working_size


def prepared(grey: np.ndarray) -> Prepared:
    """An X-ray whose lungs are two boxes."""
    h, w = grey.shape
    right, left = np.zeros((h, w), bool), np.zeros((h, w), bool)
    right[h // 10 : -h // 10, w // 10 : w * 4 // 10] = True
    left[h // 10 : -h // 10, w * 6 // 10 : w * 9 // 10] = True
    fields = LungFields(right, left, 1.0)
    return Prepared(grey.astype(np.float32), fields, zones.build(fields))


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
        found = glcm.counts(bins, np.zeros_like(bins, np.int8), distance, zones=1)[0]
        np.testing.assert_array_equal(found, expected)


def test_glcm_measures_equal_scikit_image(noise):
    bins = glcm.quantise(noise)
    matrix = glcm.counts(bins, np.zeros_like(bins, np.int8), 1, zones=1)
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


def test_first_order_equals_scipy(noise):
    image = prepared(noise)
    values = noise.ravel()[image.zones.indices["left_rim"]].astype(float)
    found = firstorder.measure(image)["left_rim"]
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert found["deviation"] == pytest.approx(values.std(), rel=1e-5)
    assert found["skewness"] == pytest.approx(stats.skew(values), abs=1e-4)
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(values), abs=1e-4)


def test_lbp_shares_sum_to_one(noise):
    for values in lbp.measure(prepared(noise)).values():
        for radius in lbp.SCALES:
            assert sum(values[f"code{code}_r{radius}"] for code in range(10)) == pytest.approx(1)


def test_a_line_along_the_wall_is_told_from_one_across():
    grey = np.zeros((120, 120))
    along, across = grey.copy(), grey.copy()
    along[:, 18] = 5  # the right lung's chest wall is column 12
    across[60, :] = 5
    share_along = gradients.measure(prepared(along))["right_middle"]["along_wall"]
    share_across = gradients.measure(prepared(across))["right_middle"]["along_wall"]
    assert share_along > 0.9 and share_across < 0.1


def test_shape_of_boxes(noise):
    found = shape.measure(prepared(noise))
    assert found["right_whole"]["area"] == pytest.approx(96 * 36 / 120**2)
    assert found["left_whole"]["fill"] == 1.0
    assert found["right_whole"]["elongation"] == pytest.approx(96 / 36)


def test_every_feature_is_named_explained_and_finite(noise):
    row = registry.measure(prepared(noise))
    assert len(row) == len(set(row))
    for name, value in row.items():
        assert np.isfinite(value), name
        feature = registry.describe(name)
        assert feature.text.endswith(".") and f"{feature.family}.{feature.zone}" in name
        assert registry.mirror(registry.mirror(name)) == name
        assert registry.mirror(name) in row


def test_texture_sees_only_its_zone(noise):
    image = prepared(noise)
    outside = noise.copy()
    outside[~(image.lungs.right | image.lungs.left)] += 100
    changed = Prepared(outside, image.lungs, image.zones)
    for family in (firstorder, glcm):
        assert family.measure(image) == family.measure(changed)


@pytest.mark.parametrize("family", [firstorder, glcm, gradients, lbp, shape])
def test_a_mirrored_image_swaps_right_and_left(noise, family):
    image = prepared(noise)
    flipped = LungFields(image.lungs.left[:, ::-1], image.lungs.right[:, ::-1], 1.0)
    mirrored = Prepared(noise[:, ::-1].copy(), flipped, zones.build(flipped))
    there, back = family.measure(image), family.measure(mirrored)
    for zone, values in there.items():
        other = registry.mirror(f"x.{zone}.y").split(".")[1]
        for key, value in values.items():
            assert back[other][key] == pytest.approx(value, rel=1e-3, abs=1e-4), (zone, key)


def test_gain_and_offset_change_nothing(shared_data):
    path = sorted((shared_data / "lung-masks" / "JSRT" / "images").glob("*.png"))[0]
    from features import images

    pixels = images.read(path)[1]
    plain = registry.measure(prepare(pixels))
    changed = registry.measure(prepare(pixels * 0.5 + 0.2))
    values = np.array([[plain[name], changed[name]] for name in plain])
    spread = np.maximum(np.abs(values).max(axis=1), 0.05)
    assert np.median(np.abs(values[:, 0] - values[:, 1]) / spread) < 0.01


@pytest.mark.parametrize("kind", ["blank", "noise"])
def test_bad_images_give_finite_rows(kind):
    pixels = np.full((256, 256), 0.5, np.float32)
    if kind == "noise":
        pixels = np.random.default_rng(0).random((256, 256)).astype(np.float32)
    row = registry.measure(prepare(pixels))
    assert np.isfinite(list(row.values())).all()
    assert row["shape.image.quality"] < 0.5


def test_working_size_averages_areas():
    big = np.arange(1024 * 1024, dtype=np.float32).reshape(1024, 1024)
    small = working_size(big)
    assert small.shape == (512, 512)
    assert small[0, 0] == np.mean([0, 1, 1024, 1025])
    assert working_size(np.zeros((900, 600), np.float32)).shape == (512, 341)


def test_unknown_family():
    with pytest.raises(UserError, match="families = wavelet"):
        registry.check(("glcm", "wavelet"))


def test_a_table_of_another_version_is_refused(tmp_path):
    import pandas as pd

    pd.DataFrame({"id": ["a"], "old.zone.thing": [1.0]}).to_parquet(tmp_path / "features.parquet")
    with pytest.raises(UserError, match=r"old\.zone\.thing.*unknown"):
        table.read(tmp_path)
