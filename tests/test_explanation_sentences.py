"""Reasons in words: sentences rebuilt from the SHAP table, percentiles and their words."""

import re
from dataclasses import replace
from math import exp

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import wording
from baseline.explanation.case import Case, strongest
from baseline.explanation.reference import of_training
from baseline.explanation.sentences import sentences, topic
from features.families import registry, signs

NAMES = (
    "firstorder.right_rim.mean",
    "firstorder.left_rim.mean",
    "asymmetry.rim.firstorder_mean",
    "glcm.left_apex.contrast_d1",
    "shape.image.width",
)


def test_percentiles_count_equals_by_half():
    reference = of_training(pd.DataFrame({NAMES[0]: [2.0, 1.0, 3.0, 2.0]}))
    ranks = reference.percentiles(np.array([[0.0], [2.0], [2.5], [9.0]]))
    np.testing.assert_allclose(ranks[:, 0], [0, 50, 75, 100])


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
    assert wording.standing(number) == text


@pytest.mark.parametrize(
    ("percentile", "word"),
    [(5, "unusually low"), (20, "low"), (50, "average"), (80, "high"), (95, "unusually high")],
)
def test_levels(percentile, word):
    assert wording.level(percentile) == word


def test_probabilities_are_never_rounded_to_certainty():
    assert wording.percent(0.004) == "below 1%"
    assert wording.percent(0.996) == "above 99%"
    areas = (0, 0.0004, 0.0005, 0.023)
    assert [*map(wording.area_percent, areas)] == ["0.0%", "below 0.1%", "0.1%", "2.3%"]
    assert wording.percent(0.5) == "50%"


def test_words_for_features_and_zones():
    assert wording.label(NAMES[0]) == "mean grey level"
    assert wording.label(NAMES[2]) == "difference in mean grey level"
    assert wording.label(NAMES[3]) == "contrast of neighbouring grey levels (pixels 1 apart)"
    assert wording.place("left_upper") == "the upper zone of the left lung"
    assert wording.place("right_whole") == "the right lung as a whole"
    assert wording.place("rim") == "the comparison of right and left rim"
    assert wording.place("image") == "the image as a whole"


