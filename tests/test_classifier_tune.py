"""The search for settings: begins with the defaults, goes on where it stopped, applies none."""

import numpy as np
import pandas as pd
import pytest

from baseline.classifier import tune
from baseline.classifier.settings import TrainingSettings, resolve
from baseline.classifier.tune import SearchResult
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.datasets import dataset

NAMES = ["firstorder.right_rim.mean", "firstorder.left_rim.mean", "shape.image.width"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """100 images of 100 patients; the right rim alone decides."""
    monkeypatch.setitem(tune.SPACE, "rounds", (100, 1500, True))
    run, rng = RunFolder(tmp_path), np.random.default_rng(0)
    run.create()
    table = pd.DataFrame(rng.normal(size=(100, 3)).astype(np.float32), columns=NAMES)
    label = (table[NAMES[0]] < 0).astype(float)
    ids = [f"i{k}" for k in range(100)]
    table.insert(0, "id", ids)
    run.features.write(table)
    run.dataset.write(dataset(ids, label=label, fold=np.arange(100) % 2))
    return run


def settings(run, **changes) -> tune.Settings:
    return tune.Settings(run.root, **{"trials": 3, "splits": 1, "folds": 2, **changes})


def test_it_goes_on_where_it_stopped_and_writes_settings_for_training(run, capsys):
    first = tune.search(settings(run))
    assert first.trials == 3
    defaults = {name: getattr(TrainingSettings, name) for name in tune.SPACE}
    assert first.default.settings == defaults
    tune.main(settings(run, trials=5))
    result = files.read_record(run.search_result, SearchResult)
    assert result.trials == 5 and result.default == first.default
    assert result.best.search >= max(first.best.search, result.default.search)
    out = capsys.readouterr().out
    assert f"{result.best.search:.4f}" in out and "flattered" in out
    chosen = resolve(TrainingSettings(), run.best_settings)
    assert {name: getattr(chosen, name) for name in tune.SPACE} == result.best.settings
    assert not run.oof.path.parent.exists()
    # All trials differ: the search that goes on does not draw the former ones again.
    study = tune.open_study(run.search_journal, tune.Objective(settings(run)).digest(), 0)
    tried = [tuple(trial.params.values()) for trial in tune.done(study)]
    assert len(set(tried)) == len(tried) == 5


def test_defaults_that_were_killed_while_tried_are_tried_again(run, monkeypatch):
    def killed(self, training, first=0):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tune.Objective, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            tune.search(settings(run))
    result = tune.search(settings(run, trials=2))
    assert result.default.settings == tune.DEFAULTS
    assert result.trials == 2


def test_the_score_is_the_out_of_fold_auc_of_the_splits(run):
    objective = tune.Objective(settings(run, splits=2))
    single = tune.Objective(settings(run, splits=1))
    first, second = (single(TrainingSettings(), split) for split in (0, 1))
    assert objective(TrainingSettings()) == pytest.approx((first + second) / 2)
    target = np.random.default_rng(0).permutation(objective.rows["target"])
    objective.rows = objective.rows.assign(target=target)
    assert objective(TrainingSettings()) < min(first, second)


def test_mistakes(run):
    tune.search(settings(run, trials=1))
    with pytest.raises(UserError, match=r"study\.journal: a search on other data"):
        tune.search(settings(run, splits=2))
    with pytest.raises(UserError, match="trials = 0"):
        tune.main(settings(run, trials=0))
    run.search_journal.unlink()
    with pytest.raises(UserError, match="not even the default settings were tried"):
        tune.search(settings(run, minutes=-1.0))
