"""Training the classifier: no leak between folds, and which images are scored."""

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from baseline.classifier import fit, predict, train
from baseline.classifier.settings import TrainingSettings
from baseline.learning import metrics, scores
from baseline.learning.estimator import load, raw_scores
from baseline.learning.feature_table import FeatureTable
from baseline.learning.training_rows import read_checked, training_rows
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.rim_run import change, make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def train_classifier(run: RunFolder, **options) -> None:
    train.main(train.Settings(run.root, **{"rounds": 5, "evidence": False, **options}))


def test_folds_on_a_cluster_are_those_trained_alone(run):
    train_classifier(run)
    alone = [run.classifier(fold).read_bytes() for fold in range(3)]
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster:
        run.classifier(0).unlink()
        train_classifier(run, scheduler=cluster.scheduler_address)
    assert [run.classifier(fold).read_bytes() for fold in range(3)] == alone


def test_test_images_of_training_patients_are_not_scored(run, capsys):
    dataset = run.dataset.read()
    tested = dataset.index[dataset["fold"].isna()]
    dataset.loc[tested[:3], "patient"] = "p7"
    run.dataset.write(dataset)
    run.truth.write(pd.DataFrame({"id": dataset["id"][tested], "mask": ["-1", "0 5", "0 5"] * 5}))
    train_classifier(run)
    test = metrics.read(run).test
    assert (test.images, test.positives, test.left_out) == (12, 8, 3)
    printed = capsys.readouterr().out
    assert "test: 12 images (without 3 of patients in the training set), AUC" in printed
    trained = dataset["fold"].notna()
    run.dataset.write(dataset.assign(patient=dataset["patient"].where(trained, "p7")))
    train_classifier(run)
    assert metrics.read(run).test is None


def test_models_of_former_folds_go(run):
    files.write_text(run.classifier(3), "of another number of folds")
    train_classifier(run)
    written = set(run.classifier(0).parent.glob("fold*.txt"))
    assert written == {run.classifier(fold) for fold in range(3)}


def test_what_fails_midway_is_not_taken_for_finished(run, monkeypatch):
    """make asks for metrics.json, and settings that are taken back must not find the old one."""
    train_classifier(run)
    monkeypatch.setattr(predict, "predict", broken)
    with pytest.raises(OSError, match="the disk is full"):
        train_classifier(run, rounds=6)
    assert not run.classifier_metrics.exists()


def broken(*arguments: object) -> None:
    raise OSError("the disk is full")


def test_every_calibration_needs_both_true_classes(run):
    def edit(table):
        label = table["label"].where((table["fold"] == 1) | (table["label"] < 1), np.nan)
        return table.assign(label=label, weak=table["weak"].fillna(0.9))

    change(run.dataset, edit)
    with pytest.raises(UserError, match="without fold 1 all images are of one class, or all with"):
        train_classifier(run)


def test_out_of_fold_predictions_come_from_the_fold_that_did_not_see_them(run, capsys):
    train_classifier(run, rounds=20)
    oof, test = run.oof.read(), run.test.read()
    assert len(oof) == 105 and len(test) == 30
    table = run.features.read().set_index("id")
    boosters = [load(run.classifier(fold)) for fold in range(3)]
    for fold, booster in enumerate(boosters):
        part = oof[oof["fold"] == fold]
        np.testing.assert_allclose(part["raw"], raw_scores(booster, table.loc[part["id"]]))
    deployed = test[test["fold"].isna()]
    assert (deployed["kind"] == "deployed").all() and len(deployed) == 15
    features = table.loc[deployed["id"]]
    mean = np.mean([raw_scores(booster, features) for booster in boosters], axis=0)
    np.testing.assert_allclose(deployed["raw"], mean)
    # Weakly labelled test images are training images: they are in both tables.
    assert (test["kind"] == "oof").sum() == 15
    result = metrics.read(run)
    assert result.out_of_fold.images == 90
    assert result.agreement_with_weak_labels.images == 15
    assert f"out of fold: 90 images, AUC {result.out_of_fold.auc}" in capsys.readouterr().out


def test_permuted_labels_give_no_auc(run):
    """Were there a leak from an image into its own score, random labels would score above 0.5."""
    rows = training_rows(run.dataset.read())
    rows = rows[rows["label"].notna()]
    table = run.features.read().set_index("id")
    aucs = []
    for seed in range(8):
        rows["target"] = rows["label"] = np.random.default_rng(seed).permutation(rows["label"])
        models = fit.fit_folds(FeatureTable(table), rows, TrainingSettings(rounds=20), 0)
        raw = np.empty(len(rows))
        for fold, model in enumerate(models):
            inside = (rows["fold"] == fold).to_numpy()
            raw[inside] = model.decision_function(table.loc[rows["id"][inside]])
        aucs.append(scores.auc(rows["label"].to_numpy(), raw))
    assert 0.38 < np.mean(aucs) < 0.6


def test_early_stopping_counts_rounds_by_left_out_patients(run):
    dataset, table = read_checked(run)
    rows = training_rows(dataset)
    features = table.measured.loc[rows["id"]]
    settings = TrainingSettings(rounds=400, patience=10, learning_rate=0.2, leaf_size=5)
    model = fit.fit_model(features, rows, settings, 0)
    assert 1 <= model.rounds_ == model.booster_.num_trees() < 400
    # With labels that nothing explains there is nothing to learn: fewer rounds than with true ones.
    noise = rows.assign(target=np.random.default_rng(0).permutation(rows["target"]))
    assert fit.fit_model(features, noise, settings, 0).rounds_ < model.rounds_


def test_a_classifier_that_could_not_learn_says_so(run, capsys):
    train_classifier(run, leaf_size=5000)
    printed = capsys.readouterr().out
    assert "warning: the model of fold 0, 1, 2 predicts the same for every image" in printed
    assert "--leaf-size" in printed
    train_classifier(run, leaf_size=5)
    assert "warning" not in capsys.readouterr().out


def test_a_run_of_another_version_is_refused(run):
    run.format.unlink()
    with pytest.raises(UserError, match="a run folder of an older version"):
        train_classifier(run)
