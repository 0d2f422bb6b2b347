"""Pleural air of phantoms: where it lies by pose, what it does to the lung, its level of fluid."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from features.phantom_dicom import dicom
from features.phantom_findings import dry, sample_findings, surface, water
from features.phantom_image import phantom
from features.phantom_lung import Lung, aerated, lungs, pleural_air, pleural_line, vessels
from features.phantom_patient import (
    Collapse,
    Exposure,
    Kind,
    Patient,
    sample_collapse,
    sample_exposure,
    sample_patient,
)
from features.phantom_strokes import SIDE, grid


def _chest(pose: str = "erect") -> tuple[Patient, Exposure]:
    """A person of middle build, turned neither way."""
    view = "AP" if pose == "supine" else "PA"
    plain = replace(sample_exposure(4), pose=pose, view=view, twist=0.0, inspiration=10.0)
    return sample_patient(3), plain


def _collapsed(kind: Kind, depth: float, side: str = "right", pose: str = "erect") -> Lung:
    """The lung of one side with a pneumothorax of a kind, of typical form."""
    forms = {
        "apical": (0.3, 1.0),
        "lateral": (1.2, 1.2),
        "large": (1.0, 2.2),
        "loculated": (1.2, 0.5),
        "deep sulcus": (2.2, 0.8),
        "anteromedial": (0.2, 0.3),
    }
    centre, spread = forms[kind]
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


def test_a_supine_chest_has_high_domes_and_a_wide_mediastinum() -> None:
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
    codes = {
        pose: [
            data.PatientOrientationCodeSequence[0].CodeMeaning,
            *(
                item.CodeMeaning
                for item in data.PatientOrientationCodeSequence[0].get(
                    "PatientOrientationModifierCodeSequence", []
                )
            ),
        ]
        for pose, data in poses.items()
    }
    assert codes == {"erect": ["erect"], "supine": ["recumbent", "supine"]}


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
    expected = 0.25 * shrunk**-0.6 + 0.05
    assert np.percentile(left[rest], 95) == pytest.approx(expected, rel=0.02)
    whole = lungs(*_chest(), None)[1][0]
    assert np.array_equal(aerated(whole, density), density)


@pytest.mark.parametrize("kind", ["apical", "lateral", "large", "loculated", "deep sulcus"])
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
    texture = np.zeros((SIDE, SIDE), np.float32)
    fields = (lung, lungs(*_chest(), None)[1][1])
    here = lung.field > 0.5
    extra = water(findings, fields, texture, "erect")
    assert _at(extra, here, y > level + 3).min() > 0.5
    assert _at(extra, here, y < level - 10).max() < 0.01
    whole = lungs(*_chest(), None)[1][0]
    meniscus = np.broadcast_to(surface(whole, 30.0), (SIDE, SIDE))
    assert np.ptp(meniscus[0]) > 5  # without air it climbs along the wall


def test_fluid_of_who_lies_is_a_veil() -> None:
    fields = lungs(*_chest("supine"), None)[1]
    findings = replace(sample_findings(0, 0.0), fluid=(50.0, 0.0), coarseness=1.0)
    extra = water(findings, fields, np.zeros((SIDE, SIDE), np.float32), "supine")
    right, left = (lung.field > 0.5 for lung in fields)
    assert 0.03 < extra[right].max() < 0.2
    assert np.abs(np.diff(extra[:, SIDE // 2 - 60])).max() < 0.002  # no level
    assert np.abs(extra[left]).max() == pytest.approx(0)
    assert dry(findings, fields[0], "supine") == 1.0


def _at(
    values: NDArray[np.floating], here: NDArray[np.bool_], rows: NDArray[np.bool_]
) -> NDArray[np.floating]:
    return values[here & rows]
