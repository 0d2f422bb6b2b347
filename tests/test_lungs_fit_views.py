"""X-rays with known lungs, and random views of them."""

from pathlib import Path

import numpy as np
import pytest

from features.lungs import frames
from features.lungs_fit import cases, views
from features.run.files import UserError
from tests.helpers.drawn_chest import drawn_chest


def test_signed_distance_by_hand() -> None:
    mask = np.zeros((1, 6), bool)
    mask[0, 1:4] = True
    expected = [[-0.5, 0.5, 1.5, 0.5, -0.5, -1.5]]
    assert np.allclose(views.signed_distance(mask), expected)


def test_a_random_view_carries_its_truth() -> None:
    pixels, right, left = drawn_chest()
    maps = [views.signed_distance(m) for m in (right, left)]
    for seed in range(5):
        view = views.random_view(pixels, maps[0], maps[1], np.random.default_rng(seed))
        assert view.image.shape == (frames.SIDE,) * 2 and np.isfinite(view.image).all()
        x = views.canvas_points()[0]
        assert x[view.right > 0].mean() < view.pose[0] < x[view.left > 0].mean()


def test_a_wrong_folder_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --data the lung-masks folder"):
        cases.read_cases(tmp_path)


def test_phantoms_have_their_lungs() -> None:
    for case in cases.phantom_cases(2):
        assert case.pixels.shape == case.right.shape == case.left.shape == (512, 512)
        assert case.right.any() and case.left.any() and not (case.right & case.left).any()
        assert case.pixels.max() <= 1
