"""Evidence maps read back and painted."""

import numpy as np
import pandas as pd
import pytest

from baseline.evidence_map import maps
from baseline.evidence_map.maps import EvidenceMap
from features.run.files import UserError
from features.run.folder import RunFolder
from features.squares import geometry

# Probability that the lung of a cell, whichever, has collapsed.
ONE = np.ones(1, np.float32)


def test_cells_keep_their_value_at_their_middle_and_blend_between():
    # 512 pixels are 64 cells; at 1,024 pixels a cell is 16 wide and its middle lies at 7.5.
    evidence = EvidenceMap(
        np.array([10, 10]), np.array([20, 21]), np.array([0.2, 0.6], np.float32), ONE
    )
    painted = maps.paint(evidence, (1024, 1024))
    np.testing.assert_allclose(painted[167:169, 327:329].mean(), 0.2, atol=0.02)
    np.testing.assert_allclose(painted[167:169, 335:337].mean(), 0.4, atol=0.02)
    np.testing.assert_allclose(painted[167:169, 343:345].mean(), 0.6, atol=0.02)
    # The cells' own squares are painted (their corners are cut), and nothing further out.
    rows, columns = np.nonzero(painted)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (160, 175, 320, 351)


def test_a_constant_map_is_constant_in_the_lung_whatever_the_shape():
    for shape in ((1024, 1024), (512, 512), (700, 500), (300, 301)):
        grid = np.argwhere(np.ones((20, 20))) + 5
        lung = EvidenceMap(grid[:, 0], grid[:, 1], np.full(400, 0.3, np.float32), ONE)
        painted = maps.paint(lung, shape)
        assert painted.shape == shape
        np.testing.assert_allclose(painted[painted > 0], 0.3, rtol=1e-5)
        side = max(shape) / 512 * 8 * 20
        np.testing.assert_allclose((painted > 0).sum(), side**2, rtol=0.05)


def test_on_the_networks_square_the_map_lies_where_the_x_ray_does():
    grid = np.argwhere(np.ones((20, 20))) + 5
    values = np.random.default_rng(0).random(400, np.float32)
    lung = EvidenceMap(grid[:, 0], grid[:, 1], values, ONE)
    square = maps.paint_at(lung, (512, 384), *geometry.centres(512, 384, 512))
    np.testing.assert_allclose(square[:, 64:448], maps.paint(lung, (512, 384)), atol=1e-6)
    assert not square[:, :64].any() and not square[:, 448:].any()
    small = maps.paint_at(lung, (512, 384), *geometry.centres(512, 384, 128))
    shrunk = geometry.to_square(maps.paint(lung, (512, 384)), 128)
    assert np.abs(small - shrunk).mean() < 0.01


def test_only_the_lung_more_likely_to_have_collapsed_is_drawn():
    evidence = EvidenceMap(
        np.arange(4), np.arange(4), np.float32([0.2, 0.5, 0.1, 0.3]), np.float32([0.4, 0.6] * 2)
    )
    np.testing.assert_array_equal(
        maps.of_one_lung(evidence).probability, np.float32([0, 0.5, 0, 0.3])
    )
    assert maps.of_one_lung(maps.EMPTY).probability.size == 0


def test_an_image_without_cells_is_empty():
    assert not maps.paint(maps.EMPTY, (64, 80)).any()


def write_map(run, parts):
    table = pd.concat(parts, ignore_index=True)
    run.evidence_map.write(table[["id", "row", "column", "probability", "lung", "for_fold"]])


def test_maps_of_several_models_are_averaged(tmp_path):
    run, place = RunFolder(tmp_path), pd.DataFrame({"row": [1, 2], "column": [3, 3]})
    parts = [
        place.assign(id="a", probability=[0.2, 0.4], lung=[0.5, 0.7], for_fold=0),
        place.assign(id="a", probability=[0.4, 0.8], lung=[0.7, 0.9], for_fold=1),
        place.assign(id="b", probability=[0.1, 0.2], lung=0.3, for_fold=1),
    ]
    write_map(run, parts)
    by_id = maps.read(run)
    np.testing.assert_allclose(by_id["a"].probability, [0.3, 0.6])
    np.testing.assert_allclose(by_id["a"].lung, [0.6, 0.8])
    np.testing.assert_allclose(by_id["b"].probability, [0.1, 0.2])
    np.testing.assert_array_equal(by_id["a"].rows, [1, 2])
    # A model of fold 1 sees its own prediction alone.
    for_fold = maps.read_for_fold(run, 1)
    np.testing.assert_allclose(for_fold["a"].probability, [0.4, 0.8])
    assert list(for_fold) == ["a", "b"] and list(maps.read_for_fold(run, 0)) == ["a"]
    write_map(run, [*parts, place.assign(id="c", probability=0.5, lung=0.5, for_fold=2)])
    with pytest.raises(UserError, match=r"map\.parquet.*a was predicted by 2 of 3 models"):
        maps.read(run)


def test_an_image_whose_cells_stand_in_two_groups_is_whole(tmp_path):
    """As in the maps of version 0.5.0, whose groups were cut by length."""
    run = RunFolder(tmp_path)
    table = pd.DataFrame(
        {
            "id": pd.Categorical(list("aabbb")),
            "row": [1, 2, 1, 2, 3],
            "column": 3,
            "probability": [0.1, 0.2, 0.3, 0.4, 0.5],
            "lung": 0.5,
            "for_fold": 0,
        }
    )
    run.evidence_map.write_groups([table[:3], table[3:]])
    by_id = maps.read(run)
    np.testing.assert_array_equal(by_id["b"].rows, [1, 2, 3])
    np.testing.assert_array_equal(by_id["b"].probability, np.float32([0.3, 0.4, 0.5]))
    assert list(by_id) == ["a", "b"] and len(by_id["a"].rows) == 2


def test_painting_is_two_products_of_matrices():
    """Interpolation down, then across, as by matrices of all cells' weights."""
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(rng.random((64, 48)) < 0.8)
    values = rng.random(len(rows), np.float32)
    evidence = EvidenceMap(rows, columns, values, np.ones_like(values))
    shape = (700, 525)
    grids = np.zeros((2, 64, 48))
    grids[0, rows, columns], grids[1, rows, columns] = values, 1
    down, across = (
        np.maximum(
            1
            - np.abs(
                np.clip((np.arange(size)[:, None] + 0.5) * count / size - 0.5, 0, count - 1)
                - np.arange(count)
            ),
            0,
        )
        for size, count in zip(shape, (64, 48), strict=True)
    )
    total, share = (down @ grid @ across.T for grid in grids)
    clear = np.abs(share - 0.5) > 1e-6
    expected = np.where(share >= 0.5, total / np.maximum(share, 0.5), 0)
    painted = maps.paint(evidence, shape)
    np.testing.assert_allclose(painted[clear], expected[clear], rtol=1e-5)
    assert 0.3 < (painted > 0).mean() < 1
