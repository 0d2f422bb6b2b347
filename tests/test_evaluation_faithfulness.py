"""Pointing, deletion and stability on lungs and models whose answers are known beforehand."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from baseline.evaluation import faithfulness
from baseline.explanation import attributions
from features.lungs.fields import LungFields
from features.lungs.zones import NAMES, build


@pytest.fixture
def zones():
    lungs = np.zeros((2, 100, 120), bool)
    lungs[0, 10:90, 10:50] = True
    lungs[1, 10:90, 70:110] = True
    return build(LungFields(lungs[0], lungs[1], 1.0))


def evidence(**values: float) -> pd.Series:
    return pd.Series({place: values.get(place, 0.0) for place in attributions.PLACES})


def test_pointing_at_the_cell_that_holds_the_air(zones):
    mask = zones.finest == NAMES.index("left_apex_rim")
    hit = faithfulness.point(evidence(left_apex_rim=2.0, right_base=1.0), zones, mask)
    assert hit["cell"] == 1 and hit["lung"] == 1
    assert hit["cell_chance"] == pytest.approx(mask.sum() / (zones.finest >= 0).sum())
    assert hit["left"] == 1
    missed = faithfulness.point(evidence(left_apex_core=2.0), zones, mask)
    assert missed["cell"] == 0 and missed["lung"] == 1
    assert faithfulness.point(evidence(right_whole=1.0), zones, mask)["lung"] == 0
    right = zones.finest == NAMES.index("right_base_rim")
    assert faithfulness.point(evidence(right_whole=1.0), zones, right)["left"] == 0


def test_the_side_is_scored_for_right_and_left_alike():
    # Whoever always says "right" is right in 3 of 4, and knows nothing.
    game = pd.DataFrame({"lung": [1.0, 1, 1, 0], "left": [0.0, 0, 0, 1]})
    found = faithfulness.sides(game, np.array(list("abcd"), object))
    assert found["right"] == {"ill": 3, "named": 3} and found["left"] == {"ill": 1, "named": 0}
    assert found["balanced"]["value"] == 0.5
    one = faithfulness.sides(game[:3], np.array(list("abc"), object))
    assert one["balanced"] is None and one["left"] == {"ill": 0, "named": 0}


def test_evidence_of_overlapping_zones_adds_up(zones):
    mask = zones.finest == NAMES.index("left_upper_rim")
    # No single zone says so, but the rim and the upper zone together do.
    both = evidence(left_upper=1.0, left_rim=1.0, right_apex_core=1.5)
    assert faithfulness.point(both, zones, mask)["cell"] == 1


def test_air_outside_the_lungs_is_never_hit(zones):
    mask = zones.finest < 0
    found = faithfulness.point(evidence(left_apex=1.0), zones, mask)
    assert np.isnan(found.pop("left"))
    assert found == {"cell": 0, "cell_chance": 0, "lung": 0}


def test_air_outside_the_lungs_makes_no_side_ill():
    game = pd.DataFrame({"lung": [1.0, 1, 0, 0], "left": [0.0, 1, np.nan, np.nan]})
    found = faithfulness.sides(game, np.array(list("abcd"), object))
    assert found["right"] == {"ill": 1, "named": 1} and found["left"] == {"ill": 1, "named": 1}
    assert found["balanced"]["value"] == 1.0


@pytest.fixture(scope="module")
def learned():
    """A model of ten features that needs the first, and a little of the second."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, 10)), columns=[f"f{k}" for k in range(10)])
    target = (table["f0"] + 0.3 * table["f1"] > 0).astype(float)
    options = {"objective": "cross_entropy", "verbose": -1, "num_threads": 1, "seed": 0}
    return lgb.train(options, lgb.Dataset(table, target), 40), table


def test_deleting_what_matters_moves_the_score_more(learned):
    booster, table = learned
    _, values = attributions.values_of(booster, table)
    top, random = faithfulness.deletion(
        booster, table, values, table.median(), np.random.default_rng(0)
    )
    assert top.shape == random.shape == (400, len(faithfulness.DELETED))
    assert top[:, 0].mean() > 3 * random[:, 0].mean()
    # Sixteen of ten are all of them, in whatever order.
    np.testing.assert_allclose(top[:, 4], random[:, 4])
    everything = booster.predict(table.median().to_frame().T, raw_score=True)
    expected = np.abs(booster.predict(table, raw_score=True) - everything)
    np.testing.assert_allclose(top[:, 4], expected, atol=1e-6)


def test_agreement_by_hand():
    one = pd.DataFrame([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    other = pd.DataFrame([[2.0, 4.0, 9.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    assert faithfulness.agreement([one, other]).tolist() == [1.0, -1.0, 0.0]
    assert faithfulness.agreement([one, one, other])[1] == pytest.approx((1 - 1 - 1) / 3)
