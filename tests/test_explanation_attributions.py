"""Exact Shapley values, and their sums without loss by family, zone and place."""

from itertools import combinations
from math import factorial

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import shap

from baseline.explanation import attributions, tree_shap
from baseline.explanation.reference import of_training
from baseline.learning.calibrate import Calibration
from baseline.learning.estimator import Classifier, raw_scores
from baseline.learning.feature_table import FeatureTable
from features import trees
from features.run.files import UserError

NAMES = (
    "firstorder.right_rim.mean",
    "firstorder.left_rim.mean",
    "asymmetry.rim.firstorder_mean",
    "glcm.left_apex.contrast_d1",
    "shape.image.width",
)


def make(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of which the rims decide; the comparison is what the rims make it."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, len(NAMES))), columns=list(NAMES))
    table[NAMES[2]] = (table[NAMES[0]] - table[NAMES[1]]).abs()
    labels = (table[NAMES[2]] + 0.3 * rng.normal(size=n) > 1.2).to_numpy(float)
    return table.astype(np.float32).set_index(pd.Index([f"i{k}" for k in range(n)])), labels


def fit(seed: int = 0, names: tuple[str, ...] = NAMES, rounds: int = 25) -> Classifier:
    table, labels = make(200, seed)
    model = Classifier(rounds=rounds, feature_share=1.0, leaf_size=5, leaves=4)
    return model.fit(table[list(names)], labels)


def expectation(node: dict, row: np.ndarray, known: frozenset[int]) -> float:
    """Expected leaf value of a tree if only some features are known, by the training counts."""
    if "leaf_value" in node:
        return node["leaf_value"]
    children = [node["left_child"], node["right_child"]]
    if node["split_feature"] in known:
        chosen = children[0 if row[node["split_feature"]] <= node["threshold"] else 1]
        return expectation(chosen, row, known)
    counts = [child.get("internal_count", child.get("leaf_count")) for child in children]
    values = [expectation(child, row, known) for child in children]
    return float(np.dot(counts, values) / sum(counts))


def brute_force(booster, row: np.ndarray) -> np.ndarray:
    """Shapley values by their definition, over all subsets of features (Shapley 1953)."""
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    m = len(row)
    result = np.zeros(m)
    for i in range(m):
        others = [j for j in range(m) if j != i]
        for size in range(m):
            weight = factorial(size) * factorial(m - size - 1) / factorial(m)
            for subset in combinations(others, size):
                have = frozenset(subset)
                gain = sum(
                    expectation(tree, row, have | {i}) - expectation(tree, row, have)
                    for tree in trees
                )
                result[i] += weight * gain
    return result


def test_values_are_shapley_values_by_definition():
    booster = fit(rounds=4).booster_
    table = make(3, seed=9)[0]
    base, values = attributions.values_of(booster, table)
    # LightGBM compares in double precision what the table holds in single.
    for row, shap_values in zip(table.to_numpy(float), values, strict=True):
        np.testing.assert_allclose(shap_values, brute_force(booster, row), atol=1e-9)
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    nothing = sum(expectation(tree, row, frozenset()) for tree in trees)
    assert base == pytest.approx(nothing, abs=1e-9)


def trees_of(leaves: int, rounds: int = 40, images: int = 200) -> lgb.Booster:
    """Trees whose paths ask the same features again and again: five features, many splits."""
    table, labels = make(images, 2)
    labels = np.random.default_rng(0).permutation(labels)
    model = Classifier(rounds=rounds, feature_share=0.8, leaf_size=2, leaves=leaves, l2=0.1)
    return model.fit(table, labels).booster_


@pytest.mark.parametrize("leaves", [2, 5, 8, tree_shap.MOST_LEAVES, tree_shap.MOST_LEAVES + 4])
@pytest.mark.parametrize("images", [1, tree_shap.FEWEST_IMAGES + 50])
def test_values_are_those_of_the_shap_package(leaves, images):
    booster, table = trees_of(leaves), make(images, seed=8)[0].astype(float)
    if leaves > 2:
        assert trees.parse(booster.model_to_string()).leaves.max() == leaves
    # A value that lies exactly on a threshold goes left.
    table.iloc[0] = trees.parse(booster.model_to_string()).threshold[0]
    explainer = shap.TreeExplainer(booster)
    expected = explainer.shap_values(table)
    base, values = tree_shap.shap_values(booster, table.to_numpy())
    np.testing.assert_allclose(values, expected, atol=1e-12)
    assert base == pytest.approx(float(explainer.expected_value), abs=1e-12)
    gap = np.abs(base + values.sum(axis=1) - raw_scores(booster, table)).max()
    assert gap < attributions.TOLERANCE


def test_values_are_exact_on_long_paths_of_many_features():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, tree_shap.MOST_LEAVES - 1))
    # Each level halves what is left, so that a path asks one feature after the other.
    labels = np.argmax(np.hstack([rows > 0.5, np.ones((400, 1), bool)]), axis=1).astype(float)
    settings = {"num_leaves": tree_shap.MOST_LEAVES, "min_data_in_leaf": 1, "verbosity": -1}
    booster = lgb.train(settings, lgb.Dataset(rows, labels), 30)
    base, values = tree_shap.shap_values(booster, rows)
    expected = booster.predict(rows, pred_contrib=True)
    np.testing.assert_allclose(values, expected[:, :-1], atol=1e-12)
    assert base == pytest.approx(expected[0, -1], abs=1e-12)


