"""The zone that the reasons point at: found in a table to check by hand, painted where it lies."""

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import attributions, top_zone
from baseline.explanation.trained_run import read_inputs
from features.lungs.zones import NAMES


def test_the_top_zone_is_the_one_with_most_evidence_for_pneumothorax():
    table = pd.DataFrame(0.0, index=["a", "b", "c"], columns=list(attributions.PLACES))
    table.loc["a", ["left_apex", "right_rim"]] = [0.3, 0.2]
    # What speaks against is no evidence for; what belongs to no zone points nowhere.
    table.loc["b", ["left_apex", "right_base_core"]] = [-0.9, 0.1]
    table.loc["c", ["image", "left_whole"]] = [2.0, 0.1]
    found = top_zone.top(table)
    told = {name: NAMES[zone] for name, zone in found.items()}
    assert told == {"a": "left_apex", "b": "right_base_core", "c": "left_whole"}


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


def test_zones_of_a_run_are_those_of_its_explanations(noise_run, tmp_path, monkeypatch):
    """One cell for every finest zone, so that the cells of a top zone can be counted."""
    finest = [k for k, name in enumerate(NAMES) if name.count("_") == 2]
    found = read_inputs(noise_run)
    ids = [*found.predicted["id"], "without a verdict"]
    cells = pd.DataFrame(
        [
            {"id": name, "row": row, "column": zone, "zone": zone}
            for name in ids
            for row, zone in enumerate(finest)
        ]
    )
    monkeypatch.setattr(top_zone, "read_inputs", lambda run: found)
    (tmp_path / "cells").mkdir()
    cells.astype({"id": "category"}).to_parquet(tmp_path / "cells" / "index.parquet")
    zones = top_zone.read(tmp_path)
    assert set(zones) == set(found.predicted["id"])
    evidence = attributions.evidence(found.explanation, found.right).drop(columns="image")
    for name, best in evidence.idxmax(axis=1).items():
        side, _, part = best.partition("_")
        wanted = [
            zone
            for zone in finest
            if NAMES[zone].startswith(side) and (part == "whole" or part in NAMES[zone])
        ]
        assert zones[name].columns.tolist() == wanted, best
        assert [finest[row] for row in zones[name].rows] == wanted
