"""Other findings of phantoms: opacities, bullae, effusions, air under the skin."""

from dataclasses import replace

import numpy as np
import pytest

from features.phantom.anatomy import sample_patient
from features.phantom.collapse import Kind
from features.phantom.exposure import sample_exposure
from features.phantom.lung_shape import lungs
from features.phantom.other_findings import (
    Bulla,
    Findings,
    Opacity,
    above_fluid,
    added_water,
    air_under_skin,
    bullae_density,
    effusions,
    fluid_level,
    sample_findings,
)
from features.phantom.pneumothorax import pleural_air
from features.phantom.strokes import SIDE, grid
from features.phantom.tissue import rib_cage
from tests.helpers.phantom_chest import chest, collapsed


def test_findings_change_the_picture_where_they_lie() -> None:
    fields = lungs(sample_patient(3), sample_exposure(3), None)[1]
    opacity = Opacity("left", turn=1.5, share=0.5, radius=(20.0, 15.0), density=0.2)
    bulla = Bulla("right", turn=0.5, share=0.8, radius=15.0, empty=0.6)
    findings = Findings(
        (opacity,), (bulla,), (40.0, 0.0), 1.0, oedema=0.0, creases=(), skin_air=(0.0, 0.0)
    )
    extra = added_water(findings, fields, np.zeros((SIDE, SIDE), np.float32))
    extra += effusions(findings, fields, "erect")
    right, left = (lung.field > 0.5 for lung in fields)
    assert extra[left].max() == pytest.approx(0.2, rel=0.02)
    rows = np.flatnonzero(right.any(axis=1))
    assert extra[rows[-1]][right[rows[-1]]].min() > 0.3  # fluid lies in the deepest place
    assert extra[rows[len(rows) // 3]][right[rows[len(rows) // 3]]].max() < 0.02
    remaining = bullae_density(findings, fields)
    assert remaining[right].min() == pytest.approx(0.4, abs=0.01)
    assert (remaining[left] == 1).all()


def test_fluid_below_pleural_air_has_a_level_and_is_not_air() -> None:
    lung = collapsed("large", 60)
    findings = replace(sample_findings(0, 0.0), fluid=(30.0, 0.0))
    level = fluid_level(lung, 30.0)
    assert isinstance(level, float)
    _, y = grid()
    above = np.broadcast_to(above_fluid(findings, lung, "erect"), (SIDE, SIDE))
    assert (above[y[:, 0] < level - 1] == 1).all()
    assert (above[y[:, 0] > level + 1] == 0).all()
    fields = (lung, lungs(*chest(), None)[1][1])
    here = lung.field > 0.5
    extra = effusions(findings, fields, "erect")
    assert extra[here & (y > level + 3)].min() > 0.5
    assert extra[here & (y < level - 10)].max() < 0.01


@pytest.mark.parametrize("kind", ["loculated", "basal", "subpulmonic"])
def test_air_that_is_walled_off_keeps_out_of_the_fluid(kind: Kind) -> None:
    lung = collapsed(kind, 30)
    findings = replace(sample_findings(0, 0.0), fluid=(60.0, 0.0))
    whole = lungs(*chest(), None)[1]
    assert np.ptp(np.broadcast_to(fluid_level(lung, 60.0), (SIDE, SIDE))[0]) > 5  # a meniscus
    assert above_fluid(findings, lung, "erect") == 1.0
    air = pleural_air(lung) > 0.99
    assert effusions(findings, (lung, whole[1]), "erect")[air].max() < 0.01
    assert effusions(findings, whole, "erect")[lung.field > 0.5].max() > 0.5


def test_fluid_in_a_patient_who_lies_is_a_veil() -> None:
    fields = lungs(*chest("supine"), None)[1]
    findings = replace(sample_findings(0, 0.0), fluid=(50.0, 0.0))
    extra = effusions(findings, fields, "supine")
    right, left = (lung.field > 0.5 for lung in fields)
    assert 0.03 < extra[right].max() < 0.2
    assert np.abs(np.diff(extra[:, SIDE // 2 - 60])).max() < 0.002  # no level
    assert np.abs(extra[left]).max() == pytest.approx(0)
    assert above_fluid(findings, fields[0], "supine") == 1.0


def test_air_under_the_skin_lies_outside_the_ribs_or_before_them_on_its_side() -> None:
    patient, rng = sample_patient(1), np.random.default_rng(0)
    findings = Findings((), (), (0.0, 0.0), 1.0, 0.0, (), skin_air=(8.0, 0.0))
    streaks = air_under_skin(findings, patient, rng)
    assert streaks
    points = np.concatenate(streaks, axis=1)
    assert (points[3] < 0).all()
    assert (points[0] < 0).all()  # the patient's right lies on the image's left
    beyond = -points[0] > rib_cage(patient, points[1])
    assert 0.3 < beyond.mean() < 0.95
    assert not air_under_skin(replace(findings, skin_air=(0.0, 0.0)), patient, rng)
