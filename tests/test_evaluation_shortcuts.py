"""Shortcuts, subgroups, operating points and triage on numbers that can be checked by hand."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import confusion_matrix, roc_auc_score

from baseline.evaluation import shortcuts, subgroups
from baseline.learning import scores
from baseline.learning.scores import Estimate


@pytest.fixture
def rows():
    """1,000 images of 500 patients; a true score, and an age that knows nothing."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 1000).astype(float)
    patient = np.arange(1000) // 2
    raw = label + rng.normal(size=1000)
    return pd.DataFrame(
        {
            "id": [f"i{k}" for k in range(1000)],
            "patient": [f"p{k}" for k in patient],
            "fold": patient % 5,
            "label": label,
            "target": label,
            "raw": raw,
            "probability": expit(raw - 0.5),
            "sex": pd.array(np.where(patient % 2, "F", None), dtype="string"),
            "view": pd.array(["PA"] * 995 + ["AP"] * 5, dtype="string"),
            "age": rng.uniform(20, 80, 1000),
            "area": label * rng.uniform(0.001, 0.1, 1000),
        }
    )


def test_the_least_threshold_that_keeps_a_specificity_by_hand():
    labels = np.array([0.0] * 10 + [1.0] * 4)
    raw = np.array([*range(10), 9.5, 8.5, 7.5, 0.5])
    # 90% of the negatives lie at 8 or below.
    assert shortcuts.threshold(labels, raw, 0.9) == 8
    assert shortcuts.threshold(labels, raw, 0.8) == 7
    assert shortcuts.threshold(labels, raw, 1.0) == 9


def test_a_threshold_is_judged_on_the_fold_that_it_was_not_found_on():
    labels = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    raw = np.array([0.0, 1.0, 2.0, 3.0, 2.0, 3.0, 4.0, 2.5])
    fold = np.repeat([0, 1], 4)
    # Fold 0 is judged by 3, the highest negative of fold 1, and fold 1 by 1.
    found = shortcuts.called(labels, raw, fold, "specificity", 1.0)
    assert list(found) == [False] * 4 + [True] * 4
    # And by the lowest positives, 2.5 and 2, which are themselves called.
    found = shortcuts.called(labels, raw, fold, "sensitivity", 1.0)
    assert list(found) == [False, False, False, True] + [True] * 4
    lines = shortcuts.operating_points(
        pd.DataFrame({"label": labels, "raw": raw, "fold": fold, "patient": [*"abcdefgh"]})
    )
    kept = {(line["meant"], line["level"]): line for line in lines}
    assert kept["specificity", 0.95]["specificity"]["value"] == 0.5
    assert kept["specificity", 0.95]["sensitivity"]["value"] == 0.5
    assert kept["sensitivity", 0.95]["sensitivity"]["value"] == 0.75


def test_operating_points_keep_about_what_was_meant(rows):
    for line in shortcuts.operating_points(rows):
        reach = 3 * np.sqrt(line["level"] * (1 - line["level"]) / 400)
        assert abs(line[line["meant"]]["value"] - line["level"]) < reach


def test_triage_keeps_its_stated_error_rates(rows):
    for alpha in (0.05, 0.2):
        labels, raw = rows["label"].to_numpy(), rows["raw"].to_numpy()
        decision = shortcuts.triage(labels, raw, rows["fold"].to_numpy(), alpha)
        # Three standard errors of about 500 images.
        reach = 3 * np.sqrt(alpha * (1 - alpha) / 480)
        assert abs((decision[labels == 1] == -1).mean() - alpha) < reach
        assert abs((decision[labels == 0] == 1).mean() - alpha) < reach
        assert raw[decision == -1].max() < raw[decision == 1].min() + 0.5


