"""Pleural air of phantoms: where it lies, and what it does to lung, vessels and image."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from features.phantom.collapse import Kind, sample_collapse
from features.phantom.lung_shape import lungs
from features.phantom.other_findings import sample_findings
from features.phantom.pneumothorax import DENSEST, density_with_air, pleural_air, pleural_line
from features.phantom.radiograph import Subject, attenuate
from features.phantom.strokes import SIDE, grid, sample
from tests.helpers.phantom_chest import FORMS, chest, collapsed


@pytest.mark.parametrize("side", ["right", "left"])
def test_anteromedial_air_lies_beside_the_mediastinum_and_leaves_the_lung_behind(side: str) -> None:
    lung = collapsed("anteromedial", 20, side, "supine")
    air = pleural_air(lung) > 0.5
    inside = lung.field > 0.5
    x, _ = grid()
    lateral = np.where(inside, lung.sign * x, np.inf)
    beyond = np.where(air, lung.sign * x, -np.inf).max(axis=1) - lateral.min(axis=1)
    rows = air.any(axis=1)
    assert rows.sum() > 60
    assert 10 < np.median(beyond[rows]) < 30
    assert np.array_equal(lung.edge, lung.reach)  # vessels stay where they are
    density = np.full((SIDE, SIDE), 0.25, np.float32)
    left = density_with_air(lung, density)
    assert 0.05 < left[air].mean() < 0.2
    assert left[inside & ~air].mean() == pytest.approx(0.3, abs=0.01)
    assert pleural_line(lung)[3].max() > 0


def test_a_deep_sulcus_reaches_further_down_than_a_whole_lung() -> None:
    patient, exposure = chest("supine")
    whole = lungs(patient, exposure, None)[1][0].field > 0.5
    sunk = collapsed("deep sulcus", 40, "right", "supine")
    reaches = [np.flatnonzero(field.any(axis=1))[-1] for field in (whole, sunk.field > 0.5)]
    assert reaches[1] > reaches[0] + 15
    air = pleural_air(sunk) > 0.5
    assert np.flatnonzero(air.any(axis=1))[-1] >= reaches[1] - 3


def test_a_lung_that_has_lost_its_air_is_denser() -> None:
    lung = collapsed("large", 90)
    density = np.full((SIDE, SIDE), 0.25, np.float32)
    left = density_with_air(lung, density)
    air = pleural_air(lung) > 0.5
    rest = ndimage.binary_erosion((lung.field > 0.5) & ~air, iterations=8)
    assert left[ndimage.binary_erosion(air, iterations=8)].mean() < 0.1
    shrunk = float(np.square(lung.edge).mean() / np.square(lung.reach).mean())
    expected = 0.25 * min(shrunk**-0.6, DENSEST) + 0.05
    assert np.percentile(left[rest], 95) == pytest.approx(expected, rel=0.02)
    whole = lungs(*chest(), None)[1][0]
    assert np.array_equal(density_with_air(whole, density), density)


@pytest.mark.parametrize("kind", list(FORMS))
def test_the_air_is_one_pocket(kind: Kind) -> None:
    for depth in (12, 25, 45):
        lung = collapsed(kind, depth)
        air = pleural_air(lung) > 0.5
        sizes = np.bincount(ndimage.label(air, np.ones((3, 3)))[0].ravel())[1:]
        assert sizes.max() > 0.9 * sizes.sum()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", list(FORMS))
def test_the_picture_has_air_where_the_truth_says_so(kind: Kind, side: str) -> None:
    pose = "supine" if kind in ("deep sulcus", "anteromedial") else "erect"
    lung = collapsed(kind, 30, side, pose)
    rng = np.random.default_rng(0)
    density = (0.25 + 0.02 * rng.standard_normal((SIDE, SIDE))).astype(np.float32)
    left = density_with_air(lung, density)
    air = pleural_air(lung)
    surely = lung.reach_map - lung.edge_map > 8 if lung.reach_map is not None else air > 0.5  # type: ignore[operator]
    assert (air > 0.5).any()
    assert left[surely & (air > 0.99)].max() < 0.16
    assert left[(lung.field > 0.5) & (air == 0)].mean() > 0.2
    line = pleural_line(lung)
    drawn = line[:, line[3] > 1e-6]
    assert sample(lung.field, drawn[0], drawn[1]).min() > 0
    assert drawn[3].max() < 4 * np.median(drawn[3])  # of one strength, without dots


def test_a_collapse_leaves_no_mark_outside_its_side() -> None:
    patient, exposure = chest()
    findings = sample_findings(0, 0.0)
    collapse = replace(sample_collapse(1, 0.4), side="right", kind="apical", shift=0.0)
    for variant in (replace(collapse, injury=0.2, depth=15.0), replace(collapse, kind="large")):
        ill, well = (
            attenuate(
                Subject(patient, exposure, findings, present),
                np.random.SeedSequence(1),
                np.random.SeedSequence(2),
            )[0]
            for present in (variant, None)
        )
        change = ill - well
        healthy = grid()[0][0] > 20
        assert np.abs(change[:, healthy]).max() < 1e-5
        # Nor a seam along the midline, where one side's lung passes into the other's.
        seam = np.abs(np.diff(change[:, SIDE // 2 - 10 : SIDE // 2 + 10], axis=1))
        assert np.percentile(seam, 99) < 0.03
