"""What the report refuses: files that are missing, of another version, or of different makings."""

import pandas as pd
import pytest

from baseline.classifier import train
from baseline.evaluation import faithfulness
from baseline.explanation import shap_values
from baseline.report import write
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.page_reader import Page


def test_a_missing_run_or_stage_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        write.main(write.Settings(run=tmp_path / "nowhere"))
    with pytest.raises(UserError, match="is no run folder"):
        write.main(write.Settings(run=tmp_path))
    RunFolder(tmp_path).create()
    with pytest.raises(UserError, match="no such file"):
        write.main(write.Settings(run=tmp_path))
    with pytest.raises(UserError, match="at least one case"):
        write.main(write.Settings(run=tmp_path, cases=0))


def test_a_run_without_test_images_is_explained_and_evaluated(copied_noise_run):
    run = copied_noise_run
    dataset = run.dataset.read()
    run.dataset.write(dataset[dataset["split"] == "train"])
    run.truth.path.unlink()
    train.main(train.Settings(run=run.root, rounds=5, evidence=False))
    shap_values.main(shap_values.Settings(run=run.root))
    faithfulness.main(faithfulness.Settings(run=run.root, jobs=1))
    write.main(write.Settings(run=run.root, cases=1, jobs=1))
    assert "make faithfulness report" not in Page(run.report.read_text(encoding="utf-8")).text


def test_scores_of_other_predictions_are_refused(copied_noise_run):
    run = copied_noise_run
    content = files.read_json(run.classifier_metrics)
    content["out_of_fold"]["auc"]["value"] += 0.001
    files.write_json(run.classifier_metrics, content)
    with pytest.raises(UserError, match=r"metrics\.json: its scores are not those of oof\.csv"):
        write.main(write.Settings(run=run.root, cases=1, jobs=1))


def test_predictions_of_other_models_are_refused(copied_noise_run):
    run = copied_noise_run
    whole = run.oof.path.read_text()
    table = pd.read_csv(run.oof.path)
    table.loc[3, "raw"] += 5
    table.to_csv(run.oof.path, index=False)

    def report() -> None:
        write.main(write.Settings(run=run.root, cases=1, jobs=1))

    with pytest.raises(UserError, match=r"the probability of i003<b> is not that of its log-odds"):
        report()
    table.drop(columns="kind").to_csv(run.oof.path, index=False)
    with pytest.raises(UserError, match="no column 'kind'"):
        report()
    run.oof.path.write_text(whole)
    run.classifier(1).unlink()
    with pytest.raises(UserError, match=r"fold1\.txt"):
        report()
    run.oof.path.unlink()
    with pytest.raises(UserError, match=r"oof\.csv: no such file"):
        report()
