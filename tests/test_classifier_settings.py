"""Settings of a training: from options, from a file, and what is refused."""

import pytest

from baseline.classifier import train
from baseline.classifier.settings import TrainingSettings, UsedSettings, read_used, resolve
from baseline.learning.estimator import load
from features.run import files
from features.run.files import UserError
from features.run.version import VERSION
from tests.helpers.rim_run import make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def test_settings_from_a_file(run, tmp_path):
    path = tmp_path / "chosen.json"
    chosen = {"rounds": 12, "leaves": 3, "feature_share": 1.0, "leaf_size": 2, "l2": 1.0}
    files.write_json(path, chosen)
    train.main(train.Settings(run.root, settings=path, seed=4, evidence=False))
    used = read_used(run)
    assert used == UsedSettings(VERSION, run.root.name, 4, False, TrainingSettings(**chosen))
    booster = load(run.classifier(0))
    assert booster.num_trees() == 12
    assert max(tree["num_leaves"] for tree in booster.dump_model()["tree_info"]) == 3
    # What the file leaves out is as the options say.
    merged = resolve(TrainingSettings(learning_rate=0.5), path)
    assert merged == TrainingSettings(**chosen, learning_rate=0.5)


def test_a_whole_number_does_for_a_fraction(run, tmp_path):
    files.write_json(tmp_path / "chosen.json", {"rounds": 2, "l2": 1})
    train.main(train.Settings(run.root, settings=tmp_path / "chosen.json", evidence=False))
    assert read_used(run).training.l2 == 1


def test_numbers_that_nothing_can_be_trained_by_are_refused(run):
    for wrong, sentence in (
        ({"rounds": 0}, "--rounds is 0, but must be at least 1"),
        ({"feature_share": 3.0}, "--feature-share is 3.0, but must be from 1e-06 to 1"),
        ({"leaves": 1}, "--leaves is 1"),
        ({"learning_rate": float("nan")}, "--learning-rate is nan"),
    ):
        with pytest.raises(UserError, match=sentence):
            train.main(train.Settings(run.root, evidence=False, **wrong))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"depth": 3}, "'depth' is no setting; known are .*leaf_size"),
        ([1], r"\[1\] is no setting"),
        ({"rounds": "many"}, "rounds = 'many'; it is a number such as 1500"),
        ({"rounds": 12.5}, "rounds = 12.5; it is a number such as 1500"),
        ({"rounds": 12}, "rounds is set here and by an option; set it once"),
    ],
)
def test_a_wrong_settings_file_is_refused(run, tmp_path, content, message):
    files.write_json(tmp_path / "chosen.json", content)
    with pytest.raises(UserError, match=message):
        train.main(train.Settings(run.root, settings=tmp_path / "chosen.json", rounds=99))
    assert not run.oof.path.parent.exists()
