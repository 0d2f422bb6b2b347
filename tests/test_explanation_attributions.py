"""Reasons: exact Shapley values, sums without loss, and sentences rebuilt from the SHAP table."""

import re
from dataclasses import replace
from itertools import combinations
from math import exp, factorial

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import shap

from baseline.explanation import attributions, sentences, tree_shap
from baseline.learning.calibrate import Calibration
from baseline.learning.estimator import Classifier, raw_scores
from features import trees
from features.families import registry
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
    for row, found in zip(table.to_numpy(float), values, strict=True):
        np.testing.assert_allclose(found, brute_force(booster, row), atol=1e-9)
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
    base, found = tree_shap.shap_values(booster, table.to_numpy())
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert base == pytest.approx(float(explainer.expected_value), abs=1e-12)
    gap = np.abs(base + found.sum(axis=1) - raw_scores(booster, table)).max()
    assert gap < attributions.TOLERANCE


def test_values_are_exact_on_long_paths_of_many_features():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, tree_shap.MOST_LEAVES - 1))
    # Each level halves what is left, so that a path asks one feature after the other.
    labels = np.argmax(np.hstack([rows > 0.5, np.ones((400, 1), bool)]), axis=1).astype(float)
    settings = {"num_leaves": tree_shap.MOST_LEAVES, "min_data_in_leaf": 1, "verbosity": -1}
    booster = lgb.train(settings, lgb.Dataset(rows, labels), 30)
    found = tree_shap.shap_values(booster, rows)
    expected = booster.predict(rows, pred_contrib=True)
    np.testing.assert_allclose(found[1], expected[:, :-1], atol=1e-12)
    assert found[0] == pytest.approx(expected[0, -1], abs=1e-12)


def test_a_tree_that_could_not_split_is_part_of_the_base():
    table, labels = make(200, 2)
    booster = Classifier(rounds=3, leaf_size=150).fit(table, labels).booster_
    assert set(trees.parse(booster.model_to_string()).leaves) == {1}
    base, found = tree_shap.shap_values(booster, table.to_numpy())
    assert not found.any()
    np.testing.assert_allclose(raw_scores(booster, table), base, atol=1e-12)


def test_base_and_values_add_up_to_the_raw_score_of_the_models_that_judged():
    boosters = [fit(seed).booster_ for seed in range(3)]
    table = make(40, seed=7)[0]
    folds = np.arange(40) % 4 - 1
    found = attributions.explain(boosters, table, folds)
    raw = np.stack([raw_scores(booster, table) for booster in boosters])
    expected = np.where(folds < 0, raw.mean(axis=0), raw[folds, np.arange(40)])
    np.testing.assert_allclose(found.scores, expected, atol=attributions.TOLERANCE)
    # A deployed image's values are the mean of the folds', feature by feature.
    each = np.stack([attributions.values_of(booster, table)[1] for booster in boosters])
    np.testing.assert_allclose(found.values[folds < 0], each.mean(axis=0)[folds < 0], atol=1e-12)


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
    found = made_up([[1, 2, 4, 8, 16]])
    family = attributions.sums(found, "family").loc["i0"]
    assert family.to_dict() == {"firstorder": 3, "asymmetry": 4, "glcm": 8, "shape": 16}
    zone = attributions.sums(found, "zone").loc["i0"]
    assert zone.to_dict() == {"right_rim": 1, "left_rim": 2, "rim": 4, "left_apex": 8, "image": 16}


def test_a_comparison_goes_to_the_side_that_is_out_of_the_ordinary():
    training = pd.DataFrame([[-1.0, 1, 2, 0, 0], [1.0, -1, 2, 0, 0]], columns=list(NAMES))
    table = pd.DataFrame([[3.0, -1, 4, 0, 0], [0.0, 0, 0, 0, 0]], columns=list(NAMES))
    right = attributions.right_shares(NAMES, table, training)
    # The median of both sides is 0: the right lies 3 from it, the left 1.
    np.testing.assert_allclose(right, [[1, 0, 0.75, 0, 0.5], [1, 0, 0.5, 0, 0.5]])
    evidence = attributions.evidence(made_up([[1, 2, 4, 8, 16]] * 2), right)
    first = evidence.loc["i0"]
    assert first[first != 0].to_dict() == {
        "right_rim": 1 + 3, "left_rim": 2 + 1, "left_apex": 8, "image": 16,
    }  # fmt: skip