def test_triage_by_hand():
    # Fold 0 holds one image; 9 positives (11 .. 19) and 9 negatives (1 .. 9) lie in fold 1.
    labels = np.array([1.0] * 10 + [0.0] * 9)
    fold = np.array([0] + [1] * 18)

    def decide(score: float) -> float:
        raw = np.array([score, *range(11, 20), *range(1, 10)], float)
        return float(shortcuts.triage(labels, raw, fold, 0.1)[0])

    assert decide(0.0) == -1  # below all positives: 1 of 10
    assert decide(10.0) == 0  # strange to both
    assert decide(20.0) == 1


def test_an_image_as_strange_as_few_is_referred_when_data_are_few():
    labels = np.array([1.0, 0.0] * 4)
    raw = labels * 100
    decision = shortcuts.triage(labels, raw, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0.1)
    assert (decision == 0).all()


@pytest.fixture
def few_resamples(monkeypatch):
    """The intervals are not what is tested here."""
    monkeypatch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))


def test_subgroups_count_everyone_and_refuse_to_judge_the_few(rows, few_resamples):
    found = {(one["kind"], one["name"]): one for one in subgroups.subgroups(rows)}
    sexes = [one for kind, one in ((k, o) for (k, _), o in found.items()) if kind == "sex"]
    assert sum(one["positives"] + one["negatives"] for one in sexes) == 1000
    assert ("sex", "unknown") in found
    assert "auc" not in found["view", "AP"]
    seen = rows[rows["view"] == "PA"]
    expected = roc_auc_score(seen["label"], seen["raw"])
    assert found["view", "PA"]["auc"]["value"] == pytest.approx(expected)
    ages = [one for (kind, _), one in found.items() if kind == "age"]
    assert sum(one["positives"] + one["negatives"] for one in ages) == 1000
    lesions = [one for (kind, _), one in found.items() if kind == "lesion"]
    assert sum(one["positives"] for one in lesions) == (rows["label"] == 1).sum()
    assert {one["negatives"] for one in lesions} == {(rows["label"] == 0).sum()}


def test_rates_of_subgroups_are_those_of_their_confusion_matrix(rows, few_resamples):
    found = {(one["kind"], one["name"]): one for one in subgroups.subgroups(rows)}
    women = rows[rows["sex"].eq("F").fillna(False)]
    matrix = confusion_matrix(women["label"], women["probability"] >= 0.5)
    found_of_women, cleared = found["sex", "F"]["rates"]
    assert (found_of_women["right"], found_of_women["images"]) == (matrix[1, 1], matrix[1].sum())
    assert (cleared["right"], cleared["images"]) == (matrix[0, 0], matrix[0].sum())
    for line in (found_of_women, cleared):
        rate = line["rate"]
        assert rate["value"] == pytest.approx(line["right"] / line["images"])
        assert rate["low"] < rate["value"] < rate["high"]
    # Two or three of either class are too few.
    assert all("rate" not in line for line in found["view", "AP"]["rates"])
    # A lesion's size says nothing of images without one.
    lesions = [one["rates"] for (kind, _), one in found.items() if kind == "lesion"]
    assert [[line["name"] for line in rates] for rates in lesions] == [["sensitivity"]] * 3


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
    found = {one["name"]: one for one in subgroups.subgroups(rows) if one["kind"] == "sex"}
    assert found["M"]["auc"]["value"] == found["F"]["auc"]["value"] == 1.0
    assert subgroups.told(found["M"]["rates"][0]) == "10 of 10: 1.000 [0.722, 1.000]"
    assert subgroups.told(found["F"]["rates"][0]) == "0 of 10: 0.000 [0.000, 0.278]"
    assert subgroups.told(found["F"]["rates"][1]) == "10 of 10: 1.000 [0.722, 1.000]"
    assert subgroups.told({"right": 2, "images": 3}) == "2 of 3: too few to judge"


