"""The zone that the reasons point at: in a table to check by hand, and painted where it lies."""

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import attributions, top_zone, trained_run
from features.lungs.zones import NAMES


def test_the_top_zone_is_the_one_with_the_largest_contribution():
    table = pd.DataFrame(0.0, index=["a", "b", "c"], columns=list(attributions.PLACES))
    table.loc["a", ["left_apex", "right_rim"]] = [0.3, 0.2]
    # A contribution against is none for; what belongs to no zone points nowhere.
    table.loc["b", ["left_apex", "right_base_core"]] = [-0.9, 0.1]
    table.loc["c", ["image", "left_whole"]] = [2.0, 0.1]
    names = {name: NAMES[zone] for name, zone in top_zone.top(table).items()}
    assert names == {"a": "left_apex", "b": "right_base_core", "c": "left_whole"}


@pytest.mark.parametrize("shape", [(512, 512), (1024, 1024), (600, 400), (1000, 1400)])
def test_a_cell_is_painted_where_it_was_measured(shape):
    """The longer side has 512 working pixels, 64 cells of 8."""
    zone = top_zone.TopZone(np.array([0, 3]), np.array([0, 5]))
    painted = top_zone.paint(zone, shape)
    assert painted.shape == shape
    side = max(shape) / 64
    expected = np.zeros(shape, bool)
    for row, column in ((0, 0), (3, 5)):
        for y in range(shape[0]):
            for x in range(int(column * side) - 1, int((column + 1) * side) + 2):
                inside = (
                    row <= (y + 0.5) / side < row + 1 and column <= (x + 0.5) / side < column + 1
                )
                if inside and 0 <= x < shape[1]:
                    expected[y, x] = True
    np.testing.assert_array_equal(painted, expected)
    assert not top_zone.paint(top_zone.NONE, shape).any()


def test_zones_of_a_run_are_those_of_its_explanations(copied_noise_run):
    """One cell for every finest zone, so that the cells of a top zone can be counted."""
    run = copied_noise_run
    finest = [k for k, name in enumerate(NAMES) if name.count("_") == 2]
    trained = trained_run.read(run)
    ids = [*trained.predicted["id"], "without a prediction"]
    shares = {"share": 0.0, "weak_share": np.nan}
    cells = pd.DataFrame(
        [
            {"row": row, "column": zone, "side": 0, "zone": zone, **shares, "id": name}
            for name in ids
            for row, zone in enumerate(finest)
        ]
    )
    run.cells.write(cells)
    zones = top_zone.read(run)
    assert set(zones) == set(trained.predicted["id"])
    places = attributions.by_place(trained.explanation, trained.right).drop(columns="image")
    for name, best in places.idxmax(axis=1).items():
        side, _, part = best.partition("_")
        expected = [
            zone
            for zone in finest
            if NAMES[zone].startswith(side) and (part == "whole" or part in NAMES[zone])
        ]
        assert zones[name].columns.tolist() == expected, best
        assert [finest[row] for row in zones[name].rows] == expected
