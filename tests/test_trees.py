"""Trees are read from LightGBM's own text and give its numbers to the last bit."""

import lightgbm
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from features import trees


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_trees_equal_lightgbm(rng):
    table = rng.normal(size=(500, 4)).astype(np.float32)
    table[:, 3] = np.rint(table[:, 3])  # zeros and ties
    goal = np.where(table[:, 0] > 0, table[:, 1] ** 2, table[:, 3])
    # So many rows are asked for in a leaf, of a part of them, that some trees have fewer leaves.
    settings = {"num_leaves": 12, "min_data_in_leaf": 15, "bagging_fraction": 0.4}
    settings |= {"bagging_freq": 1, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(table, goal), 20)
    model = trees.parse(booster.model_to_string())
    assert len(set(model.leaves)) > 1
    assert_array_equal(trees.predict(model, table), booster.predict(table, num_threads=1))
    assert_array_equal(trees.predict(model, table[:0]), [])


def test_fields_are_those_of_lightgbms_own_table(rng):
    table = rng.normal(size=(200, 3))
    booster = lightgbm.train(
        {"num_leaves": 6, "verbose": -1}, lightgbm.Dataset(table, table[:, 0] * table[:, 1]), 5
    )
    model, nodes = trees.parse(booster.model_to_string()), booster.trees_to_dataframe()
    # Its table goes down each tree depth first; split k of a tree is its node "<tree>-Sk".
    number = nodes["node_index"].str.extract(r"[SL](\d+)$")[0].astype(int)
    nodes = nodes.assign(number=number).sort_values(["tree_index", "number"])
    is_split = nodes["split_feature"].notna()
    splits, leaves = nodes[is_split], nodes[~is_split]
    assert_array_equal(model.leaves, leaves.groupby("tree_index").size())
    assert_array_equal(
        model.feature, splits["split_feature"].str.removeprefix("Column_").astype(int)
    )
    assert_array_equal(model.threshold, splits["threshold"])
    assert_array_equal(model.split_count, splits["count"])
    assert_array_equal(model.leaf_value, leaves["value"])
    assert_array_equal(model.leaf_count, leaves["count"])
    for side, column in enumerate(("left_child", "right_child")):
        kind = splits[column].str.extract(r"([SL])(\d+)$")
        child = kind[1].astype(int).where(kind[0] == "S", -1 - kind[1].astype(int))
        assert_array_equal(model.children[:, side], child)
    assert not model.missing


def test_a_value_beside_a_threshold_goes_where_lightgbm_sends_it():
    # No float32 lies between these two, so that the threshold, their middle, is none itself.
    below = np.float32(1)
    table = np.array([below, np.nextafter(below, np.float32(2))] * 50, np.float32)[:, None]
    goal = np.arange(100) % 2.0
    booster = lightgbm.train(
        {"verbose": -1, "min_data_in_leaf": 1}, lightgbm.Dataset(table, goal), 1
    )
    model = trees.parse(booster.model_to_string())
    assert model.single_threshold.dtype == np.float32
    assert (model.single_threshold <= model.threshold).all()
    assert len(set(trees.predict(model, table))) == 2
    assert_array_equal(trees.predict(model, table), booster.predict(table))


def test_trees_of_one_leaf_equal_lightgbm(rng):
    table = rng.normal(size=(50, 2)).astype(np.float32)
    settings = {"min_data_in_leaf": 60, "verbose": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(table, rng.normal(size=50)), 2)
    model = trees.parse(booster.model_to_string())
    assert_array_equal(trees.predict(model, table), booster.predict(table))


def test_trees_learned_from_missing_values_are_not_followed(rng):
    table = rng.normal(size=(100, 1))
    table[:30] = np.nan
    goal = np.isnan(table).astype(float).ravel()
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(table, goal), 1)
    model = trees.parse(booster.model_to_string())
    with pytest.raises(ValueError, match="know no missing values"):
        trees.predict(model, table.astype(np.float32))


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {"categorical_feature": [0]}),
        ({"zero_as_missing": True}, {}),
        ({"linear_tree": True}, {}),
    ],
    ids=["categories", "zeros for missing", "linear leaves"],
)
def test_trees_that_are_not_understood_are_refused(settings, options):
    table = np.arange(200.0)[:, None] % 3
    table[:20] = 0
    data = lightgbm.Dataset(table, (table[:, 0] == 1).astype(float), **options)
    settings = {"verbosity": -1, "min_data_per_group": 1, "min_data_in_leaf": 5} | settings
    booster = lightgbm.train(settings, data, 5)
    with pytest.raises(ValueError, match="only trees with numerical splits"):
        trees.parse(booster.model_to_string())


def test_a_text_that_is_cut_short_is_refused(rng):
    table = rng.normal(size=(100, 2))
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(table, table[:, 0]), 3)
    text = booster.model_to_string()
    for part in ("", text[: text.rindex("leaf_value=")]):
        with pytest.raises(ValueError, match="not the text of a LightGBM model"):
            trees.parse(part)