def test_agreement_of_all_images_is_no_certainty():
    # Ten images of four patients are four draws: Wilson's interval of 4 of 4,
    # the root of (p - 1)^2 = z^2 p (1 - p) / 4.
    patients = np.array([f"p{k % 4}" for k in range(10)], object)
    low = subgroups.share(np.ones(10), patients).low
    assert (low - 1) ** 2 == pytest.approx(subgroups.Z95**2 * low * (1 - low) / 4)
    assert subgroups.share(np.ones(10), patients).high == 1
    none = subgroups.share(np.zeros(10), patients)
    assert (none.low, none.high) == (0, pytest.approx(1 - low))


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


def test_shortcuts_name_the_measures_they_go_by():
    names = [
        "acquisition.image.age", "confounders.right_whole.tubes", "confounders.image.lines",
        "confounders.left_whole.wall_dark", "firstorder.left_rim.mean",
    ]  # fmt: skip
    assert shortcuts.measures(names) == {
        "age, sex and view": names[:1],
        "tubes and leads": names[1:3],
    }


def test_a_shortcut_shows_and_noise_does_not(rows, monkeypatch, few_resamples):
    monkeypatch.setattr(shortcuts, "PERMUTATIONS", 2)
    rng = np.random.default_rng(1)
    rows = rows[:300].assign(fold=rows["fold"] % 2)
    label = rows["label"].to_numpy()
    table = pd.DataFrame(
        {
            "acquisition.image.age": rng.normal(size=300),
            "confounders.right_whole.tubes": label + 0.3 * rng.normal(size=300),
        },
        index=rows["id"],
    )
    lines = shortcuts.scoreboard(table, rows, rows["raw"].to_numpy(), seed=0)
    found = {line["name"]: line["auc"] for line in lines}
    assert found["tubes and leads alone"]["value"] > 0.9
    for name in ("age, sex and view alone", shortcuts.PERMUTED):
        assert abs(found[name]["value"] - 0.5) < 0.12
    assert "burnt-in text alone" not in found


def test_permuted_labels_that_leak_are_told(rows, monkeypatch):
    """A model that is told an image's label tells it, though the label means nothing."""
    rows = rows.assign(target=rows["label"].astype(float))
    rows.loc[rows.index[::3], "label"] = np.nan
    table = pd.DataFrame({"x": np.zeros(len(rows))}, index=rows.index)
    monkeypatch.setattr(shortcuts, "out_of_fold", lambda table, rows, *others: rows["target"].array)
    assert shortcuts.permuted(table, rows, seed=0).value == 1
    monkeypatch.setattr(
        shortcuts, "out_of_fold", lambda table, rows, *others: rows["raw"].to_numpy()
    )
    assert abs(shortcuts.permuted(table, rows, seed=0).value - 0.5) < 0.05


def test_the_tables_are_printed_as_they_are_written(rows, tmp_path, monkeypatch, capsys):
    half = {"value": 0.5, "low": 0.4, "high": 0.6}
    few = subgroups.at_half(rows.assign(patient="p")[:30])
    written = {
        "shortcuts": [{"name": "the verdict", "auc": half}],
        "at_half": few,
        "subgroups": [
            {"kind": "lesion", "name": "small", "positives": 9, "negatives": 9, "rates": few[:1]}
        ],
        "operating_points": [
            {"meant": "specificity", "level": 0.8, "sensitivity": half, "specificity": half}
        ],
        "triage": {"alpha": 0.1, "ruled_out": half},
    }
    monkeypatch.setattr(shortcuts, "scrutinise", lambda settings: written)
    shortcuts.main(shortcuts.Settings(run=tmp_path))
    assert json.loads((tmp_path / "baseline" / "scrutiny.json").read_text()) == written
    printed = capsys.readouterr().out
    both = f"{subgroups.told(few[0])} | {subgroups.told(few[1])}"
    assert f"| all | {both} |" in printed
    # A size of lesions has a sensitivity alone.
    assert f"| lesion: small | {subgroups.told(few[0])} | – |" in printed
    assert "| lesion: small | 9 | 9 | too few to judge |" in printed
    assert f"| 80% specificity | {Estimate(**half)} | {Estimate(**half)} |" in printed
