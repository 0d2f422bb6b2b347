"""Cells of the lungs: hand-made images, the mirror, and what lies outside the lungs."""

import numpy as np
import pytest

from features.cells import measure as cells
from features.lungs.fields import LungFields
from features.lungs.prepared import Prepared, assemble
from features.lungs.zones import NAMES

H, W = 128, 160
COLUMN = {measure.name: number for number, measure in enumerate(cells.MEASURES)}


def boxes() -> LungFields:
    """Two lungs on whole cells: rows 2 to 13, columns 2 to 7 and 12 to 17 of the grid."""
    right, left = np.zeros((H, W), bool), np.zeros((H, W), bool)
    right[16:112, 16:64] = True
    left[16:112, 96:144] = True
    return LungFields(right, left, 1.0)


def image(scene: np.ndarray) -> Prepared:
    return assemble(scene.astype(np.float32), boxes())


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (H, W)).astype(np.float32)


def test_every_cell_of_two_boxes_is_found_with_its_place(noise):
    result = cells.measure(image(noise))
    assert len(result.rows) == 2 * 12 * 6
    assert result.values.shape == (144, len(cells.MEASURES))
    assert np.isfinite(result.values).all()
    assert (result.sides == (result.columns > 9)).all()
    height = result.values[:, COLUMN["place.height"]]
    np.testing.assert_allclose(height, (result.rows - 2) / 11, atol=1e-6)
    across = result.values[:, COLUMN["place.across"]]
    inner = np.where(result.sides == 0, result.columns - 2, 17 - result.columns)
    np.testing.assert_allclose(across, inner / 5, atol=1e-6)
    assert {NAMES[zone].split("_")[0] for zone in result.zones[result.sides == 0]} == {"right"}


def test_squares_and_ways_are_means_over_cells(noise):
    result = cells.measure(image(noise))
    plain = result.values[:, COLUMN["ridge_fine.cell"]]
    at = {(r, c): v for r, c, v in zip(result.rows, result.columns, plain, strict=True)}
    for number in (0, 5, 70, 143):
        row, column, side = result.rows[number], result.columns[number], result.sides[number]
        lung = [key for key in at if (key[1] > 9) == side]
        near = [at[k] for k in at if abs(k[0] - row) <= 1 and abs(k[1] - column) <= 1]
        # From the cell to the wall: to the left in the right lung, to the right in the left.
        outwards = [at[k] for k in lung if k[0] == row and (k[1] - column) * (2 * side - 1) >= 0]
        upwards = [at[k] for k in lung if k[1] == column and k[0] <= row]
        for name, members in {"near": near, "outwards": outwards, "upwards": upwards}.items():
            value = result.values[number, COLUMN[f"ridge_fine.{name}"]]
            np.testing.assert_allclose(value, np.mean(members), rtol=1e-4)


def test_a_mirrored_image_swaps_the_lungs(noise):
    result, mirrored = cells.measure(image(noise)), cells.measure(image(noise[:, ::-1]))
    order = np.lexsort((-mirrored.columns, mirrored.rows))
    assert (mirrored.sides[order] == 1 - result.sides).all()
    np.testing.assert_allclose(mirrored.values[order], result.values, atol=2e-4)


def test_pixels_outside_the_lungs_change_nothing(noise):
    other = noise.copy()
    other[~(boxes().right | boxes().left)] = 3.0
    np.testing.assert_array_equal(
        cells.measure(image(noise)).values, cells.measure(image(other)).values
    )


def test_cells_keep_their_place_and_values_in_a_wider_image(noise):
    fields = boxes()
    pads = ((64, 40), (72, 21))  # the lungs lie elsewhere, but on the same grid
    lungs = (np.pad(lung, pads) for lung in (fields.right, fields.left))
    wide = assemble(np.pad(noise, pads, constant_values=3.0), LungFields(*lungs, 1.0))
    result, moved = cells.measure(image(noise)), cells.measure(wide)
    np.testing.assert_array_equal(moved.rows, result.rows + 8)
    np.testing.assert_array_equal(moved.columns, result.columns + 9)
    np.testing.assert_array_equal(moved.zones, result.zones)
    np.testing.assert_array_equal(moved.values, result.values)


def test_a_line_along_the_wall_stands_out(noise):
    scene = 0.05 * noise
    scene[16:112, 36:38] += 1.0
    result = cells.measure(image(scene))
    line = result.values[:, COLUMN["line_fine.near"]]
    assert set(result.columns[line > 0.5 * line.max()]) <= {3, 4, 5}
    assert (result.sides[line > 0.5 * line.max()] == 0).all()


def test_every_measure_is_named_once_and_explained():
    names = [measure.name for measure in cells.MEASURES]
    assert len(set(names)) == len(names)
    assert all(measure.text for measure in cells.MEASURES)
