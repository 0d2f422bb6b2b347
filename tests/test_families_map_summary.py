"""The evidence map summed up by zone, worked out by hand."""

import numpy as np

from features.families import map_summary
from features.lungs.zones import NAMES


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
