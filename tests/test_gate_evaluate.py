"""The default policy, on scores made by hand, and the scoreboard as it is written and shown."""

import json

import numpy as np
import pandas as pd
import pytest

from baseline.gate import rules as gate
from cnn.gate import evaluate
from cnn.gate.evaluate import DEFAULT
from cnn.submission import write
from features.run.files import UserError, write_csv, write_json, write_table
from tests.helpers.gate_run import inputs_by_chance

N = 100
PATIENTS = np.arange(N).astype(object)


def earned(**means: float) -> dict[str, np.ndarray]:
    """Scores of 0 and 1 of each policy, 0.5 on average unless given, all but the first ones 0."""
    means = dict.fromkeys((*gate.POLICIES, DEFAULT), 0.5) | {
        DEFAULT if name == "inside" else name: mean for name, mean in means.items()
    }
    return {name: (np.arange(N) < N * mean).astype(float) for name, mean in means.items()}


@pytest.mark.parametrize(
    ("means", "default"),
    [
        ({"joint": 0.7, "unet": 0.6, "inside": 0.65}, "joint"),
        # Among equals the simpler one.
        ({"inside": 0.5}, "empty"),
        ({"unet": 0.6, "fused": 0.6, "inside": 0.6}, "unet"),
        # One image less of a hundred is no clear loss: its interval holds nothing lost.
        ({"joint": 0.7, "unet": 0.66, "inside": 0.65}, "joint"),
    ],
)
def test_the_best_nested_policy_is_the_default(means, default, capsys):
    assert evaluate.default_policy(earned(**means), PATIENTS) == default
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("means", "default", "loss"),
    [
        # Choosing loses to both: the better of the two is taken, not the simpler.
        ({"empty": 0.65, "unet": 0.95, "joint": 0.95, "inside": 0.52}, "unet", "0.430"),
        ({"empty": 0.75, "unet": 0.65, "joint": 0.8, "inside": 0.52}, "empty", "0.230"),
        # It loses to one alone.
        ({"empty": 0.65, "unet": 0.3, "joint": 0.66, "inside": 0.52}, "empty", "0.130"),
        ({"empty": 0.2, "unet": 0.65, "joint": 0.66, "inside": 0.52}, "unet", "0.130"),
    ],
)
def test_a_choice_that_clearly_loses_falls_back_on_the_better(means, default, loss, capsys):
    assert evaluate.default_policy(earned(**means), PATIENTS) == default
    told = capsys.readouterr().out
    assert told.startswith(f"Choosing a policy earns {loss} [")
    assert f"of Dice less than {default}: falling back on that." in told and "-" not in told


def test_images_of_one_patient_are_no_proof():
    """A loss of 0.13 that is all of one patient's may be chance."""
    found = earned(empty=0.65, joint=0.7, inside=0.52)
    same = np.where(np.arange(N) < 80, "one", PATIENTS.astype(str)).astype(object)
    assert evaluate.default_policy(found, PATIENTS) == "empty"
    assert evaluate.default_policy(found, same) == "joint"


def metrics() -> dict:
    """What would be written of ten positives, half of them drawn, and thirty negatives."""
    positive = np.arange(40) < 10
    patients = np.arange(40).astype(object)
    values = np.where(positive, np.arange(40) % 2, 1.0)
    known = dict.fromkeys((*gate.POLICIES, DEFAULT), values)
    one = {"value": 0.5, "low": 0.4, "high": 0.6}
    alone = {"dice_on_positives": one, "dice_nested": one, "top_score_auc": one}
    alone |= {"at_probability": 0.4}
    return {
        "default": "joint",
        "images": 40,
        "positives": 10,
        "also": [],
        "mask_alone": dict.fromkeys(("unet", "evidence", "joint"), alone),
        "out_of_fold": evaluate._board(known, positive, patients),
    }


def test_a_level_is_scored_on_images_it_was_not_chosen_on():
    # Two levels; either fold's best is the other's worst.
    dices = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    folds = np.array([0, 0, 1])
    np.testing.assert_array_equal(evaluate.at_others_level(dices, folds), [0.1, 0.3, 0.2])
    alone = evaluate.at_others_level(dices, np.zeros(3, int))
    np.testing.assert_array_equal(alone, dices[:, 0])


