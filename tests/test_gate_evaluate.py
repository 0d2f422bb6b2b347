"""The default policy, on scores made by hand, and the scoreboards."""

import numpy as np
import pandas as pd
import pytest

from baseline.gate import rules
from cnn.gate import evaluate, scored_images
from cnn.gate.scoreboard import at_others_share, scoreboard
from features.run.folder import RunFolder
from tests.helpers.datasets import dataset
from tests.helpers.gate_run import inputs_by_chance
from tests.helpers.map_run import predictions

N = 100
PATIENTS = np.arange(N).astype(object)
INSIDE = "inside"


def share(mean: float) -> np.ndarray:
    """Scores of 0 and 1 with this mean, the last ones 0."""
    return (np.arange(N) < N * mean).astype(float)


def default(patients: np.ndarray = PATIENTS, **means: float) -> str:
    """The default policy, with a mean of 0.5 unless given, also `inside`."""
    earned = {policy: share(means.get(policy, 0.5)) for policy in rules.POLICIES}
    return evaluate.default_policy(earned, share(means.get(INSIDE, 0.5)), patients)


@pytest.mark.parametrize(
    ("means", "best"),
    [
        ({"joint": 0.7, "unet": 0.6, "inside": 0.65}, "joint"),
        # Among equals the simpler one.
        ({"inside": 0.5}, "empty"),
        ({"unet": 0.6, "fused": 0.6, "inside": 0.6}, "unet"),
        # One image less of a hundred is no clear loss: its interval holds nothing lost.
        ({"joint": 0.7, "unet": 0.66, "inside": 0.65}, "joint"),
    ],
)
def test_the_best_nested_policy_is_the_default(means, best, capsys):
    assert default(**means) == best
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("means", "better", "loss"),
    [
        # Choosing loses to both: the better of the two is taken, not the simpler.
        ({"empty": 0.65, "unet": 0.95, "joint": 0.95, "inside": 0.52}, "unet", "0.430"),
        ({"empty": 0.75, "unet": 0.65, "joint": 0.8, "inside": 0.52}, "empty", "0.230"),
        # It loses to one alone.
        ({"empty": 0.65, "unet": 0.3, "joint": 0.66, "inside": 0.52}, "empty", "0.130"),
        ({"empty": 0.2, "unet": 0.65, "joint": 0.66, "inside": 0.52}, "unet", "0.130"),
    ],
)
def test_a_choice_that_clearly_loses_falls_back_on_the_better(means, better, loss, capsys):
    assert default(**means) == better
    printed = capsys.readouterr().out
    assert printed.startswith(f"Choosing a policy earns {loss} [")
    assert f"of Dice less than {better}: falling back on that." in printed and "-" not in printed


def test_images_of_one_patient_are_no_proof():
    """A loss of 0.13 that is all of one patient's may be chance."""
    means = {"empty": 0.65, "joint": 0.7, "inside": 0.52}
    same = np.where(np.arange(N) < 80, "same", PATIENTS.astype(str)).astype(object)
    assert default(PATIENTS, **means) == "empty"
    assert default(same, **means) == "joint"


def test_a_share_is_scored_on_images_it_was_not_chosen_on():
    # Two shares; either fold's best is the other's worst.
    dice = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    folds = np.array([0, 0, 1])
    np.testing.assert_array_equal(at_others_share(dice, folds), [0.1, 0.3, 0.2])
    alone = at_others_share(dice, np.zeros(3, int))
    np.testing.assert_array_equal(alone, dice[:, 0])


def test_positives_and_negatives_have_intervals_too():
    """Of ten positives half are drawn well, and thirty negatives are all right."""
    positive = np.arange(40) < 10
    values = np.where(positive, np.arange(40) % 2, 1.0)
    rows = pd.DataFrame({"patient": [f"p{n}" for n in range(40)]})
    board = scoreboard(dict.fromkeys(rules.POLICIES, values), rows, positive, 3, values)
    assert (board.images, board.positives, board.patients, board.left_out) == (40, 10, 40, 3)
    assert tuple(board.policies) == rules.POLICIES
    row = board.policies["joint"]
    assert row == board.chosen_inside
    assert row.dice.value == pytest.approx(35 / 40)
    assert row.positives.value == 0.5
    # Ten coins: the percentile interval of their mean.
    assert row.positives.low == pytest.approx(0.2, abs=0.11)
    assert row.positives.high == pytest.approx(0.8, abs=0.11)
    assert (row.negatives.value, row.negatives.low, row.negatives.high) == (1.0, 1.0, 1.0)


