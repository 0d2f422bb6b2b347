"""The report's pictures: which cases, what is coloured where, waterfall and figures."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from baseline.explanation import overlays
from baseline.explanation.attributions import Explanation
from baseline.explanation.wording import label
from baseline.learning import scores
from baseline.report import plots, waterfall, which_cases
from baseline.report.waterfall import Contribution
from features.families import registry
from features.lungs.fields import LungFields
from features.lungs.zones import NAMES as ZONE_NAMES
from features.lungs.zones import build
from features.reading import square_pixels
from tests.helpers.page_reader import polygons


# --- choosing cases --------------------------------------------------------------------------
def rows(probabilities: list[float], truth: list[int]) -> pd.DataFrame:
    ids = [f"i{k}" for k in range(len(truth))]
    return pd.DataFrame({"id": ids, "probability": probabilities, "truth": truth})


def test_cases_are_the_clearest_of_each_group():
    table = rows([0.9, 0.8, 0.1, 0.2, 0.95, 0.05, 0.02, 0.49], [1, 1, 1, 1, 0, 0, 0, 0])
    chosen = which_cases.choose(table, 5)
    assert dict(zip(chosen["group"], chosen["id"], strict=True)) == {
        "true positive": "i0", "false negative": "i2", "false positive": "i4",
        "true negative": "i6", "near the threshold": "i7",
    }  # fmt: skip


def test_cases_do_not_depend_on_the_order_of_the_table_and_none_comes_twice():
    rng = np.random.default_rng(0)
    table = rows(list(np.round(rng.uniform(size=60), 1)), list(rng.integers(0, 2, 60)))
    first = which_cases.choose(table, 12)
    again = which_cases.choose(table.sample(frac=1, random_state=1), 12)
    pd.testing.assert_frame_equal(first, again)
    assert first["id"].is_unique and len(first) == 12
    assert len(which_cases.choose(table, 100)) == 60


# --- drawing ---------------------------------------------------------------------------------
def area(path: str) -> float:
    """Area within SVG polygons, by the shoelace formula."""
    total = 0.0
    for points in polygons(path):
        x, y = points.T
        total += abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    return total


def test_an_outline_encloses_the_mask_where_it_lies():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    path = overlays.outline(mask)
    # Its corners are cut and its edges may leave the grid by the rounding: 100 pixels of perimeter.
    assert area(path) == pytest.approx(600, abs=100 * overlays.ROUNDING)
    (points,) = polygons(path)
    np.testing.assert_allclose(points.min(axis=0), [20, 10])
    np.testing.assert_allclose(points.max(axis=0), [50, 30])
    assert overlays.outline(np.zeros((5, 5), bool)) == ""


def test_regions_cover_the_lungs_and_add_up_the_zones_they_lie_in():
    right, left = np.zeros((2, 200, 200), bool)
    right[20:180, 20:80] = True
    left[20:180, 120:180] = True
    zones = build(LungFields(right, left, 1.0))
    sums = pd.Series(dict.fromkeys((*ZONE_NAMES, "image"), 0.0))
    sums["left_whole"], sums["left_apex"], sums["left_rim"] = 1.0, 2.0, 4.0
    regions = overlays.regions(zones, sums)
    assert sum(area(region.path) for region in regions) == pytest.approx(2 * 160 * 60, rel=0.03)
    by_zones = {region.zones: region.contribution for region in regions}
    assert by_zones["left_whole", "left_apex", "left_rim", "left_apex_rim"] == 7.0
    assert by_zones["left_whole", "left_base", "left_core", "left_base_core"] == 1.0
    assert by_zones["right_whole", "right_apex", "right_rim", "right_apex_rim"] == 0.0


def test_shrinking_keeps_the_place_of_a_mask():
    mask = np.zeros((1024, 1024), bool)
    mask[512:, :256] = True
    small = square_pixels.resample_mask(mask, (4, 8))
    assert small[2:, :2].all() and small.sum() == 4


# --- waterfall and figures -------------------------------------------------------------------
def test_a_waterfall_ends_at_the_score_and_drops_nothing():
    values = {"a": 0.5, "b": -1.0, "c": 0.1, "d": -0.2}
    contributions = [Contribution(name, "", "", value) for name, value in values.items()]
    bars = waterfall.waterfall(-0.3, contributions, 2, "others")
    assert [bar.what for bar in bars[1:-1]] == ["b", "a", "all 2 other others"]
    assert [bar.kind for bar in bars] == ["total", "against", "for", "against", "total"]
    assert bars[-1].value == pytest.approx(-0.3 + sum(values.values()))
    assert bars[0].value + sum(bar.value for bar in bars[1:-1]) == pytest.approx(bars[-1].value)
    assert all(bar.left >= 0 and bar.left + bar.width <= 100 for bar in bars)
    # Each bar begins where the one before it ended: "b" goes left from the base value's bar.
    assert bars[1].left + bars[1].width == pytest.approx(bars[0].left, abs=0.02)


def test_reliability_bins_by_hand():
    labels = np.array([0.0, 0, 1, 1])
    bins = plots.reliability_bins(labels, np.array([0.1, 0.3, 0.6, 0.8]), 2)
    np.testing.assert_allclose(bins[:, :2], [[0.2, 0], [0.7, 1]])
    # Wilson's interval of 0 out of 2 reaches to z^2 / (n + z^2).
    z2 = scores.Z95**2
    np.testing.assert_allclose(bins[0, 2:], [0, z2 / (2 + z2)], atol=1e-12)


def test_a_beeswarm_puts_its_dots_where_the_axis_says_and_keeps_its_labels_whole():
    names = ("confounders.right_whole.wall_dark", "glcm.left_apex.contrast_d1")
    values = np.array([[-1.0, 0.1], [1.0, 0.2]])
    swarm = plots.beeswarm(
        Explanation(np.array(["a", "b"], object), names, np.zeros(2), values), values
    )
    assert [(row.what, row.where) for row in swarm.rows] == [
        (label(name), registry.zone_in_words(registry.describe(name).zone)) for name in names
    ]
    ticks = {tick.text: tick.place for tick in swarm.ticks}
    assert list(ticks) == ["−0.5", "0", "+0.5"]
    png = base64.b64decode(swarm.rows[0].uri.partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    # What is coloured is a dot; line and background are grey.
    coloured = np.flatnonzero((np.ptp(pixels, axis=2) > 60).any(axis=0))
    groups = np.split(coloured, np.flatnonzero(np.diff(coloured) > 1) + 1)
    centres = [100 * group.mean() / pixels.shape[1] for group in groups]
    step = ticks["+0.5"] - ticks["0"]
    expected = [ticks["0"] - 2 * step, ticks["0"] + 2 * step]
    np.testing.assert_allclose(centres, expected, atol=0.5)
