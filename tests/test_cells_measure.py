"""Cells of the lungs: hand-made images, the mirror, and what lies outside the lungs."""

import numpy as np
import pandas as pd
import pytest

from features.cells import measure as cells
from features.cells import table
from features.families import map_summary
from features.lungs.fields import LungFields
from features.lungs.prepared import Prepared, assemble
from features.lungs.zones import NAMES
from features.reading import dataset
from features.run import files

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
    found = cells.measure(image(noise))
    assert len(found.rows) == 2 * 12 * 6
    assert found.values.shape == (144, len(cells.MEASURES))
    assert np.isfinite(found.values).all()
    assert (found.sides == (found.columns > 9)).all()
    height = found.values[:, COLUMN["place.height"]]
    np.testing.assert_allclose(height, (found.rows - 2) / 11, atol=1e-6)
    across = found.values[:, COLUMN["place.across"]]
    inner = np.where(found.sides == 0, found.columns - 2, 17 - found.columns)
    np.testing.assert_allclose(across, inner / 5, atol=1e-6)
    assert {NAMES[zone].split("_")[0] for zone in found.zones[found.sides == 0]} == {"right"}


def test_squares_and_ways_are_means_over_cells(noise):
    found = cells.measure(image(noise))
    plain = found.values[:, COLUMN["ridge_fine.cell"]]
    at = {(r, c): v for r, c, v in zip(found.rows, found.columns, plain, strict=True)}
    for number in (0, 5, 70, 143):
        row, column, side = found.rows[number], found.columns[number], found.sides[number]
        lung = [key for key in at if (key[1] > 9) == side]
        near = [at[k] for k in at if abs(k[0] - row) <= 1 and abs(k[1] - column) <= 1]
        # From the cell to the wall: to the left in the right lung, to the right in the left.
        outwards = [at[k] for k in lung if k[0] == row and (k[1] - column) * (2 * side - 1) >= 0]
        upwards = [at[k] for k in lung if k[1] == column and k[0] <= row]
        for name, members in {"near": near, "outwards": outwards, "upwards": upwards}.items():
            value = found.values[number, COLUMN[f"ridge_fine.{name}"]]
            np.testing.assert_allclose(value, np.mean(members), rtol=1e-4)


def test_a_mirrored_image_swaps_the_lungs(noise):
    found, mirrored = cells.measure(image(noise)), cells.measure(image(noise[:, ::-1]))
    order = np.lexsort((-mirrored.columns, mirrored.rows))
    assert (mirrored.sides[order] == 1 - found.sides).all()
    np.testing.assert_allclose(mirrored.values[order], found.values, atol=2e-4)


def test_pixels_outside_the_lungs_change_nothing(noise):
    other = noise.copy()
    other[~(boxes().right | boxes().left)] = 3.0
    np.testing.assert_array_equal(
        cells.measure(image(noise)).values, cells.measure(image(other)).values
    )


def test_cells_keep_their_place_and_values_in_a_wider_image(noise):
    fields = boxes()
    pads = ((64, 40), (72, 21))  # the lungs are found elsewhere, but on the same grid
    lungs = (np.pad(lung, pads) for lung in (fields.right, fields.left))
    wide = assemble(np.pad(noise, pads, constant_values=3.0), LungFields(*lungs, 1.0))
    found, moved = cells.measure(image(noise)), cells.measure(wide)
    np.testing.assert_array_equal(moved.rows, found.rows + 8)
    np.testing.assert_array_equal(moved.columns, found.columns + 9)
    np.testing.assert_array_equal(moved.zones, found.zones)
    np.testing.assert_array_equal(moved.values, found.values)


def test_a_line_along_the_wall_stands_out(noise):
    scene = 0.05 * noise
    scene[16:112, 36:38] += 1.0
    found = cells.measure(image(scene))
    line = found.values[:, COLUMN["line_fine.near"]]
    assert set(found.columns[line > 0.5 * line.max()]) <= {3, 4, 5}
    assert (found.sides[line > 0.5 * line.max()] == 0).all()


def test_every_measure_is_named_once_and_explained():
    names = [measure.name for measure in cells.MEASURES]
    assert len(set(names)) == len(names)
    assert all(measure.text for measure in cells.MEASURES)


def test_cells_are_read_as_they_were_written(png_dataset, tmp_path):
    run = tmp_path / "run"
    dataset.main(dataset.Settings(png_dataset, run, folds=2))
    table.write(table.Settings(run, jobs=1))
    index, values = table.read(run)
    rows = files.read_table(run / "dataset.parquet").set_index("id")
    assert set(index["id"].cat.categories) == {f"i{k}" for k in range(7)}
    for name in ("i1", "i6"):
        own = (index["id"] == name).to_numpy()
        found, shares = table.read_cells((rows.loc[name, "path"], None, (64, 64)))
        assert np.isnan(shares).all()
        np.testing.assert_array_equal(values[own], found.values.astype(np.float16))
        np.testing.assert_array_equal(index["row"][own], found.rows)
        assert index["share"][own].isna().all() == (name == "i6")


@pytest.mark.parametrize(
    ("names", "size", "rule"),
    [
        (table.NAMES, 7, r"values\.f16: its measures are not those of index"),
        (table.NAMES[::-1], 4 * len(table.NAMES), "those of another version"),
    ],
)
def test_measures_of_another_version_are_refused(tmp_path, names, size, rule):
    index = pd.DataFrame({"row": [1, 2]})
    index.attrs["measures"] = names
    files.write_table(tmp_path / "cells" / "index.parquet", index)
    (tmp_path / "cells" / "values.f16").write_bytes(b"\0" * size)
    with pytest.raises(files.UserError, match=rule):
        table.read(tmp_path)


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
