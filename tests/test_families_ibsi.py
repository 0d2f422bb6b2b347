"""Parity with the Image Biomarker Standardisation Initiative (IBSI) on its digital phantom.

The phantom and the reference values are those of the IBSI reference manual (arXiv:1612.07003,
chapter 5; Zwanenburg et al., *Radiology* 295(2), 2020), published to three significant digits, as
tabulated in `ibsi_1_dig_phantom.csv` of oncoray/mirp. Texture is aggregated in two ways: "avg"
averages over directions and slices, "comb" merges a slice's directions first, as the families do.
"""

import numpy as np
import pytest

from features.families import firstorder, glcm, glrlm
from features.lungs import zones
from features.lungs.fields import LungFields
from features.lungs.prepared import Prepared

# Four slices of 4 rows and 5 columns; 0 marks a voxel outside the region of interest.
PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
LEVELS = 6

INTENSITY = {"mean": 2.15, "variance": 3.05, "skewness": 1.08, "kurtosis": -0.355}
# Measure: (avg, comb), with the IBSI's own name behind it.
GLCM = {
    "contrast": (5.28, 5.19),
    "correlation": (-0.0121, 0.0173),
    "energy": (0.368, 0.352),  # angular second moment
    "entropy": (2.05, 2.24),  # joint entropy
    "homogeneity": (0.619, 0.625),  # inverse difference moment
}
GLRLM = {
    "short_runs": (0.641, 0.661),  # short runs emphasis
    "long_runs": (3.78, 3.51),  # long runs emphasis
    "level_variety": (0.46, 0.456),  # normalised grey level non-uniformity
    "length_variety": (0.492, 0.441),  # normalised run length non-uniformity
    "run_share": (0.627, 0.627),  # run percentage
    "run_entropy": (2.17, 2.57),
    "dark_runs": (0.604, 0.609),  # low grey level run emphasis
}


def three_digits(value: float) -> float:
    return float(f"{value:.3g}")


def slices():
    """Bins from 0, and one zone with -1 outside, of each slice."""
    for levels in PHANTOM:
        yield np.maximum(levels - 1, 0), np.where(levels > 0, 0, -1).astype(np.int8)


@pytest.fixture(scope="module")
def flat() -> np.ndarray:
    """First-order measures of the phantom laid flat, in units that fit the range of lung units."""
    grey = PHANTOM.reshape(16, 5)
    labels = np.where(grey > 0, zones.NAMES.index("right_apex_rim"), -1).astype(np.int8)
    cut = zones.Zones(
        np.stack([labels] * 4), np.arange(len(zones.NAMES)), np.zeros(grey.shape, np.float32)
    )
    half = (grey / 2).astype(np.float32)
    image = Prepared(half, half, LungFields(grey > 0, grey < 0, 1.0), cut)
    result = firstorder.measure(image)[zones.NAMES.index("right_whole")]
    return dict(zip((m.name for m in firstorder.MEASURES), result, strict=True))


def test_the_phantom_has_its_74_voxels():
    assert (PHANTOM > 0).sum() == 74
    assert set(np.unique(PHANTOM)) == {0, 1, 3, 4, 6}


def test_intensity_statistics(flat):
    result = {**flat, "mean": 2 * flat["mean"], "variance": (2 * flat["deviation"]) ** 2}
    assert {name: three_digits(result[name]) for name in INTENSITY} == INTENSITY


@pytest.mark.parametrize(("name", "reference"), [("p10", 1), ("p90", 4), ("iqr", 3)])
def test_percentiles_to_the_width_of_a_bin(flat, name, reference):
    assert 2 * flat[name] == pytest.approx(reference, abs=2 * 8 / 1024)


@pytest.mark.parametrize("name", GLCM)
def test_co_occurrence(name):
    matrices = [glcm.counts(bins, zone, 1, 1, LEVELS)[:, 0] for bins, zone in slices()]
    averaged = np.mean([glcm.describe(matrix)[name] for matrix in matrices])
    merged = np.mean([glcm.describe(matrix.sum(axis=0)[None])[name] for matrix in matrices])
    assert (three_digits(averaged), three_digits(merged)) == GLCM[name]


@pytest.mark.parametrize("name", GLRLM)
def test_run_lengths(name):
    averaged, merged = [], []
    for bins, zone in slices():
        matrix = glrlm.counts(bins, zone, 1, LEVELS, longest=5)[:, 0]
        pixels = int((zone >= 0).sum())
        averaged.append(glrlm.describe(matrix, np.full(4, pixels)))
        merged.append(glrlm.describe(matrix.sum(axis=0)[None], np.array([4 * pixels])))
    column = [measure.name for measure in glrlm.MEASURES].index(name)
    result = [three_digits(np.concatenate(rows)[:, column].mean()) for rows in (averaged, merged)]
    assert tuple(result) == GLRLM[name]