def test_evidence_and_sums_lose_nothing():
    table = make(30, seed=3)[0]
    found = attributions.explain([fit().booster_], table, np.zeros(30, int))
    right = attributions.right_shares(NAMES, table, make(50, seed=4)[0])
    moved = found.scores - found.base
    for parts in (*(attributions.sums(found, by) for by in ("family", "zone", "measure")),):
        np.testing.assert_allclose(parts.sum(axis=1), moved, atol=1e-12)
    np.testing.assert_allclose(attributions.evidence(found, right).sum(axis=1), moved, atol=1e-12)


def test_importance_is_ordered_and_stable():
    found = attributions.importance(made_up([[1, -3, 0, 0, 2], [1, 3, 0, 0, -2]]))
    assert found.to_dict() == dict(zip([NAMES[k] for k in (1, 4, 0, 2, 3)], [3, 2, 1, 0, 0]))  # noqa: B905
    assert list(found) == [3, 2, 1, 0, 0]


def test_percentiles_count_equals_by_half():
    training = np.array([[1.0], [2.0], [2.0], [3.0]])
    found = sentences.percentiles(training, np.array([[0.0], [2.0], [2.5], [9.0]]))
    np.testing.assert_allclose(found[:, 0], [0, 50, 75, 100])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1st"),
        (2.4, "2nd"),
        (3, "3rd"),
        (11, "11th"),
        (12, "12th"),
        (93, "93rd"),
        (0.2, "below the 1st"),
        (99.6, "above the 99th"),
    ],
)
def test_ordinals(number, text):
    assert sentences.standing(number) == text


@pytest.mark.parametrize(
    ("percentile", "word"),
    [(5, "unusually low"), (20, "low"), (50, "average"), (80, "high"), (95, "unusually high")],
)
def test_levels(percentile, word):
    assert sentences.level(percentile) == word


def test_probabilities_are_never_rounded_to_certainty():
    assert sentences.percent(0.004) == "below 1%"
    assert sentences.percent(0.996) == "above 99%"
    assert sentences.percent(0.5) == "50%"


def test_words_for_features_and_zones():
    assert sentences.label(NAMES[0]) == "mean grey level"
    assert sentences.label(NAMES[2]) == "difference in mean grey level"
    assert sentences.label(NAMES[3]) == "contrast of neighbouring grey levels (pixels 1 apart)"
    assert sentences.meaning(NAMES[3]) == "vessels and ribs raise it, air lowers it"
    assert sentences.place("left_upper") == "the upper zone of the left lung"
    assert sentences.place("right_whole") == "the right lung as a whole"
    assert sentences.place("rim") == "the comparison of right and left rim"
    assert sentences.place("image") == "the image as a whole"


