"""Subgroups and their rates on numbers that can be checked by hand."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from baseline.evaluation import subgroups
from baseline.evaluation.results import TOO_FEW
from baseline.learning import scores
from tests.helpers.scored_rows import scored_rows


@pytest.fixture
def rows() -> pd.DataFrame:
    return scored_rows()


@pytest.fixture
def few_resamples(monkeypatch):
    """The intervals are not what is tested here."""
    monkeypatch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))


def test_subgroups_count_everyone_and_give_no_score_of_few(rows, few_resamples):
    results = {(group.kind, group.name): group for group in subgroups.subgroups(rows)}
    for kind in ("sex", "age"):
        groups = [group for (name, _), group in results.items() if name == kind]
        assert sum(group.positives + group.negatives for group in groups) == 1000
    assert ("sex", "unknown") in results
    assert results["view", "AP"].auc is None
    frontal = rows[rows["view"] == "PA"]
    expected = roc_auc_score(frontal["label"], frontal["raw"])
    assert results["view", "PA"].auc.value == pytest.approx(expected)
    lesions = [group for (kind, _), group in results.items() if kind == "lesion"]
    assert sum(group.positives for group in lesions) == (rows["label"] == 1).sum()
    assert {group.negatives for group in lesions} == {(rows["label"] == 0).sum()}


def test_rates_of_subgroups_are_those_of_their_confusion_matrix(rows, few_resamples):
    results = {(group.kind, group.name): group for group in subgroups.subgroups(rows)}
    women = rows[rows["sex"].eq("F").fillna(False)]
    matrix = confusion_matrix(women["label"], women["probability"] >= 0.5)
    rates = results["sex", "F"].rates
    for rate, row in ((rates.sensitivity, 1), (rates.specificity, 0)):
        assert (rate.right, rate.images) == (matrix[row, row], matrix[row].sum())
        assert rate.share.value == pytest.approx(rate.right / rate.images)
        assert rate.share.low < rate.share.value < rate.share.high
    # Two or three of either class are too few.
    few = results["view", "AP"].rates
    assert few.sensitivity.share is None and few.specificity.share is None
    assert str(few.sensitivity) == f"{few.sensitivity.right} of {few.sensitivity.images}: {TOO_FEW}"
    # Images without a lesion belong to no subgroup of lesion size.
    lesions = [group.rates for (kind, _), group in results.items() if kind == "lesion"]
    assert [rates.specificity for rates in lesions] == [None] * 3


def test_a_line_that_lies_wrong_for_one_group_shows_behind_equal_aucs(few_resamples):
    # Both groups are ranked perfectly; the scores of the second lie lower by half.
    probability = np.tile([0.2] * 10 + [0.8] * 10, 2) * np.repeat([1.0, 0.5], 20)
    rows = pd.DataFrame(
        {
            "patient": [f"p{k}" for k in range(40)],
            "label": np.tile([0.0] * 10 + [1.0] * 10, 2),
            "probability": probability,
            "raw": probability,
            "sex": pd.array(["M"] * 20 + ["F"] * 20, dtype="string"),
            "view": pd.array(["PA"] * 40, dtype="string"),
            "age": 50.0,
            "area": 0.01,
        }
    )
    by_sex = {group.name: group for group in subgroups.subgroups(rows) if group.kind == "sex"}
    assert by_sex["M"].auc.value == by_sex["F"].auc.value == 1.0
    assert str(by_sex["M"].rates.sensitivity) == "10 of 10: 1.000 [0.722, 1.000]"
    assert str(by_sex["F"].rates.sensitivity) == "0 of 10: 0.000 [0.000, 0.278]"
    assert str(by_sex["F"].rates.specificity) == "10 of 10: 1.000 [0.722, 1.000]"


def test_lesions_without_a_mask_are_of_unknown_size(rows, few_resamples):
    ill = np.flatnonzero(rows["label"] == 1)
    rows.loc[rows.index[ill[::2]], "area"] = np.nan
    lesions = {g.name: g for g in subgroups.subgroups(rows) if g.kind == "lesion"}
    assert len(lesions) == 4 and lesions["unknown"].positives == len(ill[::2])
    assert sum(group.positives for group in lesions.values()) == len(ill)
    assert not any("nan" in name for name in lesions)
    rows["area"] = np.nan
    only = [g for g in subgroups.subgroups(rows) if g.kind == "lesion"]
    assert [(g.name, g.positives) for g in only] == [("unknown", len(ill))]


def test_sizes_of_lesions_are_named_by_both_their_ends():
    rows = pd.DataFrame(
        {
            "label": [1.0] * 6 + [0.0],
            "sex": pd.array(["F"] * 7, dtype="string"),
            "view": pd.array(["PA"] * 7, dtype="string"),
            "age": 50.0,
            "area": [0.001, 0.002, 0.01, 0.02, 0.03, 0.1, 0.0],
        }
    )
    lesions = {name: member for kind, name, member in subgroups.groups(rows) if kind == "lesion"}
    # A third of six lies under 2/3 of the way from 0.2% to 1%, and under a third from 2% to 3%.
    assert list(lesions) == [
        "small (under 0.73% of the image)", "medium (0.73% to 2.3%)", "large (2.3% and over)"
    ]  # fmt: skip
    assert [member.sum() for member in lesions.values()] == [3, 3, 3]
