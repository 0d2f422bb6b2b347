"""Diaphragm, gas below it, and bones of phantoms."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from features.phantom.abdomen import gas
from features.phantom.anatomy import sample_patient
from features.phantom.collapse import sample_collapse
from features.phantom.exposure import sample_exposure
from features.phantom.lung_shape import lungs
from features.phantom.skeleton import skeleton
from features.phantom.strokes import draw
from features.phantom.tissue import dome
from tests.helpers.phantom_chest import chest


def test_one_dome_passes_into_the_other_without_a_step() -> None:
    patient = replace(sample_patient(2), dome_right=60.0, dome_left=85.0)
    exposure = sample_exposure(2)
    right, left = (dome(patient, exposure, sign, np.array([0.0, 65.0])) for sign in (-1, 1))
    assert right[0] == pytest.approx(left[0])
    assert left[1] - right[1] == pytest.approx(25, abs=0.2)


def test_gas_lies_below_the_domes_even_where_air_has_pushed_them_down() -> None:
    patient, exposure = chest()
    full = replace(exposure, gas=35.0, bowel=6)
    for kind in ("tension", "deep sulcus"):
        collapse = replace(sample_collapse(0, 0.0), side="left", kind=kind, depth=110.0)
        for present in (None, collapse):
            fields = lungs(patient, full, present)[1]
            drawn = gas(patient, full, present, np.random.default_rng(3))
            assert drawn.max() > 15
            for lung in fields:
                assert drawn[ndimage.binary_erosion(lung.field > 0.5, iterations=2)].max() < 1


@pytest.mark.parametrize("what", ["ribs", "shoulders"])
def test_ribs_and_shoulders_are_not_mirror_images(what: str) -> None:
    patient = replace(sample_patient(3), scoliosis=0.0)
    exposure = sample_exposure(3)
    alike = np.zeros(5)
    if what == "ribs":
        exposure = replace(exposure, scapula=(0.0, 0.0), shrug=(0.0, 0.0))
        numbers = np.random.default_rng(0)
    else:
        numbers = SimpleNamespace(standard_normal=lambda count: alike[:count])
    bones = draw(skeleton(patient, exposure, numbers))
    assert np.abs(bones - bones[:, ::-1]).mean() > 0.1 * np.abs(bones).mean()
    plain = replace(exposure, scapula=(0.0, 0.0), shrug=(0.0, 0.0))
    numbers = SimpleNamespace(standard_normal=lambda count: alike[:count])
    bones = draw(skeleton(patient, plain, numbers))
    assert np.abs(bones - bones[:, ::-1]).max() < 0.01 * np.abs(bones).max()
