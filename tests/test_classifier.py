"""The verdict: contract, calibration, and no leak between folds."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone

from baseline import calibrate, scores, train
from baseline.classifier import Verdict, load, raw_scores
from features import files
from features.files import UserError

NAMES = ["firstorder.right_rim.mean", "firstorder.left_rim.mean", "shape.image.width"]


def make(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of which the right rim alone decides."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 3)).astype(np.float32), columns=NAMES)
    labels = (table[NAMES[0]] + 0.3 * rng.normal(size=n) < -0.5).to_numpy(float)
    return table, labels


def model(**changes) -> Verdict:
    return Verdict(**{"rounds": 60, "feature_share": 1.0, "leaf_size": 5, **changes})


def test_it_learns_and_its_text_gives_the_same_scores(tmp_path):
    table, labels = make(300)
    fitted = model().fit(table, labels)
    fresh, truth = make(300, seed=1)
    assert ((fitted.predict(fresh) == truth).mean()) > 0.85
    probabilities = fitted.predict_proba(fresh)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities[:, 1], expit(fitted.decision_function(fresh)))
    files.write_text(tmp_path / "m.txt", fitted.booster_.model_to_string())
    again = raw_scores(load(tmp_path / "m.txt"), fresh)
    np.testing.assert_allclose(again, fitted.decision_function(fresh), atol=1e-12)


def test_contract():
    verdict = model(rounds=7)
    assert clone(verdict).get_params() == verdict.get_params()
    assert not [name for name in vars(verdict) if name.endswith("_")]


def test_training_twice_gives_the_same_model():
    table, labels = make(200)
    texts = {model().fit(table, labels).booster_.model_to_string() for _ in range(2)}
    assert len(texts) == 1


def test_mistakes(tmp_path):
    table, labels = make(50)
    with pytest.raises(UserError, match="one class"):
        model().fit(table, np.ones(50))
    with pytest.raises(UserError, match="from 0 to 1"):
        model().fit(table, labels * np.nan)
    with pytest.raises(UserError, match=r"shape\.image\.width' is missing"):
        raw_scores(model().fit(table, labels).booster_, table.drop(columns=NAMES[2]))
    (tmp_path / "m.txt").write_text("no model")
    with pytest.raises(UserError, match=r"m\.txt: not a LightGBM model"):
        load(tmp_path / "m.txt")


def test_calibration_recovers_known_log_odds():
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < expit(0.5 * raw - 1)).astype(float)
    found = calibrate.fit(raw, labels)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.intercept == pytest.approx(-1, abs=0.05)


def test_calibration_never_turns_a_ranking_round():
    raw, labels = np.array([2.0, 1, -1, -2]), np.array([0.0, 0, 1, 1])
    assert calibrate.fit(raw, labels).slope == 0


def test_cross_fitted_calibration_does_not_see_its_own_fold():
    rng = np.random.default_rng(0)
    raw, folds = rng.normal(size=90), np.repeat([0, 1, 2], 30)
    labels = (rng.random(90) < 0.4).astype(float)
    before = calibrate.cross_fit(raw, labels, folds)
    labels[folds == 0] = 1 - labels[folds == 0]
    after = calibrate.cross_fit(raw, labels, folds)
    np.testing.assert_array_equal(before[folds == 0], after[folds == 0])
    assert (before[folds == 1] != after[folds == 1]).all()


@pytest.fixture
def run(tmp_path):
    """A run folder with features of 120 images: 90 labelled, 15 weak, 15 test without labels."""
    table, labels = make(120)
    table.insert(0, "id", [f"i{n}" for n in range(120)])
    files.write_table(tmp_path / "features.parquet", table)
    folds = np.where(np.arange(120) < 105, np.arange(120) % 3, -1)
    dataset = pd.DataFrame(
        {
            "id": table["id"],
            "patient": [f"p{n}" for n in range(120)],
            "split": ["train"] * 90 + ["test"] * 30,
            "fold": folds,
            "label": np.where(np.arange(120) < 90, labels, np.nan),
            "weak": np.where((np.arange(120) >= 90) & (folds >= 0), labels * 0.8 + 0.1, np.nan),
        }
    )
    files.write_table(tmp_path / "dataset.parquet", dataset)
    return tmp_path


def test_out_of_fold_predictions_come_from_the_fold_that_did_not_see_them(run):
    train.main(train.Settings(run, rounds=20))
    oof = pd.read_csv(run / "baseline" / "oof.csv")
    test = pd.read_csv(run / "baseline" / "test.csv")
    assert len(oof) == 105 and len(test) == 30
    table = pd.read_parquet(run / "features.parquet").set_index("id")
    for fold in range(3):
        booster = load(run / "baseline" / f"fold{fold}.txt")
        part = oof[oof["fold"] == fold]
        np.testing.assert_allclose(part["raw"], raw_scores(booster, table.loc[part["id"]]))
    deployed = test[test["fold"] == -1]
    mean = np.mean(
        [
            raw_scores(load(run / "baseline" / f"fold{f}.txt"), table.loc[deployed["id"]])
            for f in range(3)
        ],
        axis=0,
    )
    np.testing.assert_allclose(deployed["raw"], mean)
    metrics = files.read_json(run / "baseline" / "metrics.json")
    assert metrics["out_of_fold"]["images"] == 90
    assert metrics["agreement_with_weak_labels"]["images"] == 15


def test_permuted_labels_give_no_auc(run):
    """Were there a leak from an image into its own score, random labels would score above 0.5."""
    rows = train.teaching(pd.read_parquet(run / "dataset.parquet"))
    rows = rows[rows["label"].notna()]
    table = pd.read_parquet(run / "features.parquet").set_index("id")
    aucs = []
    for seed in range(8):
        rows["target"] = rows["label"] = np.random.default_rng(seed).permutation(rows["label"])
        models = train.fit_folds(table, rows, train.Settings(run, rounds=20))
        raw = np.empty(len(rows))
        for fold, fitted in enumerate(models):
            own = (rows["fold"] == fold).to_numpy()
            raw[own] = fitted.decision_function(table.loc[rows["id"][own]])
        aucs.append(scores.auc(rows["label"].to_numpy(), raw))
    assert 0.38 < np.mean(aucs) < 0.6


def test_one_class_is_refused_before_training(run):
    dataset = pd.read_parquet(run / "dataset.parquet")
    dataset["label"] = dataset["label"] * 0
    files.write_table(run / "dataset.parquet", dataset)
    with pytest.raises(UserError, match="all of one class"):
        train.main(train.Settings(run))
    assert not (run / "baseline").exists()