def rounded(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


@pytest.mark.parametrize("family", [*registry.MEASURED, *registry.LEARNED])
def test_every_measure_reads_well_after_an_article(family):
    """As in "the mean grey level is high"; only "how ..." stands without."""
    for key in registry.measures(family):
        words = sentences.label(f"{family}.image.{key}")
        assert re.match(r"[a-zA-Z]|\d+(st|nd|rd|th) ", words), words
        assert words.split()[0] not in ("the", "a", "an"), words


# Two measures without sides: tubes, and one of shape.
SAID = (*NAMES, "confounders.image.lines", "shape.image.mediastinum")


@pytest.mark.parametrize("seed", range(12))
def test_sentences_are_rebuilt_from_the_shap_table(seed):
    rng = np.random.default_rng(seed)
    shap = rng.normal(0, 0.6, len(SAID))
    ranks = rng.uniform(0, 100, len(SAID))
    right = np.array([1, 0, rng.uniform(), 0, 0.5, 0.5, 0.5])
    case = sentences.Case(SAID, shap, -0.4, ranks, right)
    found = sentences.sentences(case)
    assert 1 <= len(found) <= 5

    def chance(without: float = 0.0) -> str:
        odds = exp(-0.4 + shap.sum() - without)
        return sentences.percent(odds / (1 + odds))

    verdict, *rest = found
    assert f"is {chance()};" in verdict.text and f"says {chance(shap.sum())}," in verdict.text
    assert f"by {rounded(shap.sum())}." in verdict.text
    rims = {
        "right": shap[0] + right[2] * shap[2],
        "left": shap[1] + (1 - right[2]) * shap[2],
    }
    heights = ("apex", "upper", "middle", "lower", "base")
    own = {f"{side}_{height}_rim": rims[side] for side in rims for height in heights}
    own |= {f"{side}_{height}_core": 0.0 for side in rims for height in heights}
    for depth in ("rim", "core"):
        own[f"left_apex_{depth}"] += shap[3]
    sign = 1 if shap.sum() > 0.4 else -1
    named = [reason for reason in rest if reason.name in own]
    assert len(named) == (sign * np.array(list(own.values())) > 0).any()
    for reason in rest:
        if reason.name in own:
            assert sign * own[reason.name] == max(sign * value for value in own.values())
            assert f"adds {rounded(own[reason.name])}," in reason.text
            assert f"instead of {chance(own[reason.name])}." in reason.text
        elif reason.name == "beside":
            assert f"adds {rounded(shap[5])};" in reason.text
            assert f"would be {chance(shap[5])}." in reason.text
        else:
            number = SAID.index(reason.name)
            here = shap[number]
            if reason.text.startswith("Of it") and number == 2:
                lung = next(one.name for one in rest if one.name in own).split("_")[0]
                here *= right[2] if lung == "right" else 1 - right[2]
                assert f"there, of {rounded(shap[number])} on both lungs" in reason.text
            assert reason.contribution == pytest.approx(here)
            assert f"adds {rounded(here)}" in reason.text
            assert f"({sentences.standing(ranks[number])} percentile" in reason.text
            assert f" is {sentences.level(ranks[number])} (" in reason.text
    assert sum(reason.name == "beside" for reason in rest) == 1
    measures = [reason for reason in rest if reason.percentile is not None]
    assert all(sentences.level(reason.percentile) != "average" for reason in measures)
    assert all(reason.name in SAID[:4] for reason in measures if reason.text.startswith("Of it"))
    against = [reason for reason in measures if reason.text.startswith("Against")]
    odd = np.array([sentences.level(rank) != "average" for rank in ranks])
    assert len(against) == (sign * shap[odd] < 0).any()
    assert all(sign * one.contribution == (sign * shap[odd]).min() for one in against)


def test_the_place_named_is_the_one_painted_strongest_among_those_there():
    shap = np.array([0.3, 0.2, 0.0, 0.4, 0.0])  # right rim, left rim, compared, left apex, image
    case = sentences.Case(NAMES, shap, 0.0, np.full(5, 99.0), np.full(5, 0.5))
    assert sentences.strongest(case) == "left_apex_rim"
    assert sentences.strongest(case, ["left_apex_core", "right_base_rim"]) == "left_apex_core"
    against = replace(case, shap=-shap)
    assert sentences.strongest(against) == "left_apex_rim"
    assert sentences.strongest(case, []) == ""
    assert sentences.strongest(replace(case, base=-2.0)) == ""


def test_a_comparison_is_told_without_what_raises_its_measure():
    assert sentences.meaning("asymmetry.rim.glcm_contrast_d1") == ""


def test_calibrated_contributions_add_up_to_the_calibrated_log_odds():
    raw = made_up([[0.5, -1.0, 0.2, 0.0, 0.1], [1.0, 0.3, 0.0, -0.2, 0.0]])
    slopes, intercepts = np.array([1.5, 0.8]), np.array([0.2, -0.4])
    found = attributions.calibrated(raw, slopes, intercepts)
    for row, (slope, intercept) in enumerate(zip(slopes, intercepts, strict=True)):
        wanted = Calibration(slope, intercept)(raw.scores)[row]
        np.testing.assert_allclose(1 / (1 + np.exp(-found.scores[row])), wanted, rtol=1e-12)


def test_nothing_is_said_where_nothing_moved():
    calm = sentences.Case(NAMES, np.zeros(5), -1.0, np.full(5, 50.0), np.full(5, 0.5))
    assert [reason.name for reason in sentences.sentences(calm)] == [""]
