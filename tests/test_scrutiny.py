"""Shortcuts, subgroups, operating points and triage on numbers that can be checked by hand."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from baseline import scores, scrutiny


@pytest.fixture
def rows():
    """1,000 images of 500 patients; a true score, and an age that knows nothing."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 1000).astype(float)
    patient = np.arange(1000) // 2
    return pd.DataFrame(
        {
            "id": [f"i{k}" for k in range(1000)],
            "patient": [f"p{k}" for k in patient],
            "fold": patient % 5,
            "label": label,
            "target": label,
            "raw": label + rng.normal(size=1000),
            "sex": pd.array(np.where(patient % 2, "F", None), dtype="string"),
            "view": pd.array(["PA"] * 995 + ["AP"] * 5, dtype="string"),
            "age": rng.uniform(20, 80, 1000),
            "area": label * rng.uniform(0.001, 0.1, 1000),
        }
    )


def test_sensitivity_at_a_specificity_by_hand():
    labels = np.array([0.0] * 10 + [1.0] * 4)
    raw = np.array([*range(10), 9.5, 8.5, 7.5, 0.5])
    # 90% of the negatives lie at 8 or below; 9.5 and 8.5 lie above.
    assert scrutiny.sensitivity(labels, raw, 0.9) == 0.5
    assert scrutiny.sensitivity(labels, raw, 0.8) == 0.75
    assert scrutiny.sensitivity(labels, raw, 1.0) == 0.25
    assert np.isnan(scrutiny.sensitivity(labels[:10], raw[:10], 0.9))


def test_triage_keeps_its_stated_error_rates(rows):
    for alpha in (0.05, 0.2):
        labels, raw = rows["label"].to_numpy(), rows["raw"].to_numpy()
        decision = scrutiny.triage(labels, raw, rows["fold"].to_numpy(), alpha)
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
        return float(scrutiny.triage(labels, raw, fold, 0.1)[0])

    assert decide(0.0) == -1  # below all positives: 1 of 10
    assert decide(10.0) == 0  # strange to both
    assert decide(20.0) == 1


def test_an_image_as_strange_as_few_is_referred_when_data_are_few():
    labels = np.array([1.0, 0.0] * 4)
    raw = labels * 100
    decision = scrutiny.triage(labels, raw, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0.1)
    assert (decision == 0).all()


@pytest.fixture
def few_resamples(monkeypatch):
    """The intervals are not what is tested here."""
    monkeypatch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))


def test_subgroups_count_everyone_and_refuse_to_judge_the_few(rows, few_resamples):
    found = {(one["kind"], one["name"]): one for one in scrutiny.subgroups(rows)}
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


def test_a_shortcut_shows_and_noise_does_not(rows, monkeypatch, few_resamples):
    monkeypatch.setattr(scrutiny, "PERMUTATIONS", 2)
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
    lines = scrutiny.scoreboard(table, rows, rows["raw"].to_numpy(), seed=0)
    found = {line["name"]: line["auc"] for line in lines}
    assert found["tubes and leads alone"]["value"] > 0.9
    for name in ("age, sex and view alone", scrutiny.PERMUTED):
        assert abs(found[name]["value"] - 0.5) < 0.12
    assert "burnt-in text alone" not in found
