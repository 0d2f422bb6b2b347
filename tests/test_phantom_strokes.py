"""Strokes of phantoms, and the trees of vessels that are drawn by them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from features.phantom.lung_shape import lungs
from features.phantom.strokes import PITCH, SIDE, curve, draw, smooth_curve
from features.phantom.vessels import vessel_tree, vessels
from tests.helpers.phantom_chest import chest


def test_a_stroke_attenuates_as_much_as_it_is_given() -> None:
    line = np.array([[-60.0, 10.0], [60.0, 10.0]])
    drawn = draw([curve(line, 1.4, 0.5)])
    row = round(10 / PITCH + (SIDE - 1) / 2)
    middle = drawn[row - 20 : row + 21, SIDE // 2 - 30 : SIDE // 2 + 30]
    assert middle.max() == pytest.approx(0.5, rel=0.05)
    # The integral across a Gaussian profile is its peak times sqrt(2 pi) times its radius.
    across = middle.sum(axis=0).mean() * PITCH
    assert across == pytest.approx(0.5 * np.sqrt(2 * np.pi) * 1.4, rel=0.02)
    assert drawn[row + 20].max() == pytest.approx(0, abs=1e-4)


def test_strokes_outside_the_grid_are_clipped_and_none_draw_nothing() -> None:
    far = curve(np.array([[1e4, 0.0], [1e4, 50.0]]), 1.0, 1.0)
    assert not draw([far]).any()
    assert not draw([]).any()


def test_a_smooth_curve_passes_through_its_anchors() -> None:
    anchors = [(0.0, 0.0), (10.0, 5.0), (20.0, -5.0)]
    points = smooth_curve(anchors, 201)
    assert points[[0, 100, 200]] == pytest.approx(np.array(anchors), abs=1e-6)


def test_vessels_thin_out_and_join_their_parents() -> None:
    generations = vessel_tree(np.random.default_rng(0), calibre=1.0, reach=100.0)
    thickest = [radius.max() for _, radius in generations]
    assert thickest == sorted(thickest, reverse=True)
    for (parent, _), (daughter, _) in pairwise(generations):
        ends = np.concatenate([parent[:, -1], parent[:, -1]])
        assert np.hypot(*(daughter[:, 0] - ends).T).max() < 1.0


def test_the_pose_changes_the_picture_of_the_same_person() -> None:
    patient, erect = chest()
    supine = replace(erect, pose="supine")
    spaces = [lungs(patient, exposure, None)[0] for exposure in (erect, supine)]
    assert spaces[1].sum() < spaces[0].sum()  # the great veins are wider
    fields = lungs(patient, erect, None)[1]
    chord = np.full((SIDE, SIDE), 60.0, np.float32)
    lower_share = []
    for pose in ("erect", "supine"):
        strokes = np.concatenate(
            vessels(fields[0], np.random.default_rng(0), patient, chord, pose), axis=1
        )
        below = strokes[1] > fields[0].hilum[1]
        lower_share.append(strokes[3][below].sum() / strokes[3].sum())
    assert lower_share[0] > lower_share[1] + 0.03  # blood sinks
