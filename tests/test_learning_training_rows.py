"""What is learned from is checked before any training."""

import numpy as np
import pytest

from baseline.classifier import fit, train
from baseline.classifier.settings import TrainingSettings
from baseline.learning.training_rows import read_checked, training_rows
from features.run.files import UserError
from tests.helpers.rim_run import NAMES, change, make_run, put

CONSTANT = "shape.left_whole.area"
BAD_DATASETS = {
    r"i3 has the label nan": put("label", 3, np.nan),
    r"i3 has the label 2\.0": put("label", 3, 2.0),
    r"i95 has the label 1\.5": put("weak", 95, 1.5),
    r"patient p0 is in 2 folds": put("patient", 1, "p0"),
    r"i1 is there twice": put("id", 0, "i1"),
    r"3 folds of 2 patients": lambda t: t.assign(patient=[f"p{n % 2}" for n in range(len(t))]),
    r"1 folds of 105 patients": lambda t: t.assign(fold=t["fold"].clip(upper=0)),
    r"fold 1 is empty": lambda t: t.assign(fold=t["fold"].replace(1, 2)),
    r"without fold 2 all images are of one class": lambda t: t.assign(
        label=t["label"].where(t["fold"] == 2, t["label"] * 0), weak=t["weak"] * 0
    ),
    r"no image has a label": lambda t: t.assign(fold=t["fold"].where(t["fold"] < 0)),
    r"the labelled images are all of one class": lambda t: t.assign(label=t["label"] * 0),
}
BAD_FEATURES = {
    rf"{NAMES[1]} of i5 is nan": put(NAMES[1], 5, np.nan),
    rf"{NAMES[2]} of i7 is -inf": put(NAMES[2], 7, -np.inf),
    r"i4 is there twice": put("id", 5, "i4"),
    r"i9 is missing \(1 such images\)": lambda t: t.drop(index=9),
    r"'texture\.apex\.old' is unknown": lambda t: t.rename(columns={NAMES[0]: "texture.apex.old"}),
}


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def test_rows_of_a_fold_have_a_target_and_a_number(run):
    rows = training_rows(run.dataset.read())
    assert len(rows) == 105 and rows["fold"].dtype == np.int64
    true = rows["label"].notna()
    assert rows["target"][true].equals(rows["label"][true])
    assert rows["target"][~true].equals(rows["weak"][~true])


def test_the_target_is_between_weak_label_and_weak_mask_that_contradict_each_other(run):
    change(run.dataset, put("weak_mask", 95, "-1"))
    change(run.dataset, put("weak_mask", 96, "0 5"))
    change(run.dataset, put("weak_mask", 97, "0 5"))
    for row, weak in ((95, 0.9), (96, 0.2), (97, 0.9)):
        change(run.dataset, put("weak", row, weak))
    target = training_rows(run.dataset.read()).loc[[95, 96, 97], "target"]
    np.testing.assert_allclose(target, [0.45, 0.6, 0.9])


@pytest.mark.parametrize("message", BAD_DATASETS)
def test_a_bad_dataset_is_refused_before_training(run, message):
    change(run.dataset, BAD_DATASETS[message])
    with pytest.raises(UserError, match=rf"dataset\.parquet: .*{message}"):
        train.main(train.Settings(run.root, evidence=False))
    assert not run.oof.path.parent.exists()


@pytest.mark.parametrize("message", BAD_FEATURES)
def test_bad_features_are_refused_before_training(run, message):
    change(run.features, BAD_FEATURES[message])
    with pytest.raises(UserError, match=rf"features\.parquet: .*{message}"):
        train.main(train.Settings(run.root, evidence=False))
    assert not run.oof.path.parent.exists()


def test_a_constant_feature_is_named_and_changes_nothing(run, capsys):
    table = read_checked(run)[1]
    assert capsys.readouterr().err == ""
    change(run.features, lambda t: t.assign(**{CONSTANT: np.float32(7)}))
    dataset, wider = read_checked(run)
    printed = capsys.readouterr().err
    assert "1 of 4 features are the same on all training images and are ignored" in printed
    assert f": {CONSTANT}\n" in printed
    rows = training_rows(dataset)
    settings = TrainingSettings(rounds=20, feature_share=1.0)
    raw = [
        fit.fit_model(t.loc[rows["id"]], rows, settings, 0).decision_function(t)
        for t in (table.measured, wider.measured)
    ]
    np.testing.assert_array_equal(*raw)
