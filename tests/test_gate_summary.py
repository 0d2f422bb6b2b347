"""The scoreboard as it is printed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baseline.gate import rules
from baseline.gate.results import GateMetrics
from baseline.learning.metrics import ClassifierMetrics, ClassifierScores
from baseline.learning.scores import Estimate
from cnn.gate import summary
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.gate_run import inputs_by_chance, metrics_by_chance


@pytest.fixture
def metrics() -> GateMetrics:
    """Scores of forty images by chance, half of the positives drawn."""
    positive = (np.arange(40) < 10).astype(float)
    inputs = dict.fromkeys(rules.SOURCES, inputs_by_chance(positive, np.zeros(40), 0))
    scored = metrics_by_chance(positive, inputs, "joint")
    joint = replace(
        scored.out_of_fold.policies["joint"],
        positives=Estimate(0.5, 0.2, 0.8),
        negatives=Estimate(1.0, 1.0, 1.0),
    )
    board = replace(scored.out_of_fold, policies=scored.out_of_fold.policies | {"joint": joint})
    return replace(scored, out_of_fold=board)


@pytest.fixture
def run(tmp_path: Path, metrics: GateMetrics) -> RunFolder:
    run = RunFolder(tmp_path)
    run.create()
    run.quarantine.write(pd.DataFrame({"id": ["q"], "path": "q.dcm", "reason": "truncated"}))
    auc = Estimate(0.8, 0.7, 0.9)
    scored = ClassifierScores(40, 10, 40, auc, auc, auc)
    files.write_record(run.classifier_metrics, ClassifierMetrics(scored))
    files.write_record(run.metrics, metrics)
    return run


def test_the_summary_prints_scores_and_paths(run, capsys):
    summary.main(summary.Settings(run.root))
    printed = capsys.readouterr().out
    assert "Classifier's AUC, out of fold: 0.800 [0.700, 0.900] (40 images)" in printed
    assert "U-Net's masks, out of fold: Dice on the 10 positives 0.500 [0.400, 0.600]" in printed
    assert "40 labelled images, out of fold" in printed
    assert f"quarantined: 1 images, see {run.quarantine.path}" in printed
    assert "test set" not in printed and "submission" not in printed
    run.submission.write(pd.DataFrame({"ImageId": ["u"], "EncodedPixels": ["-1"]}))
    summary.main(summary.Settings(run.root))
    assert f"submission: {run.submission.path}" in capsys.readouterr().out


def test_the_default_and_its_intervals_are_marked(metrics, capsys):
    summary.show(metrics)
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if "joint (default)" in line)
    assert "0.500 [0.200, 0.800]" in row and "1.000 [1.000, 1.000]" in row
    # The other policies have no scores of a part.
    assert "–" in printed and "chosen inside" not in printed


def test_the_test_set_and_what_was_left_out_are_printed(metrics, capsys):
    board = replace(metrics.out_of_fold, images=5, left_out=1)
    inside = metrics.out_of_fold.policies["joint"]
    whole = replace(
        metrics,
        test=board,
        also=("/other/run",),
        out_of_fold=replace(metrics.out_of_fold, chosen_inside=inside),
    )
    summary.show(whole)
    printed = capsys.readouterr().out
    assert "5 test set, without 1 of patients who have training images" in printed
    assert f"With the policy itself chosen on the other folds: {inside.dice}" in printed
    assert "averaged with those of /other/run" in printed


def test_missing_or_damaged_scores_are_a_sentence(run, tmp_path):
    run.classifier_metrics.write_text("{}")
    with pytest.raises(UserError, match=r"baseline/metrics\.json: .*; delete it and run make"):
        summary.main(summary.Settings(run.root))
    run.metrics.unlink()
    with pytest.raises(UserError, match=r"metrics\.json: no such file"):
        summary.main(summary.Settings(run.root))
    file = tmp_path / "gate.json"
    file.write_text("{}")
    with pytest.raises(UserError, match=r"gate\.json: is a file where a folder belongs"):
        summary.main(summary.Settings(file))