def test_positives_and_negatives_have_intervals_too(capsys):
    found = metrics()
    row = found["out_of_fold"]["joint"]
    assert row["dice"]["value"] == pytest.approx(35 / 40)
    assert row["positives"]["value"] == 0.5
    # Ten coins: the percentile interval of their mean.
    assert row["positives"]["low"] == pytest.approx(0.2, abs=0.11)
    assert row["positives"]["high"] == pytest.approx(0.8, abs=0.11)
    assert row["negatives"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    evaluate.show(found, "joint")
    shown = capsys.readouterr().out
    assert "joint (default)" in shown and "1.000 [1.000, 1.000]" in shown
    low, high = (row["positives"][end] for end in ("low", "high"))
    assert f"0.500 [{low:.3f}, {high:.3f}]" in shown


def test_patients_who_taught_are_left_out_of_the_test_set(tmp_path, monkeypatch, capsys):
    ids = [f"i{n}" for n in range(8)]
    rows = pd.DataFrame({"id": ids, "patient": [*"aabbbccd"], "fold": [0] * 4 + [-1] * 4})
    rows = rows.assign(split="test", label=np.nan, weak=np.nan, raw=0.0, probability=0.5)
    rows["kind"] = np.where(rows["fold"] == 0, "oof", "deployed")
    sized = pd.DataFrame({"id": ids, "rows": 8, "columns": 8, "mask": None})
    write_table(tmp_path / "dataset.parquet", sized)
    write_csv(tmp_path / "baseline" / "oof.csv", rows[:4])
    write_csv(tmp_path / "baseline" / "test.csv", rows[2:])  # two weakly labelled ones too
    write_table(
        tmp_path / "truth.parquet", pd.DataFrame({"id": ids[2:], "mask": ["-1", "0 5"] * 3})
    )
    asked = []

    def collect(runs, rows, what):
        asked.extend(rows["id"])
        found = inputs_by_chance((rows["mask"] != "-1").to_numpy(float), np.zeros(len(rows)), 0)
        return dict.fromkeys(("unet", "evidence", "joint"), found)

    monkeypatch.setattr(evaluate, "collect", collect)
    rules = {policy: gate.Rule(policy) for policy in gate.POLICIES}
    board = evaluate._test_board((tmp_path,), rules)
    # Deployed i4 is of b, whose i2 and i3 taught; those were judged out of fold.
    assert asked == ["i2", "i3", "i5", "i6", "i7"]
    assert (board["images"], board["left_out"]) == (5, 1)
    evaluate.show(metrics() | {"test": board}, "joint")
    assert "5 test set, without 1 of patients who taught the models" in capsys.readouterr().out
    write_csv(tmp_path / "baseline" / "test.csv", rows[4:5])
    assert evaluate._test_board((tmp_path,), rules) == {}


def test_a_part_without_images_has_no_score(capsys):
    values, everyone = np.ones(5), np.ones(5, bool)
    board = evaluate._board(
        dict.fromkeys((*gate.POLICIES, DEFAULT), values), everyone, np.arange(5).astype(object)
    )
    assert board["unet"]["negatives"] is None and board["unet"]["positives"]["value"] == 1
    evaluate.show(metrics() | {"out_of_fold": board}, "unet")
    assert "–" in capsys.readouterr().out


def test_scores_are_read_back_or_refused(tmp_path, capsys):
    whole = metrics()
    (tmp_path / "quarantine.csv").write_text("id,reason\n")
    auc = {"auc": {"value": 0.8, "low": 0.7, "high": 0.9}, "images": 40}
    write_json(tmp_path / "baseline" / "metrics.json", {"out_of_fold": auc})
    write_json(tmp_path / "metrics.json", whole)
    write.summary(write.Summary(tmp_path))
    assert "Verdict's AUC, out of fold: 0.800 [0.700, 0.900] (40 images)" in capsys.readouterr().out
    former = json.loads(json.dumps(whole))
    former["out_of_fold"]["unet"]["positives"] = 0.5
    needed = set(whole) - {"also"}
    less = [{key: value for key, value in whole.items() if key != name} for name in needed]
    for content in ({}, [], 7, {"default": []}, former, *less):
        write_json(tmp_path / "metrics.json", content)
        with pytest.raises(UserError, match=r"metrics\.json: not as this version writes it"):
            write.summary(write.Summary(tmp_path))
    write_json(tmp_path / "metrics.json", whole)
    for content in ({}, [], {"out_of_fold": {}}):
        write_json(tmp_path / "baseline" / "metrics.json", content)
        with pytest.raises(UserError, match=r"baseline/metrics\.json: no scores of a verdict"):
            write.summary(write.Summary(tmp_path))
