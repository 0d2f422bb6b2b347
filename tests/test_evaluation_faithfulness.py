"""Deletion and stability on models whose answers are known beforehand, and the checks of a run."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from baseline.evaluation import faithfulness
from baseline.evaluation.results import read_faithfulness
from baseline.explanation import attributions, trained_run


@pytest.fixture(scope="module")
def learned():
    """A model of ten features that needs the first, and a little of the second."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, 10)), columns=[f"f{k}" for k in range(10)])
    target = (table["f0"] + 0.3 * table["f1"] > 0).astype(float)
    options = {"objective": "cross_entropy", "verbose": -1, "num_threads": 1, "seed": 0}
    return lgb.train(options, lgb.Dataset(table, target), 40), table


def test_deleting_what_matters_moves_the_score_more(learned):
    booster, table = learned
    _, values = attributions.values_of(booster, table)
    top, random = faithfulness.deletion(
        booster, table, values, table.median(), np.random.default_rng(0)
    )
    assert top.shape == random.shape == (400, len(faithfulness.DELETED))
    assert top[:, 0].mean() > 3 * random[:, 0].mean()
    # Sixteen of ten are all of them, in whatever order.
    np.testing.assert_allclose(top[:, 4], random[:, 4])
    everything = booster.predict(table.median().to_frame().T, raw_score=True)
    expected = np.abs(booster.predict(table, raw_score=True) - everything)
    np.testing.assert_allclose(top[:, 4], expected, atol=1e-6)


def test_agreement_by_hand():
    first = pd.DataFrame([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    second = pd.DataFrame([[2.0, 4.0, 9.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    assert faithfulness.agreement([first, second]).tolist() == [1.0, -1.0, 0.0]
    assert faithfulness.agreement([first, first, second])[1] == pytest.approx((1 - 1 - 1) / 3)


def test_a_run_is_evaluated_and_its_results_come_back(copied_noise_run, capsys):
    run = copied_noise_run
    faithfulness.main(faithfulness.Settings(run.root, jobs=1))
    trained = trained_run.read(run)
    results = read_faithfulness(run, trained.predicted)
    positive = (trained.oof["label"] > 0.5) & (trained.oof["probability"] >= 0.5)
    assert (results.pointing is None) == (not positive.any())
    assert results.pointing is None or results.pointing.images == positive.sum()
    # The features that the models use matter more than random ones.
    assert results.deletion.top[0] > results.deletion.random[0]
    assert str(results.stability.place) in capsys.readouterr().out
