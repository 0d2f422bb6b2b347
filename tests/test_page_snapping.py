"""Lines that snap: onto the edge of a disc, and nowhere where there is no edge."""

import numpy as np
import pytest

from cnn.page import snapping
from features.run.files import UserError

MIDDLE, RADIUS = np.array([300.0, 220.0]), 80.0
SIZE = np.array([512, 448])


def disc() -> np.ndarray:
    """A map of 448x512 whose probability falls from 0.8 to 0 over 12 pixels at `RADIUS`."""
    rows, columns = np.mgrid[:448, :512] + 0.5
    distance = np.hypot(columns - MIDDLE[0], rows - MIDDLE[1])
    return (0.8 * np.clip(0.5 - (distance - RADIUS) / 12, 0, 1)).astype(np.float32)


def circle(radius: float, count: int = 90) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return (MIDDLE + radius * np.column_stack([np.cos(angle), np.sin(angle)])) / SIZE


def radii(line: np.ndarray) -> np.ndarray:
    return np.hypot(*(line * SIZE - MIDDLE).T)


@pytest.mark.parametrize("drawn", [72.0, 80.0, 87.0])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_circle_snaps_to_the_disc(drawn, turn):
    assert radii(snapping.snap(circle(drawn)[::turn], disc())) == pytest.approx(RADIUS, abs=2.5)


def test_one_that_is_too_far_stays_where_it_was_drawn():
    assert radii(snapping.snap(circle(130.0), disc())) == pytest.approx(130.0, abs=0.5)


def test_no_edge_moves_nothing():
    for flat in (np.zeros((448, 512), np.float32), np.full((448, 512), 0.9, np.float32)):
        assert radii(snapping.snap(circle(60.0), flat)) == pytest.approx(60.0, abs=0.5)


def test_an_edge_that_falls_inwards_is_none():
    assert radii(snapping.snap(circle(80.0), 0.8 - disc())) == pytest.approx(80.0, abs=0.5)


def test_a_trembling_line_gets_smooth_and_no_point_moves_far():
    rng = np.random.default_rng(0)
    line = circle(80.0) + rng.uniform(-4, 4, (90, 2)) / SIZE
    moved = snapping.snap(line, disc())
    assert np.abs(radii(moved) - RADIUS).mean() < np.abs(radii(line) - RADIUS).mean()
    farthest = snapping.REACH * 512 + 1
    assert np.all(np.abs(radii(moved) - RADIUS) < farthest + 4)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_lines_without_an_inside(count):
    line = np.full((count, 2), 0.5)
    assert np.array_equal(snapping.snap(line, disc()), line)


def test_a_line_that_nobody_draws():
    line = np.random.default_rng(0).random((1000, 2))
    with pytest.raises(UserError, match=r"pictures long, and at most 30 can be snapped"):
        snapping.snap(line, disc())
