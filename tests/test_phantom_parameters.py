"""Parameters of phantoms: ranges, random streams, difficulty, and what depends on the pose."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.phantom.anatomy import sample_patient
from features.phantom.collapse import sample_collapse
from features.phantom.exposure import sample_exposure
from features.phantom.other_findings import sample_findings
from features.phantom.streams import child


def test_difficulty_makes_pneumothoraces_smaller_and_look_alikes_more_frequent() -> None:
    easy, hard = (
        [sample_collapse(seed, difficulty) for seed in range(60)] for difficulty in (0.0, 1.0)
    )
    assert all(a.kind == b.kind and a.side == b.side for a, b in zip(easy, hard, strict=True))
    for name in ("depth", "air", "line"):
        lesser, greater = (
            np.mean([getattr(collapse, name) for collapse in part]) for part in (hard, easy)
        )
        assert lesser < 0.75 * greater
    by_difficulty = [
        [sample_findings(seed, share) for seed in range(60)] for share in (0.0, 0.5, 1.0)
    ]
    counts = [
        sum(
            len(findings.opacities) + len(findings.bullae) + len(findings.creases)
            for findings in part
        )
        for part in by_difficulty
    ]
    assert counts[0] == 0
    assert 40 < counts[1] < counts[2]
    assert all(findings.oedema == 0 and findings.fluid == (0, 0) for findings in by_difficulty[0])


def test_streams_depend_on_their_key_alone() -> None:
    seed = np.random.SeedSequence(9)
    state = child(seed, 1, 2).generate_state(4)
    seed.spawn(3)  # spawning elsewhere must not move the stream
    assert np.array_equal(state, child(9, 1, 2).generate_state(4))
    assert not np.array_equal(state, child(9, 1, 3).generate_state(4))


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=0, max_value=2**63))
def test_sampled_numbers_stay_in_the_human_range(seed: int) -> None:
    patient, exposure, collapse = (
        draw_one(seed) for draw_one in (sample_patient, sample_exposure, sample_collapse)
    )
    assert 16 <= patient.age <= 91
    assert patient.sex in ("F", "M")
    assert 95 < patient.half_width < 170
    assert 0.3 < patient.heart / patient.half_width < 0.65  # half the cardiothoracic ratio's span
    assert 2 <= patient.breast <= (25 if patient.sex == "M" else 55)
    assert 0 <= patient.emphysema <= 1
    assert exposure.view in ("PA", "AP")
    assert all(0 <= share < 0.1 for share in exposure.collimation)
    assert 6 <= collapse.depth <= 125
    assert 0 < collapse.air < 1


def test_air_rises_to_the_apex_standing_and_to_the_front_lying() -> None:
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
    assert all(exposure.view == "AP" for exposure in drawn if exposure.pose == "supine")
    parts = {
        (view, pose): [
            exposure for exposure in drawn if (exposure.view, exposure.pose) == (view, pose)
        ]
        for view, pose in (("PA", "erect"), ("AP", "erect"), ("AP", "supine"))
    }
    assert min(map(len, parts.values())) > 50
    for name in ("inspiration", "magnification"):
        means = [np.mean([getattr(exposure, name) for exposure in part]) for part in parts.values()]
        assert means == sorted(means)
        assert means[2] > means[0]
    for exposure in drawn:
        assert ("SUPINE" in exposure.captions) <= (exposure.pose == "supine")
        assert ("ERECT" in exposure.captions) <= (exposure.pose == "erect")
