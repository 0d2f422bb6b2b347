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
from baseline.explanation.sentences import sentences
from features.families import registry

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
    assert wording.percent(0.5) == "50%"


def test_words_for_features_and_zones():
    assert wording.label(NAMES[0]) == "mean grey level"
    assert wording.label(NAMES[2]) == "difference in mean grey level"
    assert wording.label(NAMES[3]) == "contrast of neighbouring grey levels (pixels 1 apart)"
    assert wording.meaning(NAMES[3]) == "vessels and ribs raise it, air lowers it"
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
    assert f"is {chance()};" in first.text and f"says {chance(shap.sum())}," in first.text
    assert f"by {rounded(shap.sum())}." in first.text
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
    for reason in rest:
        if reason.name in painted:
            assert sign * painted[reason.name] == max(sign * value for value in painted.values())
            assert f"adds {rounded(painted[reason.name])}," in reason.text
            assert f"instead of {chance(painted[reason.name])}." in reason.text
        elif reason.name == "beside":
            assert f"adds {rounded(shap[5])};" in reason.text
            assert f"would be {chance(shap[5])}." in reason.text
        else:
            number = NAMED.index(reason.name)
            here = shap[number]
            if reason.text.startswith("Of it") and number == 2:
                lung = next(other.name for other in rest if other.name in painted).split("_")[0]
                here *= right[2] if lung == "right" else 1 - right[2]
                assert f"there, of {rounded(shap[number])} on both lungs" in reason.text
            assert reason.contribution == pytest.approx(here)
            assert f"adds {rounded(here)}" in reason.text
            assert f"({wording.standing(ranks[number])} percentile" in reason.text
            assert f" is {wording.level(ranks[number])} (" in reason.text
    assert sum(reason.name == "beside" for reason in rest) == 1
    measures = [reason for reason in rest if reason.percentile is not None]
    assert all(wording.level(reason.percentile) != "average" for reason in measures)
    assert all(reason.name in NAMED[:4] for reason in measures if reason.text.startswith("Of it"))
    against = [reason for reason in measures if reason.text.startswith("What contradicts this")]
    unusual = np.array([wording.level(rank) != "average" for rank in ranks])
    assert len(against) == (sign * shap[unusual] < 0).any()
    assert all(sign * r.contribution == (sign * shap[unusual]).min() for r in against)


def test_the_place_named_is_the_one_painted_strongest_among_those_there():
    shap = np.array([0.3, 0.2, 0.0, 0.4, 0.0])  # right rim, left rim, compared, left apex, image
    case = Case(NAMES, shap, 0.0, np.full(5, 99.0), np.full(5, 0.5))
    assert strongest(case) == "left_apex_rim"
    assert strongest(case, ["left_apex_core", "right_base_rim"]) == "left_apex_core"
    against = replace(case, shap=-shap)
    assert strongest(against) == "left_apex_rim"
    assert strongest(case, []) == ""
    assert strongest(replace(case, base=-2.0)) == ""


def test_a_comparison_is_named_without_what_raises_its_measure():
    assert wording.meaning("asymmetry.rim.glcm_contrast_d1") == ""


def test_no_reason_is_given_where_no_feature_contributes():
    calm = Case(NAMES, np.zeros(5), -1.0, np.full(5, 50.0), np.full(5, 0.5))
    assert [reason.name for reason in sentences(calm)] == [""]
