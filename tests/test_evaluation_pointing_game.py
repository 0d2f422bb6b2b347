"""The pointing game on lungs whose answers are known beforehand."""

import numpy as np
import pandas as pd
import pytest

from baseline.evaluation import pointing_game
from baseline.evaluation.results import Side
from baseline.explanation import attributions
from features.lungs.fields import LungFields
from features.lungs.zones import NAMES, build


@pytest.fixture
def zones():
    lungs = np.zeros((2, 100, 120), bool)
    lungs[0, 10:90, 10:50] = True
    lungs[1, 10:90, 70:110] = True
    return build(LungFields(lungs[0], lungs[1], 1.0))


def contributions(**values: float) -> pd.Series:
    return pd.Series({place: values.get(place, 0.0) for place in attributions.PLACES})


def test_pointing_at_the_zone_that_holds_the_air(zones):
    mask = zones.finest == NAMES.index("left_apex_rim")
    hit = pointing_game.point(contributions(left_apex_rim=2.0, right_base=1.0), zones, mask)
    assert hit["zone"] == 1 and hit["lung"] == 1
    assert hit["zone_chance"] == pytest.approx(mask.sum() / (zones.finest >= 0).sum())
    assert hit["left"] == 1
    missed = pointing_game.point(contributions(left_apex_core=2.0), zones, mask)
    assert missed["zone"] == 0 and missed["lung"] == 1
    assert pointing_game.point(contributions(right_whole=1.0), zones, mask)["lung"] == 0
    right = zones.finest == NAMES.index("right_base_rim")
    assert pointing_game.point(contributions(right_whole=1.0), zones, right)["left"] == 0


def test_the_side_is_scored_for_right_and_left_alike():
    # Always pointing at the right lung is correct in 3 of 4 images, but balanced it is chance.
    game = pd.DataFrame({"lung": [1.0, 1, 1, 0], "left": [0.0, 0, 0, 1]})
    patients = np.array(list("abcd"), object)
    assert pointing_game.by_side(game) == {"right": Side(3, 3), "left": Side(1, 0)}
    assert pointing_game.balanced(game, patients).value == 0.5
    assert pointing_game.by_side(game[:3])["left"] == Side(0, 0)
    assert pointing_game.balanced(game[:3], patients[:3]) is None


def test_contributions_of_overlapping_zones_add_up(zones):
    mask = zones.finest == NAMES.index("left_upper_rim")
    # No single zone contributes most there, but the rim and the upper zone together do.
    overlapping = contributions(left_upper=1.0, left_rim=1.0, right_apex_core=1.5)
    assert pointing_game.point(overlapping, zones, mask)["zone"] == 1


def test_air_outside_the_lungs_is_never_hit(zones):
    mask = zones.finest < 0
    missed = pointing_game.point(contributions(left_apex=1.0), zones, mask)
    assert np.isnan(missed.pop("left"))
    assert missed == {"zone": 0, "zone_chance": 0, "lung": 0}


def test_air_outside_the_lungs_makes_no_side_collapse():
    game = pd.DataFrame({"lung": [1.0, 1, 0, 0], "left": [0.0, 1, np.nan, np.nan]})
    assert pointing_game.by_side(game) == {"right": Side(1, 1), "left": Side(1, 1)}
    assert pointing_game.balanced(game, np.array(list("abcd"), object)).value == 1.0
