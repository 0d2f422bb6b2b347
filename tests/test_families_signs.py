"""Signs of a pneumothorax drawn by hand: each family measures the one that it is made for."""

import numpy as np
import pytest

from features.families import fractal, gradients, markings, pleura, profiles, shape
from tests.helpers import box_lungs
from tests.helpers.box_lungs import STUDY, prepared, value


@pytest.fixture
def noise() -> np.ndarray:
    return box_lungs.noise()


def test_a_line_along_the_wall_is_distinguished_from_one_across():
    grey = np.zeros((120, 120))
    along, across = grey.copy(), grey.copy()
    along[:, 18] = 5  # the right lung's chest wall is column 12
    across[60, :] = 5
    assert value(gradients.FAMILY, prepared(along), "right_middle", "along_wall") > 0.9
    assert value(gradients.FAMILY, prepared(across), "right_middle", "along_wall") < 0.1


def test_a_pleural_line_is_measured():
    """A line 6 pixels inside the right lung's wall, darker air outside of it."""
    grey = np.zeros((120, 120))
    grey[:, 12:18] = -1
    grey[:, 18] = 1
    image = prepared(grey)
    assert value(pleura.FAMILY, image, "right_rim", "longest") > 60
    assert value(pleura.FAMILY, image, "right_middle", "step") == pytest.approx(1, abs=0.2)
    assert value(pleura.FAMILY, image, "right_middle", "distance") == pytest.approx(
        6 / 36, abs=0.02
    )
    assert value(pleura.FAMILY, image, "left_rim", "length") == 0
    # A line that crosses the lung from the wall is none.
    crossing = np.zeros((120, 120))
    crossing[60] = 1
    assert value(pleura.FAMILY, prepared(crossing), "right_middle", "length") < 0.01


def test_missing_markings_are_seen(noise):
    grey = noise.copy()
    grey[:, 12:28] = 0  # nothing in the outer part of the right lung
    image = prepared(grey)
    assert (
        value(markings.FAMILY, image, "right_rim", "empty")
        > 0.5
        > 0.2
        > value(markings.FAMILY, image, "left_rim", "empty")
    )
    assert value(markings.FAMILY, image, "right_whole", "inwards") > 0.01
    assert value(markings.FAMILY, image, "right_rim", "density") < value(
        markings.FAMILY, image, "left_rim", "density"
    )


def test_fractal_dimension_of_a_plane_and_of_noise(noise):
    plane = np.add.outer(np.arange(120), np.arange(120)) / 60
    assert value(fractal.FAMILY, prepared(plane), "right_middle_core", "fine") == pytest.approx(
        2, abs=0.01
    )
    assert value(fractal.FAMILY, prepared(noise), "right_middle_core", "fine") == pytest.approx(
        3, abs=0.1
    )


def test_profile_of_a_step():
    grey = np.zeros((120, 120))
    grey[:, 12:18] = -1  # air over the outer 6 of 36 columns of the right lung
    image = prepared(grey)
    assert value(profiles.FAMILY, image, "right_middle", "grey1") == pytest.approx(-1)
    assert value(profiles.FAMILY, image, "right_middle", "grey7") == pytest.approx(0)
    assert value(profiles.FAMILY, image, "right_middle", "jump_at") == pytest.approx(0.13)
    assert value(profiles.FAMILY, image, "left_middle", "jump") == 0


def test_shape_of_boxes(noise):
    image = prepared(noise)
    assert value(shape.FAMILY, image, "right_whole", "area") == pytest.approx(96 * 36 / 120**2)
    assert value(shape.FAMILY, image, "left_whole", "fill") == 1.0
    assert value(shape.FAMILY, image, "right_whole", "elongation") == pytest.approx(96 / 36)
    assert value(shape.FAMILY, image, "right_whole", "sulcus") == 0
    _, _, mediastinum, diaphragm = shape.measure_image(image, STUDY)
    assert (mediastinum, diaphragm) == (0, 0)
