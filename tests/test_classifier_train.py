"""The verdict: contract, calibration, and no leak between folds."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone

from baseline.classifier import train
from baseline.learning import calibrate, scores, training_table
from baseline.learning.estimator import Classifier, load, raw_scores
from features.run import files
from features.run.files import UserError

CONSTANT = "shape.left_whole.area"
NAMES = ["firstorder.right_rim.mean", "firstorder.left_rim.mean", "shape.image.width"]


def make(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of which the right rim alone decides."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 3)).astype(np.float32), columns=NAMES)
    labels = (table[NAMES[0]] + 0.3 * rng.normal(size=n) < -0.5).to_numpy(float)
    return table, labels


def model(**changes) -> Classifier:
    return Classifier(**{"rounds": 60, "feature_share": 1.0, "leaf_size": 5, **changes})


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


def test_a_few_features_can_be_joined_whatever_their_share():
    table, _ = make(400)
    either = ((table[NAMES[0]] > 0) ^ (table[NAMES[1]] > 0)).to_numpy(float)
    fitted = model(feature_share=0.03).fit(table, either)
    assert (fitted.predict(table) == either).mean() > 0.9


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
    with pytest.raises(UserError, match=r"n\.txt: no such model"):
        load(tmp_path / "n.txt")


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


def test_test_images_of_patients_who_taught_the_models_are_not_scored(run, capsys):
    table = pd.read_parquet(run / "dataset.parquet")
    tested = table.index[table["fold"] < 0]
    table.loc[tested[:3], "patient"] = "p7"
    table.to_parquet(run / "dataset.parquet")
    truth = pd.DataFrame({"id": table["id"][tested], "mask": ["-1", "0 5", "0 5"] * 5})
    truth.to_parquet(run / "truth.parquet")
    train.main(train.Settings(run, rounds=5, evidence=False))
    found = files.read_json(run / "baseline" / "metrics.json")["test"]
    assert (found["images"], found["positives"], found["left_out"]) == (12, 8, 3)
    assert (
        "test: 12 images (without 3 of patients who taught the models)" in capsys.readouterr().out
    )
    table["patient"] = table["patient"].where(table["fold"] >= 0, "p7")
    table.to_parquet(run / "dataset.parquet")
    train.main(train.Settings(run, rounds=5, evidence=False))
    assert "test" not in files.read_json(run / "baseline" / "metrics.json")


def test_models_of_former_folds_go(run):
    (run / "baseline").mkdir()
    (run / "baseline" / "fold3.txt").write_text("of another number of folds")
    train.main(train.Settings(run, rounds=5, evidence=False))
    assert len(list((run / "baseline").glob("fold*.txt"))) == 3


def test_every_calibration_needs_both_true_classes(run):
    table = pd.read_parquet(run / "dataset.parquet")
    table["label"] = table["label"].where((table["fold"] == 1) | (table["label"] < 1), np.nan)
    table["weak"] = table["weak"].fillna(0.9)
    table.to_parquet(run / "dataset.parquet")
    with pytest.raises(UserError, match="without fold 1 all images are of one class, or all with"):
        train.main(train.Settings(run, rounds=5, evidence=False))


def test_out_of_fold_predictions_come_from_the_fold_that_did_not_see_them(run):
    train.main(train.Settings(run, rounds=20, evidence=False))
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
    rows = training_table.training_rows(pd.read_parquet(run / "dataset.parquet"))
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


def change(run, name, edit):
    """Edit a table of the run in place."""
    table = pd.read_parquet(run / name)
    files.write_table(run / name, edit(table))


def put(column, row, value):
    def edit(table):
        table.loc[row, column] = value
        return table

    return edit


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
}
BAD_FEATURES = {
    rf"{NAMES[1]} of i5 is nan": put(NAMES[1], 5, np.nan),
    rf"{NAMES[2]} of i7 is -inf": put(NAMES[2], 7, -np.inf),
    r"i4 is there twice": put("id", 5, "i4"),
    r"i9 is missing \(1 such images\)": lambda t: t.drop(index=9),
    rf"{NAMES[0]} holds no numbers": lambda t: t.assign(**{NAMES[0]: "x"}),
    r"'texture\.apex\.old' is unknown to this version": lambda t: t.rename(
        columns={NAMES[0]: "texture.apex.old"}
    ),
}


@pytest.mark.parametrize(
    ("name", "message"),
    [("dataset.parquet", key) for key in BAD_DATASETS]
    + [("features.parquet", key) for key in BAD_FEATURES],
)
def test_bad_input_is_told_before_training(run, name, message):
    change(run, name, (BAD_DATASETS | BAD_FEATURES)[message])
    with pytest.raises(UserError, match=message):
        train.main(train.Settings(run))
    assert not (run / "baseline").exists()


def test_a_constant_feature_is_told_of_and_changes_nothing(run, capsys):
    table = training_table.read(run)[1]
    assert capsys.readouterr().err == ""
    change(run, "features.parquet", lambda t: t.assign(**{CONSTANT: np.float32(7)}))
    dataset, wider = training_table.read(run)
    told = capsys.readouterr().err
    assert "1 of 4 features are the same for all images that teach and are ignored" in told
    assert f": {CONSTANT}\n" in told
    rows = training_table.training_rows(dataset)
    settings = train.Training(rounds=20, feature_share=1.0)
    raw = [
        train.fit_one(t.loc[rows["id"]], rows, settings, 0).decision_function(t)
        for t in (table, wider)
    ]
    np.testing.assert_array_equal(*raw)


def test_early_stopping_counts_rounds_by_left_out_patients(run):
    dataset, table = training_table.read(run)
    rows = training_table.training_rows(dataset)
    seen = table.loc[rows["id"]]
    settings = train.Training(rounds=400, patience=10, learning_rate=0.2, leaf_size=5)
    model = train.fit_one(seen, rows, settings, 0)
    assert 1 <= model.rounds_ == model.booster_.num_trees() < 400
    # With labels that nothing explains there is nothing to learn: fewer rounds than with true ones.
    noise = rows.assign(target=np.random.default_rng(0).permutation(rows["target"]))
    assert train.fit_one(seen, noise, settings, 0).rounds_ < model.rounds_


def test_a_verdict_that_could_not_learn_says_so(run, capsys):
    train.main(train.Settings(run, rounds=5, leaf_size=5000, evidence=False))
    told = capsys.readouterr().out
    assert "warning: the model of fold 0, 1, 2 says the same of every image" in told
    assert "--leaf-size" in told
    train.main(train.Settings(run, rounds=5, leaf_size=5, evidence=False))
    assert "warning" not in capsys.readouterr().out


def test_settings_from_a_file(run, tmp_path):
    path = tmp_path / "chosen.json"
    files.write_json(
        path, {"rounds": 12, "leaves": 3, "feature_share": 1.0, "leaf_size": 2, "l2": 1}
    )
    train.main(train.Settings(run, settings=path, seed=4, evidence=False))
    written = files.read_json(run / "baseline" / "settings.json")
    assert written["rounds"] == 12 and written["l2"] == 1 and written["seed"] == 4
    booster = load(run / "baseline" / "fold0.txt")
    assert booster.num_trees() == 12
    assert max(tree["num_leaves"] for tree in booster.dump_model()["tree_info"]) == 3
    assert train.resolve(train.Settings(run, settings=path, learning_rate=0.5)).rounds == 12


def test_numbers_that_nothing_can_be_trained_by_are_refused(run):
    for wrong, sentence in (
        ({"rounds": 0}, "--rounds is 0, but must be at least 1"),
        ({"feature_share": 3.0}, "--feature-share is 3.0, but must be from 1e-06 to 1"),
        ({"leaves": 1}, "--leaves is 1"),
        ({"learning_rate": float("nan")}, "--learning-rate is nan"),
    ):
        with pytest.raises(UserError, match=sentence):
            train.main(train.Settings(run, evidence=False, **wrong))


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
        train.main(train.Settings(run, settings=tmp_path / "chosen.json", rounds=99))
    assert not (run / "baseline").exists()
