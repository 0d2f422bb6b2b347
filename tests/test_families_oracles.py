"""Feature families against scikit-image, SciPy, NumPy and arrays worked out by hand."""

import warnings

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from features.families import firstorder, glcm, glrlm, lbp, zonal
from features.lungs import zones
from tests.helpers import box_lungs
from tests.helpers.box_lungs import prepared, value


@pytest.fixture
def noise() -> np.ndarray:
    return box_lungs.noise()


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
        result = glcm.counts(bins, np.zeros_like(bins, np.int8), distance, zones=1).sum(axis=(0, 1))
        np.testing.assert_array_equal(result, expected)


def test_glcm_measures_equal_scikit_image(noise):
    bins = glcm.quantise(noise)
    matrix = glcm.counts(bins, np.zeros_like(bins, np.int8), 1, zones=1).sum(axis=0)
    result = glcm.describe(matrix)
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
        assert result[ours][0] == pytest.approx(expected, rel=1e-6)


def test_glcm_of_a_constant_zone_is_finite():
    result = glcm.describe(np.zeros((1, 4, 4), np.int64))
    assert all(np.isfinite(values).all() for values in result.values())
    assert result["correlation"][0] == 1


def test_runs_by_hand():
    bins = np.array([[0, 0, 1], [1, 1, 1]])
    result = glrlm.counts(bins, np.zeros((2, 3), np.int8), zones=1, levels=2, longest=3)[:, 0]
    # Along the rows: 0 0, 1 and 1 1 1.
    np.testing.assert_array_equal(result[0], [[0, 1, 0], [1, 0, 1]])
    # Down the columns: 0 over 1 twice, and 1 1.
    np.testing.assert_array_equal(result[2], [[2, 0, 0], [2, 1, 0]])
    short, long, _, _, share, entropy, dark = glrlm.describe(result[:1], np.array([6]))[0]
    assert short == pytest.approx((1 / 4 + 1 + 1 / 9) / 3)
    assert long == pytest.approx((4 + 1 + 9) / 3)
    assert share == pytest.approx(3 / 6)
    assert entropy == pytest.approx(np.log2(3))
    assert dark == pytest.approx((1 + 2 / 4) / 3)


def test_every_pixel_lies_in_one_run_a_direction(noise):
    labels = prepared(noise).zones.labels[3]
    result = glrlm.counts(glcm.quantise(noise), labels, len(zones.NAMES), longest=120)
    pixels = (result * np.arange(1, 121)).sum(axis=(2, 3))
    expected = np.bincount(labels[labels >= 0], minlength=len(zones.NAMES))
    np.testing.assert_array_equal(pixels, np.tile(expected, (4, 1)))


def test_first_order_equals_scipy(noise):
    image = prepared(noise)
    values = noise[image.zones.labels[2] == zones.NAMES.index("left_rim")].astype(float)
    result = {
        m.name: value(firstorder.FAMILY, image, "left_rim", m.name) for m in firstorder.MEASURES
    }
    assert result["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert result["deviation"] == pytest.approx(values.std(), rel=1e-5)
    assert result["skewness"] == pytest.approx(stats.skew(values), abs=1e-4)
    assert result["kurtosis"] == pytest.approx(stats.kurtosis(values), abs=1e-4)
    p10, p25, p75, p90 = np.percentile(values, (10, 25, 75, 90))
    # The histogram's bins are 8 / 1024 wide; noise leaves gaps of about that size.
    assert result["p10"] == pytest.approx(p10, abs=0.03)
    assert result["p90"] == pytest.approx(p90, abs=0.03)
    assert result["iqr"] == pytest.approx(p75 - p25, abs=0.03)


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


def test_zone_sums_equal_numpy(noise):
    image = prepared(noise)
    mean = zonal.means((noise, noise**2), image.zones)
    largest = zonal.largest(noise, image.zones)
    for number, name in enumerate(zones.NAMES):
        inside = (image.zones.labels == image.zones.stand_in[number]).any(axis=0)
        assert mean[number, 0] == pytest.approx(noise[inside].mean(), abs=1e-5), name
        assert mean[number, 1] == pytest.approx((noise[inside] ** 2).mean(), abs=1e-5)
        assert largest[number] == noise[inside].max()
