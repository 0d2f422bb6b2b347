"""Pleural air of phantoms: where it lies by pose, what it does to the lung, its level of fluid."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pydicom.sr.codedict import codes
from scipy import ndimage

from features.phantom.abdomen import gas
from features.phantom.dicom import dicom
from features.phantom.other_findings import dry, fluid, sample_findings, surface
from features.phantom.radiograph import Subject, _attenuate, phantom
from features.phantom.lung_shape import DENSEST, Lung, aerated, lungs, pleural_air, pleural_line, vessels
from features.phantom.anatomy import (
    Collapse,
    Exposure,
    Kind,
    Patient,
    sample_collapse,
    sample_exposure,
    sample_patient,
)
from features.phantom.strokes import SIDE, grid, sample

# Where the air of a kind is widest, and how far it spreads.
FORMS: dict[Kind, tuple[float, float]] = {
    "apical": (0.3, 1.0),
    "lateral": (1.2, 1.2),
    "basal": (2.0, 1.0),
    "subpulmonic": (2.5, 0.8),
    "large": (1.0, 2.2),
    "tension": (1.0, 2.6),
    "loculated": (1.2, 0.5),
    "deep sulcus": (2.2, 0.8),
    "anteromedial": (0.2, 0.3),
}


def _chest(pose: str = "erect") -> tuple[Patient, Exposure]:
    """A person of middle build, turned neither way."""
    view = "AP" if pose == "supine" else "PA"
    plain = replace(sample_exposure(4), pose=pose, view=view, twist=0.0, inspiration=10.0)
    return sample_patient(3), plain


def _collapsed(kind: Kind, depth: float, side: str = "right", pose: str = "erect") -> Lung:
    """The lung of one side with a pneumothorax of a kind, of typical form."""
    centre, spread = FORMS[kind]
    plain = Collapse(side, kind, depth, centre, spread, 0.9, 0.6, 0.05, 5.0, 0.0, 0.0)  # type: ignore[arg-type]
    fields = lungs(*_chest(pose), plain)[1]
    return fields[0] if side == "right" else fields[1]


def test_air_rises_to_the_apex_of_who_stands_and_to_the_front_of_who_lies() -> None:
    stands, lies = (
        Counter(sample_collapse(seed, 0.4, pose).kind for seed in range(1500))
        for pose in ("erect", "supine")
    )
    assert stands["anteromedial"] == stands["deep sulcus"] == 0
    assert stands.most_common(1)[0][0] == "apical"
    # Tocino et al.: 38% anteromedial, 26% under the lung, 22% at apex and side.
    assert lies["anteromedial"] / 1500 == pytest.approx(0.38, abs=0.06)
    assert (lies["deep sulcus"] + lies["subpulmonic"]) / 1500 == pytest.approx(0.26, abs=0.05)
    assert (lies["apical"] + lies["lateral"]) / 1500 == pytest.approx(0.22, abs=0.05)


def test_a_supine_chest_has_high_domes_and_a_large_heart() -> None:
    drawn = [sample_exposure(seed) for seed in range(400)]
    assert all(one.view == "AP" for one in drawn if one.pose == "supine")
    parts = {
        (view, pose): [one for one in drawn if (one.view, one.pose) == (view, pose)]
        for view, pose in (("PA", "erect"), ("AP", "erect"), ("AP", "supine"))
    }
    assert min(map(len, parts.values())) > 50
    for name in ("inspiration", "magnification"):
        means = [np.mean([getattr(one, name) for one in part]) for part in parts.values()]
        assert means == sorted(means)
        assert means[2] > means[0]
    for one in drawn:
        assert ("SUPINE" in one.captions) <= (one.pose == "supine")
        assert ("ERECT" in one.captions) <= (one.pose == "erect")


def test_the_pose_changes_the_picture_of_the_same_person() -> None:
    patient, erect = _chest()
    supine = replace(erect, pose="supine")
    spaces = [lungs(patient, one, None)[0] for one in (erect, supine)]
    assert spaces[1].sum() < spaces[0].sum()  # the great veins are wider
    fields = lungs(patient, erect, None)[1]
    chord = np.full((SIDE, SIDE), 60.0, np.float32)
    lower_share = []
    for pose in ("erect", "supine"):
        strokes = np.concatenate(
            vessels(fields[0], np.random.default_rng(0), patient, chord, pose), axis=1
        )
        below = strokes[1] > fields[0].hilum[1]
        lower_share.append(strokes[3][below].sum() / strokes[3].sum())
    assert lower_share[0] > lower_share[1] + 0.03  # blood sinks


def test_the_files_say_who_lay() -> None:
    poses = {}
    for seed in range(40):
        one = phantom(seed, pneumothorax=False, size=64)
        if one.exposure.pose not in poses:
            poses[one.exposure.pose] = dicom(one, "ID_000000001")
    assert set(poses) == {"erect", "supine"}
    erect, supine = (poses[pose].PatientOrientationCodeSequence[0] for pose in ("erect", "supine"))
    (lying,) = supine.PatientOrientationModifierCodeSequence
    assert "PatientOrientationModifierCodeSequence" not in erect
    expected = (codes.cid19.Erect, codes.cid19.Recumbent, codes.cid20.Supine)
    for item, code in zip((erect, supine, lying), expected, strict=True):
        assert (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning) == code[:3]


@pytest.mark.parametrize("side", ["right", "left"])
def test_anteromedial_air_lies_beside_the_mediastinum_and_leaves_the_lung_behind(side: str) -> None:
    lung = _collapsed("anteromedial", 20, side, "supine")
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
    left = aerated(lung, density)
    assert 0.05 < left[air].mean() < 0.2
    assert left[inside & ~air].mean() == pytest.approx(0.3, abs=0.01)
    assert pleural_line(lung)[3].max() > 0


def test_a_deep_sulcus_reaches_further_down_than_a_whole_lung() -> None:
    patient, exposure = _chest("supine")
    whole = lungs(patient, exposure, None)[1][0].field > 0.5
    sunk = _collapsed("deep sulcus", 40, "right", "supine")
    reaches = [np.flatnonzero(field.any(axis=1))[-1] for field in (whole, sunk.field > 0.5)]
    assert reaches[1] > reaches[0] + 15
    air = pleural_air(sunk) > 0.5
    assert np.flatnonzero(air.any(axis=1))[-1] >= reaches[1] - 3


def test_a_lung_that_has_lost_its_air_is_denser() -> None:
    lung = _collapsed("large", 90)
    density = np.full((SIDE, SIDE), 0.25, np.float32)
    left = aerated(lung, density)
    air = pleural_air(lung) > 0.5
    rest = ndimage.binary_erosion((lung.field > 0.5) & ~air, iterations=8)
    assert left[ndimage.binary_erosion(air, iterations=8)].mean() < 0.1
    shrunk = float(np.square(lung.edge).mean() / np.square(lung.reach).mean())
    expected = 0.25 * min(shrunk**-0.6, DENSEST) + 0.05
    assert np.percentile(left[rest], 95) == pytest.approx(expected, rel=0.02)
    whole = lungs(*_chest(), None)[1][0]
    assert np.array_equal(aerated(whole, density), density)


@pytest.mark.parametrize("kind", list(FORMS))
def test_the_air_is_one_pocket(kind: Kind) -> None:
    for depth in (12, 25, 45):
        lung = _collapsed(kind, depth)
        air = pleural_air(lung) > 0.5
        sizes = np.bincount(ndimage.label(air, np.ones((3, 3)))[0].ravel())[1:]
        assert sizes.max() > 0.9 * sizes.sum()


def test_fluid_below_pleural_air_has_a_level_and_is_not_air() -> None:
    lung = _collapsed("large", 60)
    findings = replace(sample_findings(0, 0.0), fluid=(30.0, 0.0))
    level = surface(lung, 30.0)
    assert isinstance(level, float)
    _, y = grid()
    above = np.broadcast_to(dry(findings, lung, "erect"), (SIDE, SIDE))
    assert (above[y[:, 0] < level - 1] == 1).all()
    assert (above[y[:, 0] > level + 1] == 0).all()
    fields = (lung, lungs(*_chest(), None)[1][1])
    here = lung.field > 0.5
    extra = fluid(findings, fields, "erect")
    assert extra[here & (y > level + 3)].min() > 0.5
    assert extra[here & (y < level - 10)].max() < 0.01


@pytest.mark.parametrize("kind", ["loculated", "basal", "subpulmonic"])
def test_air_that_is_walled_off_keeps_out_of_the_fluid(kind: Kind) -> None:
    lung = _collapsed(kind, 30)
    findings = replace(sample_findings(0, 0.0), fluid=(60.0, 0.0))
    whole = lungs(*_chest(), None)[1]
    assert np.ptp(np.broadcast_to(surface(lung, 60.0), (SIDE, SIDE))[0]) > 5  # a meniscus
    assert dry(findings, lung, "erect") == 1.0
    air = pleural_air(lung) > 0.99
    assert fluid(findings, (lung, whole[1]), "erect")[air].max() < 0.01
    assert fluid(findings, whole, "erect")[lung.field > 0.5].max() > 0.5


def test_fluid_of_who_lies_is_a_veil() -> None:
    fields = lungs(*_chest("supine"), None)[1]
    findings = replace(sample_findings(0, 0.0), fluid=(50.0, 0.0))
    extra = fluid(findings, fields, "supine")
    right, left = (lung.field > 0.5 for lung in fields)
    assert 0.03 < extra[right].max() < 0.2
    assert np.abs(np.diff(extra[:, SIDE // 2 - 60])).max() < 0.002  # no level
    assert np.abs(extra[left]).max() == pytest.approx(0)
    assert dry(findings, fields[0], "supine") == 1.0


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", list(FORMS))
def test_the_picture_has_air_where_the_truth_says_so(kind: Kind, side: str) -> None:
    pose = "supine" if kind in ("deep sulcus", "anteromedial") else "erect"
    lung = _collapsed(kind, 30, side, pose)
    rng = np.random.default_rng(0)
    density = (0.25 + 0.02 * rng.standard_normal((SIDE, SIDE))).astype(np.float32)
    left = aerated(lung, density)
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
    patient, exposure = _chest()
    findings = sample_findings(0, 0.0)
    collapse = replace(sample_collapse(1, 0.4), side="right", kind="apical", shift=0.0)
    for one in (replace(collapse, injury=0.2, depth=15.0), replace(collapse, kind="large")):
        ill, well = (
            _attenuate(
                Subject(patient, exposure, findings, given),
                np.random.SeedSequence(1),
                np.random.SeedSequence(2),
            )[0]
            for given in (one, None)
        )
        change = ill - well
        healthy = grid()[0][0] > 20
        assert np.abs(change[:, healthy]).max() < 1e-5
        # Nor a seam along the midline, where one side's lung passes into the other's.
        seam = np.abs(np.diff(change[:, SIDE // 2 - 10 : SIDE // 2 + 10], axis=1))
        assert np.percentile(seam, 99) < 0.03


def test_gas_lies_below_the_domes_even_where_air_has_pushed_them_down() -> None:
    patient, exposure = _chest()
    full = replace(exposure, gas=35.0, bowel=6)
    for kind in ("tension", "deep sulcus"):
        collapse = replace(sample_collapse(0, 0.0), side="left", kind=kind, depth=110.0)
        for given in (None, collapse):
            fields = lungs(patient, full, given)[1]
            drawn = gas(patient, full, given, np.random.default_rng(3))
            assert drawn.max() > 15
            for lung in fields:
                assert drawn[ndimage.binary_erosion(lung.field > 0.5, iterations=2)].max() < 1
