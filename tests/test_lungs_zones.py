"""Zones on lungs made of rectangles, where every border can be worked out by hand."""

import numpy as np
import pytest

from features.lungs import zones
from features.lungs.fields import LungFields


@pytest.fixture
def boxes() -> LungFields:
    """Two lungs of 100 rows and 40 columns."""
    right, left = np.zeros((120, 120), bool), np.zeros((120, 120), bool)
    right[10:110, 10:50] = True
    left[10:110, 70:110] = True
    return LungFields(right, left, 1.0)


def pixels(result: zones.Zones, name: str) -> np.ndarray:
    """Where a zone lies, (h, w) of bool."""
    return (result.labels == zones.NAMES.index(name)).any(axis=0)


def test_zones_of_a_lung_tile_it(boxes):
    result = zones.build(boxes)
    for side, lung in (("right", boxes.right), ("left", boxes.left)):
        np.testing.assert_array_equal(pixels(result, f"{side}_whole"), lung)
        for parts in (tuple(zones.HEIGHTS), zones.DEPTHS, zones.FINEST):
            covered = sum(pixels(result, f"{side}_{part}").astype(int) for part in parts)
            np.testing.assert_array_equal(covered, lung)


def test_a_cell_is_where_height_and_depth_cross(boxes):
    result = zones.build(boxes)
    crossed = pixels(result, "left_lower") & pixels(result, "left_rim")
    np.testing.assert_array_equal(pixels(result, "left_lower_rim"), crossed)
    cells = [zones.NAMES[k] for k in np.flatnonzero(zones.PARENTS[zones.NAMES.index("left_rim")])]
    assert cells == [f"left_{height}_rim" for height in zones.HEIGHTS]


def test_heights_and_rim_of_a_box(boxes):
    result = zones.build(boxes)
    rows = np.nonzero(pixels(result, "right_apex"))[0]
    assert (rows.min(), rows.max()) == (10, 24)  # 15% of rows 10 .. 109
    rows = np.nonzero(pixels(result, "left_base"))[0]
    assert rows.max() == 109
    # The rim is as deep as a fifth of 40 columns, from the lateral edge.
    middle = result.labels[2][60]
    assert list(np.flatnonzero(middle == zones.NAMES.index("right_rim"))) == list(range(10, 19))
    assert list(np.flatnonzero(middle == zones.NAMES.index("left_rim"))) == list(range(101, 110))


def test_a_mirrored_chest_has_mirrored_zones(boxes):
    flipped = LungFields(boxes.left[:, ::-1], boxes.right[:, ::-1], 1.0)
    plain, mirrored = zones.build(boxes), zones.build(flipped)
    half = len(zones.ZONES)
    other = mirrored.labels[..., ::-1]
    swapped = np.where(other < 0, -1, (other + half) % (2 * half))
    np.testing.assert_array_equal(plain.labels, swapped)


def test_a_sliver_of_a_lung_still_has_every_zone():
    right, left = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    right[5:7, 5:7] = True
    left[10:30, 25:35] = True
    result = zones.build(LungFields(right, left, 0.0))
    for name, source in zip(zones.NAMES, result.stand_in, strict=True):
        assert pixels(result, zones.NAMES[source]).any()
        if name.startswith("right"):
            assert zones.NAMES[source] == "right_whole"


def test_runs_by_hand():
    labels = np.array([[-1, 0, 0, 2], [1, 1, -1, 1]], np.int8)
    assert zones.runs_of(labels).tolist() == [
        [0, 1, 3, 0],
        [0, 3, 4, 2],
        [1, 0, 2, 1],
        [1, 3, 4, 1],
    ]
