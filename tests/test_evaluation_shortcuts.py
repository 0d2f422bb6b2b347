"""Shortcut checks: what they go by, that a shortcut shows, and that a leak would."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from baseline.evaluation import shortcuts
from baseline.evaluation.results import read_shortcuts
from baseline.learning import scores
from features.run.files import UserError
from tests.helpers.scored_rows import scored_rows


@pytest.fixture
def rows() -> pd.DataFrame:
    return scored_rows()


@pytest.fixture
def few_resamples(monkeypatch):
    """The intervals are not what is tested here."""
    monkeypatch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))


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
    results = {check.name: check.auc for check in shortcuts.shortcuts(table, rows, seed=0)}
    assert results["tubes and leads alone"].value > 0.9
    permuted = shortcuts.permuted(table, rows, seed=0)
    for auc in (results["age, sex and view alone"], permuted):
        assert abs(auc.value - 0.5) < 0.12
    assert "burnt-in text alone" not in results
    assert shortcuts.auc_of(rows["raw"].to_numpy(), rows).value > 0.7


def test_permuted_labels_that_leak_show(rows, monkeypatch):
    """A model that sees an image's label predicts it, though the label means nothing."""
    rows = rows.assign(target=rows["label"].astype(float))
    rows.loc[rows.index[::3], "label"] = np.nan
    table = pd.DataFrame({"x": np.zeros(len(rows))}, index=rows.index)
    monkeypatch.setattr(shortcuts, "out_of_fold", lambda table, rows, *others: rows["target"].array)
    assert shortcuts.permuted(table, rows, seed=0).value == 1
    monkeypatch.setattr(
        shortcuts, "out_of_fold", lambda table, rows, *others: rows["raw"].to_numpy()
    )
    assert abs(shortcuts.permuted(table, rows, seed=0).value - 0.5) < 0.05


def test_a_run_is_checked_and_its_results_come_back(
    copied_noise_run, monkeypatch, few_resamples, capsys
):
    run = copied_noise_run
    monkeypatch.setattr(shortcuts, "PERMUTATIONS", 2)
    shortcuts.main(shortcuts.Settings(run.root))
    oof = run.oof.read()
    checks = read_shortcuts(run, oof)
    printed = capsys.readouterr().out
    assert f"| the classifier | {checks.classifier} |" in printed
    assert f"| permuted labels | {checks.permuted} |" in printed
    rates = f"{checks.at_half.sensitivity} | {checks.at_half.specificity}"
    assert f"| all | {rates} |" in printed
    point = checks.operating_points[0]
    assert f"| 80% specificity | {point.sensitivity} | {point.specificity} |" in printed
    lesions = [group for group in checks.subgroups if group.kind == "lesion"]
    for group in lesions:  # a size of lesions has a sensitivity alone
        assert f"| lesion: {group.name} | {group.rates.sensitivity} | – |" in printed
    assert f"ruled out: {checks.triage.ruled_out}" in printed
    changed = oof.assign(probability=oof["probability"] / 2)
    with pytest.raises(UserError, match="results of other predictions; run `make shortcuts` again"):
        read_shortcuts(run, changed)