def test_a_tree_that_could_not_split_is_part_of_the_base():
    table, labels = make(200, 2)
    booster = Classifier(rounds=3, leaf_size=150).fit(table, labels).booster_
    assert set(trees.parse(booster.model_to_string()).leaves) == {1}
    base, values = tree_shap.shap_values(booster, table.to_numpy())
    assert not values.any()
    np.testing.assert_allclose(raw_scores(booster, table), base, atol=1e-12)


def test_base_and_values_add_up_to_the_raw_score_of_the_models_that_predict():
    boosters = [fit(seed).booster_ for seed in range(3)]
    table = make(40, seed=7)[0]
    number = np.arange(40) % 4 - 1
    deployed = number < 0
    fold = pd.Series(number, table.index, dtype="Int64").mask(deployed)
    explanation = attributions.explain(boosters, FeatureTable(table), fold)
    raw = np.stack([raw_scores(booster, table) for booster in boosters])
    expected = np.where(deployed, raw.mean(axis=0), raw[number, np.arange(40)])
    np.testing.assert_allclose(explanation.scores, expected, atol=attributions.TOLERANCE)
    # A deployed image's values are the mean of the folds', feature by feature.
    values = np.stack([attributions.values_of(booster, table)[1] for booster in boosters])
    mean = values.mean(axis=0)
    np.testing.assert_allclose(explanation.values[deployed], mean[deployed], atol=1e-12)


def test_columns_are_matched_by_name_and_a_missing_one_is_refused():
    booster, table = fit().booster_, make(5)[0]
    shuffled = table[list(NAMES[::-1])]
    np.testing.assert_array_equal(
        attributions.values_of(booster, table)[1], attributions.values_of(booster, shuffled)[1]
    )
    with pytest.raises(UserError, match=r"glcm\.left_apex\.contrast_d1' is missing"):
        attributions.values_of(booster, table.drop(columns=NAMES[3]))


def made_up(values: list[list[float]]) -> attributions.Explanation:
    ids = np.array([f"i{k}" for k in range(len(values))], object)
    return attributions.Explanation(ids, NAMES, np.full(len(values), -1.0), np.array(values, float))


def test_sums_are_those_counted_by_hand():
    explanation = made_up([[1, 2, 4, 8, 16]])
    family = attributions.sums(explanation, "family").loc["i0"]
    assert family.to_dict() == {"firstorder": 3, "asymmetry": 4, "glcm": 8, "shape": 16}
    zone = attributions.sums(explanation, "zone").loc["i0"]
    assert zone.to_dict() == {"right_rim": 1, "left_rim": 2, "rim": 4, "left_apex": 8, "image": 16}


def test_a_comparison_goes_to_the_side_that_is_out_of_the_ordinary():
    training = pd.DataFrame([[-1.0, 1, 2, 0, 0], [1.0, -1, 2, 0, 0]], columns=list(NAMES))
    table = pd.DataFrame([[3.0, -1, 4, 0, 0], [0.0, 0, 0, 0, 0]], columns=list(NAMES))
    right = of_training(training).right_shares(table.to_numpy())
    # The median of both sides is 0: the right lies 3 from it, the left 1.
    np.testing.assert_allclose(right, [[1, 0, 0.75, 0, 0.5], [1, 0, 0.5, 0, 0.5]])
    first = attributions.by_place(made_up([[1, 2, 4, 8, 16]] * 2), right).loc["i0"]
    assert first[first != 0].to_dict() == {
        "right_rim": 1 + 3, "left_rim": 2 + 1, "left_apex": 8, "image": 16,
    }  # fmt: skip


def test_sums_lose_nothing():
    table = make(30, seed=3)[0]
    fold = pd.Series(0, table.index, dtype="Int64")
    explanation = attributions.explain([fit().booster_], FeatureTable(table), fold)
    right = of_training(make(50, seed=4)[0]).right_shares(table.to_numpy())
    total = explanation.scores - explanation.base
    sums = [attributions.sums(explanation, part) for part in ("family", "zone", "measure")]
    for parts in (*sums, attributions.by_place(explanation, right)):
        np.testing.assert_allclose(parts.sum(axis=1), total, atol=1e-12)


def test_importance_is_ordered_and_stable():
    ranked = attributions.importance(made_up([[1, -3, 0, 0, 2], [1, 3, 0, 0, -2]]))
    assert list(ranked.index) == [NAMES[k] for k in (1, 4, 0, 2, 3)]
    assert list(ranked) == [3, 2, 1, 0, 0]


def test_calibrated_contributions_add_up_to_the_calibrated_log_odds():
    raw = made_up([[0.5, -1.0, 0.2, 0.0, 0.1], [1.0, 0.3, 0.0, -0.2, 0.0]])
    slopes, intercepts = np.array([1.5, 0.8]), np.array([0.2, -0.4])
    calibrated = attributions.calibrated(raw, slopes, intercepts)
    for row, (slope, intercept) in enumerate(zip(slopes, intercepts, strict=True)):
        wanted = Calibration(slope, intercept)(raw.scores)[row]
        np.testing.assert_allclose(1 / (1 + np.exp(-calibrated.scores[row])), wanted, rtol=1e-12)