def test_a_part_without_images_has_no_score():
    rows = pd.DataFrame({"patient": [f"p{n}" for n in range(5)]})
    board = scoreboard({"unet": np.ones(5)}, rows, np.ones(5, bool))
    assert board.policies["unet"].negatives is None
    assert board.policies["unet"].positives.value == 1
    assert board.chosen_inside is None


@pytest.fixture
def half_tested(tmp_path) -> tuple[RunFolder, pd.DataFrame]:
    """Eight images with their predictions: two are labelled, two weakly labelled, four deployed."""
    run = RunFolder(tmp_path)
    ids = [f"i{n}" for n in range(8)]
    run.dataset.write(dataset(ids, rows=8, columns=8))
    oof = predictions(ids[:4], "oof", [0] * 4, patient=[*"aabb"])
    deployed = predictions(ids[4:], "deployed", [None] * 4, patient=[*"bccd"])
    run.oof.write(oof)
    # The two weakly labelled ones are test images of a fold.
    run.test.write(pd.concat((oof[2:], deployed), ignore_index=True))
    run.truth.write(pd.DataFrame({"id": ids[2:], "mask": ["-1", "0 5"] * 3}))
    return run, deployed


def test_patients_with_training_images_are_left_out_of_the_test_set(half_tested):
    run, deployed = half_tested
    rows, left_out = scored_images.tested(run)
    # Deployed i4 is of b, whose i2 and i3 have a fold; those were predicted out of fold.
    assert list(rows["id"]) == ["i2", "i3", "i5", "i6", "i7"] and left_out == 1
    assert list(rows["mask"]) == ["-1", "0 5", "0 5", "-1", "0 5"]
    run.test.write(deployed[:1])
    assert scored_images.tested(run)[0].empty


def test_rules_are_chosen_by_weak_masks_too_but_not_by_those_their_label_contradicts(tmp_path):
    run, ids = RunFolder(tmp_path), [f"i{n}" for n in range(6)]
    run.dataset.write(
        dataset(
            ids,
            rows=8,
            columns=8,
            mask=["0 5", "-1", None, None, None, None],
            weak=[np.nan, np.nan, 0.9, 0.9, 0.1, np.nan],
            weak_mask=[None, None, "3 4", "-1", "-1", None],
        )
    )
    run.oof.write(predictions(ids, "oof", [0, 1, 0, 1, 0, 1], weak=run.dataset.read()["weak"]))
    rows, known = scored_images.with_weak_masks(run)
    assert list(rows["id"]) == ["i0", "i1", "i2", "i4"]
    assert list(rows["mask"]) == ["0 5", "-1", "3 4", "-1"]
    assert list(known) == [True, True, False, False]


def test_the_test_set_is_scored_where_its_truth_is_known(half_tested, monkeypatch):
    run, deployed = half_tested

    def gate_inputs(maps, rows, what, *spread):
        positive = (rows["mask"] != "-1").to_numpy(float)
        return dict.fromkeys(rules.SOURCES, inputs_by_chance(positive, np.zeros(len(rows)), 0))

    monkeypatch.setattr(evaluate, "gate_inputs", gate_inputs)
    chosen = {policy: rules.Rule("empty") for policy in rules.POLICIES}
    maps = evaluate.SourceMaps((run,))
    board = evaluate.score_test_set(maps, chosen)
    assert (board.images, board.positives, board.left_out) == (5, 3, 1)
    assert board.policies["joint"].dice.value == pytest.approx(2 / 5)
    run.test.write(deployed[:1])
    assert evaluate.score_test_set(maps, chosen) is None
    run.truth.path.unlink()
    assert evaluate.score_test_set(maps, chosen) is None
