"""What the report refuses: files that are missing, of another version, or of different makings."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from baseline.classifier import train
from baseline.evaluation import faithfulness
from baseline.explanation import trained_run
from baseline.learning import predictions
from baseline.report import write
from features.run import files
from features.run.files import UserError
from tests.helpers.page_reader import Page


@pytest.fixture(scope="module")
def run(noise_run: Path) -> Path:
    return noise_run


def test_a_missing_run_or_stage_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        write.main(write.Settings(run=tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"dataset\.parquet: no such file"):
        write.main(write.Settings(run=tmp_path))
    with pytest.raises(UserError, match="at least one case"):
        write.main(write.Settings(run=tmp_path, cases=0))


@pytest.mark.parametrize("odd", ["no source", "nothing", "no default", "no number", "no gate"])
def test_outlines_of_another_version_are_refused(run, tmp_path, odd):
    run = shutil.copytree(run, tmp_path / "run")
    (run / "cnn").mkdir(exist_ok=True)
    path = run / "cnn" / "outlines.csv"
    row = {"id": "a", "probability": 0.5, "spoken": 1, "source": "joint", "level": 0.5}
    table = pd.DataFrame([row | {"dice": 0.5, "mask": "-1"}])
    table = table.drop(columns="source") if odd == "no source" else table
    table = table.assign(level="half") if odd == "no number" else table
    path.write_text("" if odd == "nothing" else table.to_csv(index=False))
    gate = {"no default": "{}", "no gate": "[]"}.get(odd, '{"default": "joint"}')
    (run / "gate.json").write_text(gate)
    with pytest.raises(
        UserError, match=r"outlines\.csv: it or .*gate\.json is not as this version"
    ):
        write.read_outlines(run, predictions.read(run / "baseline" / "oof.csv"))


def test_scores_of_other_predictions_are_refused(run, tmp_path):
    run = shutil.copytree(run, tmp_path / "run")
    path = run / "baseline" / "metrics.json"
    found = files.read_json(path)
    found["out_of_fold"]["auc"]["value"] += 0.001
    files.write_json(path, found)
    with pytest.raises(UserError, match=r"metrics\.json: its scores are not those of oof\.csv"):
        trained_run.read_inputs(run)


def test_a_run_without_test_images_is_explained_and_examined(run, tmp_path):
    run = shutil.copytree(run, tmp_path / "run")
    dataset = pd.read_parquet(run / "dataset.parquet")
    dataset[dataset["split"] == "train"].to_parquet(run / "dataset.parquet")
    (run / "truth.parquet").unlink()
    train.main(train.Settings(run=run, rounds=5, evidence=False))
    faithfulness.main(faithfulness.Settings(run=run, jobs=1))
    write.main(write.Settings(run=run, cases=1, jobs=1))
    assert (
        "make faithfulness report"
        not in Page((run / "report" / "index.html").read_text(encoding="utf-8")).text
    )


def test_predictions_of_other_models_are_refused(run, tmp_path):
    run = shutil.copytree(run, tmp_path / "run")
    path = run / "baseline" / "oof.csv"
    whole = path.read_text()
    table = pd.read_csv(path)
    table.loc[3, "raw"] += 5
    table.to_csv(path, index=False)
    with pytest.raises(UserError, match=r"prediction of i003<b> is not\s+that of the saved models"):
        trained_run.read_inputs(run)
    table.drop(columns="kind").to_csv(path, index=False)
    with pytest.raises(UserError, match="column 'kind' is missing"):
        trained_run.read_inputs(run)
    path.write_text(whole)
    (run / "baseline" / "fold1.txt").unlink()
    with pytest.raises(UserError, match=r"fold1\.txt"):
        trained_run.read_inputs(run)
    path.unlink()
    with pytest.raises(UserError, match=r"oof\.csv: no such file"):
        trained_run.read_inputs(run)
