"""The evidence map summed up by zone, worked out by hand."""

import numpy as np

from features.families import map_summary
from features.lungs.zones import FINEST_NAMES, NAMES, PARENTS


def test_zone_summaries_by_hand():
    columns = dict(enumerate(map_summary.names()))
    apex = NAMES.index("right_apex_rim"), NAMES.index("right_apex_core")
    base = NAMES.index("left_base_core")
    zones = np.array([apex[0], apex[0], apex[1], base])
    row = map_summary.summarise(np.array([0.5, 0.2]), np.array([0.2, 0.4, 0.9, 0.1]), zones)
    value = {columns[k]: v for k, v in enumerate(row)}
    np.testing.assert_allclose(value["evidence.right_apex.mean"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(value["evidence.right_apex_rim.mean"], 0.3, rtol=1e-6)
    np.testing.assert_allclose(value["evidence.right_rim.most"], 0.4, rtol=1e-6)
    np.testing.assert_allclose(value["evidence.right_whole.most"], 0.9, rtol=1e-6)
    # No cell lies there: the whole lung stands in.
    np.testing.assert_allclose(value["evidence.left_apex.mean"], 0.1, rtol=1e-6)
    np.testing.assert_allclose(value["evidence.right_whole.lung"], 0.0, atol=1e-6)
    np.testing.assert_allclose(value["evidence.left_whole.lung"], np.log(0.25), rtol=1e-6)
    # By texture alone the cells have 0.4, 0.8, almost 1 and 0.5.
    np.testing.assert_allclose(
        value["evidence.right_apex_rim.texture"], np.log(0.6 / 0.4), rtol=1e-6
    )
    np.testing.assert_allclose(
        value["evidence.right_rim.top_texture"], np.log(0.8 / 0.2), rtol=1e-5
    )
    np.testing.assert_allclose(value["evidence.left_apex.top_texture"], 0, atol=1e-6)


def test_the_most_suspicious_twentieth_against_brute_force():
    rng = np.random.default_rng(0)
    zones = rng.choice([NAMES.index(name) for name in FINEST_NAMES], 700)
    cells, lungs = 0.5 * rng.random(700), np.array([0.7, 0.6])
    columns = map_summary.names()
    row = dict(zip(columns, map_summary.summarise(lungs, cells, zones), strict=True))
    for place, inside in zip(NAMES, PARENTS[:, zones], strict=True):
        texture = cells[inside] / lungs[int(place.startswith("left"))]
        top = np.sort(texture)[-max(len(texture) // 20, 1) :].mean()
        expected = np.log(top / (1 - top))
        np.testing.assert_allclose(row[f"evidence.{place}.top_texture"], expected, rtol=1e-5)
