"""The classifier: scikit-learn's contract, the same model twice, and mistakes."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone

from baseline.learning.estimator import Classifier, load, raw_scores
from features.run import digests, files
from features.run.files import UserError
from tests.helpers.rim_run import NAMES, draw


def model(**changes) -> Classifier:
    return Classifier(**{"rounds": 60, "feature_share": 1.0, "leaf_size": 5, **changes})


def test_it_learns_and_its_text_gives_the_same_scores(tmp_path):
    table, labels = draw(300)
    fitted = model().fit(table, labels)
    fresh, truth = draw(300, seed=1)
    assert ((fitted.predict(fresh) == truth).mean()) > 0.85
    probabilities = fitted.predict_proba(fresh)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities[:, 1], expit(fitted.decision_function(fresh)))
    files.write_text(tmp_path / "m.txt", fitted.booster_.model_to_string())
    digests.write([tmp_path / "m.txt"])
    again = raw_scores(load(tmp_path / "m.txt"), fresh)
    np.testing.assert_allclose(again, fitted.decision_function(fresh), atol=1e-12)


def test_contract():
    unfitted = model(rounds=7)
    assert clone(unfitted).get_params() == unfitted.get_params()
    assert not [name for name in vars(unfitted) if name.endswith("_")]


def test_training_twice_gives_the_same_model():
    table, labels = draw(200)
    texts = {model().fit(table, labels).booster_.model_to_string() for _ in range(2)}
    assert len(texts) == 1


def test_a_few_features_can_be_joined_whatever_their_share():
    table, _ = draw(400)
    either = ((table[NAMES[0]] > 0) ^ (table[NAMES[1]] > 0)).to_numpy(float)
    fitted = model(feature_share=0.03).fit(table, either)
    assert (fitted.predict(table) == either).mean() > 0.9


def test_mistakes(tmp_path):
    table, labels = draw(50)
    with pytest.raises(UserError, match="one class"):
        model().fit(table, np.ones(50))
    with pytest.raises(UserError, match="from 0 to 1"):
        model().fit(table, labels * np.nan)
    with pytest.raises(UserError, match=r"shape\.image\.width' is missing"):
        raw_scores(model().fit(table, labels).booster_, table.drop(columns=NAMES[2]))
    path = tmp_path / "m.txt"
    path.write_text("no model")
    with pytest.raises(UserError, match=r"m\.txt: its digest is not in digests\.json"):
        load(path)
    digests.write([path])
    path.write_text("no model at all")
    with pytest.raises(UserError, match=r"m\.txt: it is not the file that was written"):
        load(path)
    (tmp_path / "digests.json").write_text("[1]")
    with pytest.raises(UserError, match=r"m\.txt: its digest is not in digests\.json"):
        load(path)
    with pytest.raises(UserError, match=r"n\.txt: no such file"):
        load(tmp_path / "n.txt")
