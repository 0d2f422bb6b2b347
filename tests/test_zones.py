"""Zones on lungs made of rectangles, where every border can be worked out by hand."""

import numpy as np
import pytest

from features import zones
from features.lungs import LungFields


@pytest.fixture
def boxes() -> LungFields:
    """Two lungs of 100 rows and 40 columns."""
    right, left = np.zeros((120, 120), bool), np.zeros((120, 120), bool)
    right[10:110, 10:50] = True
    left[10:110, 70:110] = True
    return LungFields(right, left, 1.0)


def test_zones_of_a_lung_tile_it(boxes):
    found = zones.build(boxes)
    for side, lung in (("right", boxes.right), ("left", boxes.left)):
        whole = found.indices[f"{side}_whole"]
        np.testing.assert_array_equal(np.sort(whole), np.flatnonzero(lung))
        for parts in (tuple(zones.HEIGHTS), zones.DEPTHS):
            together = np.concatenate([found.indices[f"{side}_{part}"] for part in parts])
            np.testing.assert_array_equal(np.sort(together), np.flatnonzero(lung))


def test_heights_and_rim_of_a_box(boxes):
    found = zones.build(boxes)
    rows = np.unravel_index(found.indices["right_apex"], (120, 120))[0]
    assert (rows.min(), rows.max()) == (10, 24)  # 15% of rows 10 .. 109
    rows = np.unravel_index(found.indices["left_base"], (120, 120))[0]
    assert rows.max() == 109
    # The rim is as deep as a fifth of 40 columns, from the lateral edge.
    middle = found.labels["depth"][60]
    assert list(np.flatnonzero(middle == zones.NAMES.index("right_rim"))) == list(range(10, 19))
    assert list(np.flatnonzero(middle == zones.NAMES.index("left_rim"))) == list(range(101, 110))


def test_a_mirrored_chest_has_mirrored_zones(boxes):
    flipped = LungFields(boxes.left[:, ::-1], boxes.right[:, ::-1], 1.0)
    plain, mirrored = zones.build(boxes), zones.build(flipped)
    half = len(zones.ZONES)
    for way, labels in plain.labels.items():
        other = mirrored.labels[way][:, ::-1]
        swapped = np.where(other < 0, -1, (other + half) % (2 * half))
        np.testing.assert_array_equal(labels, swapped)


def test_a_sliver_of_a_lung_still_has_every_zone():
    right, left = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    right[5:7, 5:7] = True
    left[10:30, 25:35] = True
    found = zones.build(LungFields(right, left, 0.0))
    assert set(found.indices) == set(zones.NAMES)
    assert all(where.size for where in found.indices.values())
    assert (found.indices["right_apex"] == found.indices["right_whole"]).all()
