"""The search for settings: begins with the defaults, goes on where it stopped, applies none."""

import numpy as np
import pandas as pd
import pytest

from baseline.classifier import train, tune
from features.run import files
from features.run.files import UserError

NAMES = ["firstorder.right_rim.mean", "firstorder.left_rim.mean", "shape.image.width"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """100 images of 100 patients; the right rim alone decides."""
    monkeypatch.setitem(tune.SPACE, "rounds", (100, 1500, True))
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(100, 3)).astype(np.float32), columns=NAMES)
    label = (table[NAMES[0]] < 0).astype(float)
    ids = [f"i{k}" for k in range(100)]
    table.insert(0, "id", ids)
    files.write_table(tmp_path / "features.parquet", table)
    dataset = pd.DataFrame(
        {"id": ids, "patient": ids, "split": "train", "label": label, "weak": np.nan}
    )
    files.write_table(tmp_path / "dataset.parquet", dataset.assign(fold=np.arange(100) % 2))
    return tmp_path


def settings(run, **changes) -> tune.Settings:
    return tune.Settings(run, **{"trials": 3, "splits": 1, "folds": 2, **changes})


def test_it_goes_on_where_it_stopped_and_writes_settings_for_training(run, capsys):
    first = tune.search(settings(run))
    assert first["trials"] == 3
    defaults = {name: getattr(train.Training, name) for name in tune.SPACE}
    assert first["default"]["settings"] == defaults
    tune.main(settings(run, trials=5))
    found = files.read_json(run / "tune" / "tune.json")
    assert found["trials"] == 5 and found["default"] == first["default"]
    assert found["best"]["search"] >= max(first["best"]["search"], found["default"]["search"])
    out = capsys.readouterr().out
    assert f"{found['best']['search']:.4f}" in out and "flattered" in out
    chosen = train.resolve(train.Settings(run, settings=run / "tune" / "best.json"))
    assert {name: getattr(chosen, name) for name in tune.SPACE} == found["best"]["settings"]
    assert not (run / "baseline").exists()
    # All trials differ: the search that goes on does not draw the former ones again.
    study = tune.open_study(
        run / "tune" / "study.journal", tune.Objective(settings(run)).digest(), 0
    )
    tried = [tuple(trial.params.values()) for trial in tune.done(study)]
    assert len(set(tried)) == len(tried) == 5


def test_defaults_that_were_killed_while_tried_are_tried_again(run, monkeypatch):
    def killed(self, training, first=0):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tune.Objective, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            tune.search(settings(run))
    found = tune.search(settings(run, trials=2))
    assert found["default"]["settings"] == tune.DEFAULTS
    assert found["trials"] == 2


def test_the_score_is_the_out_of_fold_auc_of_the_splits(run):
    objective = tune.Objective(settings(run, splits=2))
    one, other = (tune.Objective(settings(run, splits=1))(train.Training(), k) for k in (0, 1))
    assert objective(train.Training()) == pytest.approx((one + other) / 2)
    target = np.random.default_rng(0).permutation(objective.rows["target"])
    objective.rows = objective.rows.assign(target=target)
    assert objective(train.Training()) < min(one, other)


def test_mistakes(run):
    tune.search(settings(run, trials=1))
    with pytest.raises(UserError, match=r"study\.journal: a search on other data"):
        tune.search(settings(run, splits=2))
    with pytest.raises(UserError, match="trials = 0"):
        tune.main(settings(run, trials=0))
    (run / "tune" / "study.journal").unlink()
    with pytest.raises(UserError, match="not even the default settings were tried"):
        tune.search(settings(run, minutes=-1.0))