def rounded(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


@pytest.mark.parametrize("family", [*registry.MEASURED, *registry.LEARNED])
def test_every_measure_reads_well_after_an_article(family):
    """As in "the mean grey level is high"; only "how ..." stands without."""
    for key in registry.measures(family):
        words = wording.label(f"{family}.image.{key}")
        assert re.match(r"[a-zA-Z]|\d+(st|nd|rd|th) ", words), words
        assert words.split()[0] not in ("the", "a", "an"), words


# Two measures without sides: tubes, and one of shape.
NAMED = (*NAMES, "confounders.image.lines", "shape.image.mediastinum")


TOPICS = {
    "the density of the lungs": (0, 1, 2),
    "lung markings": (3,),
    "textures that stand for no sign": (4,),
    "beside": (5,),
    "the place of the mediastinum": (6,),
}


@pytest.mark.parametrize("seed", range(12))
def test_sentences_are_rebuilt_from_the_shap_table(seed):
    rng = np.random.default_rng(seed)
    shap = rng.normal(0, 0.6, len(NAMED))
    ranks = rng.uniform(0, 100, len(NAMED))
    right = np.array([1, 0, rng.uniform(), 0, 0.5, 0.5, 0.5])
    case = Case(NAMED, shap, -0.4, ranks, right)
    reasons = sentences(case)
    assert 1 <= len(reasons) <= 5

    def chance(without: float = 0.0) -> str:
        odds = exp(-0.4 + shap.sum() - without)
        return wording.percent(odds / (1 + odds))

    first, *rest = reasons
    assert f"is {chance()} (" in first.text and f"says {chance(shap.sum())};" in first.text
    assert f"add {rounded(shap.sum())})." in first.text
    rims = {
        "right": shap[0] + right[2] * shap[2],
        "left": shap[1] + (1 - right[2]) * shap[2],
    }
    heights = ("apex", "upper", "middle", "lower", "base")
    painted = {f"{side}_{height}_rim": rims[side] for side in rims for height in heights}
    painted |= {f"{side}_{height}_core": 0.0 for side in rims for height in heights}
    for depth in ("rim", "core"):
        painted[f"left_apex_{depth}"] += shap[3]
    sign = 1 if shap.sum() > 0.4 else -1
    named = [reason for reason in rest if reason.name in painted]
    assert len(named) == (sign * np.array(list(painted.values())) > 0).any()
    for reason in named:
        assert sign * painted[reason.name] == max(sign * value for value in painted.values())
        assert f"({rounded(painted[reason.name])}; " in reason.text
        assert f"without it {chance(painted[reason.name])})." in reason.text
    sums = {name: shap[list(numbers)].sum() for name, numbers in TOPICS.items()}
    (beside,) = (reason for reason in rest if reason.name == "beside")
    assert f"adds {rounded(shap[5])} (without it {chance(shap[5])})." in beside.text
    del sums["beside"]
    by_topic = [reason for reason in rest if reason.name in sums]
    wanted = [max(sums, key=sums.get)] if max(sums.values()) > 0 else []
    wanted += [min(sums, key=sums.get)] if min(sums.values()) < 0 else []
    assert [reason.name for reason in by_topic] == wanted[::sign]
    for reason in by_topic:
        word = "for" if sums[reason.name] > 0 else "against"
        start = f"Most {word} pneumothorax comes from {reason.name} ({rounded(sums[reason.name])})"
        assert reason.text.startswith(start)
        direction = np.sign(sums[reason.name])
        adding = [
            k
            for k in TOPICS[reason.name]
            if direction * shap[k] >= 0.005 and wording.level(ranks[k]) != "average"
        ]
        assert bool(reason.measure) == bool(adding)
        if reason.measure:
            number = NAMED.index(reason.measure)
            assert number in adding
            assert f" is {wording.level(ranks[number])}" in reason.text
            assert reason.text.endswith(
                f"({wording.standing(ranks[number])} percentile, {rounded(shap[number])})."
            )


def test_the_topics_part_all_features_there_are():
    """Each feature has one topic, and the topics of a zone are those that readers know."""
    families = (*registry.MEASURED.values(), *registry.LEARNED.values())
    every = [
        name
        for family in families
        for name in (*family.zone_names, *family.lung_names, *family.image_names)
    ]
    assert {topic(name) for name in every} == {
        "beside",
        "the evidence map",
        "textures that stand for no sign",
        *(sign.subject for sign in signs.SIGNS if sign.of_air),
    }
    assert topic("asymmetry.whole.confounders_tubes") == "beside"
    assert topic("asymmetry.apex.markings_fine") == "lung markings"


def test_every_sign_is_of_measures_that_there_are():
    """Each belongs to one sign and to one direction; none is misspelt."""
    listed = [measure for sign in signs.SIGNS for measure in (*sign.high, *sign.low)]
    assert len(listed) == len(set(listed))
    there = {f"{family}.{key}" for family in registry.MEASURED for key in registry.measures(family)}
    assert set(listed) <= there


@pytest.mark.parametrize(
    ("name", "rank", "contribution", "text"),
    [
        (
            "markings.left_apex.fine",
            3.0,
            0.39,
            "Most for pneumothorax comes from lung markings (+0.39): in the apex of the left lung "
            "the mean strength of fine markings, as of peripheral vessels, is unusually low, a "
            "sign of absent lung markings (3rd percentile, +0.39).",
        ),
        (
            "pleura.right_rim.length",
            20.0,
            0.25,
            "Most for pneumothorax comes from lines along the chest wall (+0.25): in the rim of "
            "the right lung the share of the zone that lies on lines along the chest wall is low, "
            "no sign of a visceral pleural line, which the model counts for pneumothorax (20th "
            "percentile, +0.25).",
        ),
        (
            "asymmetry.rim.firstorder_mean",
            96.0,
            -0.5,
            "Most against pneumothorax comes from the density of the lungs (−0.50): in the "
            "comparison of right and left rim the difference in mean grey level is unusually high, "
            "a sign of hyperlucency on one side, which the model counts against pneumothorax (96th "
            "percentile, −0.50).",
        ),
        (
            "firstorder.left_apex.skewness",
            50.0,
            0.1,
            "Most for pneumothorax comes from textures that stand for no sign (+0.10).",
        ),
    ],
)
def test_a_measure_is_said_by_its_sign(name, rank, contribution, text):
    case = Case((name,), np.array([contribution]), 0.0, np.array([rank]), np.array([0.0]))
    assert text in [reason.text for reason in sentences(case)]


def test_of_two_measures_the_one_that_readers_take_the_same_way_is_named():
    names = ("markings.left_apex.fine", "markings.left_apex.density")
    shap, ranks = np.array([0.5, 0.2]), np.array([80.0, 20.0])
    case = Case(names, shap, 0.0, ranks, np.zeros(2))
    (reason,) = (reason for reason in sentences(case) if reason.name == "lung markings")
    assert reason.measure == names[1] and reason.contribution == pytest.approx(0.7)


def test_the_place_named_is_the_one_painted_strongest_among_those_there():
    shap = np.array([0.3, 0.2, 0.0, 0.4, 0.0])  # right rim, left rim, compared, left apex, image
    case = Case(NAMES, shap, 0.0, np.full(5, 99.0), np.full(5, 0.5))
    assert strongest(case) == "left_apex_rim"
    assert strongest(case, ["left_apex_core", "right_base_rim"]) == "left_apex_core"
    against = replace(case, shap=-shap)
    assert strongest(against) == "left_apex_rim"
    assert strongest(case, []) == ""
    assert strongest(replace(case, base=-2.0)) == ""


def test_no_reason_is_given_where_no_feature_contributes():
    calm = Case(NAMES, np.zeros(5), -1.0, np.full(5, 50.0), np.full(5, 0.5))
    assert [reason.name for reason in sentences(calm)] == [""]
