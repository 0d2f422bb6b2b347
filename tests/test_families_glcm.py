"""Co-occurrence counts: those of zones that nest, from those of the smallest zones."""

import numpy as np
from numpy.testing import assert_array_equal

from features.families import glcm
from features.lungs import zones
from features.lungs.fields import LungFields


def test_nested_pairs_add_up_to_those_of_each_zone_by_itself():
    rng = np.random.default_rng(0)
    boxes = np.zeros((2, 80, 90), bool)
    boxes[0, 5:75, 5:40] = boxes[1, 5:70, 50:85] = True
    labels = zones.build(LungFields(boxes[0], boxes[1], 1.0)).labels
    bins = rng.integers(0, 16, (80, 90))
    together = glcm.counts(bins, labels, 1, len(zones.NAMES)).sum(axis=0)
    expected = sum(glcm.counts(bins, way, 1, len(zones.NAMES)).sum(axis=0) for way in labels)
    assert_array_equal(np.tensordot(glcm.NESTED, together, 1), expected)
