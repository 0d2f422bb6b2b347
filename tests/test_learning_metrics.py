"""The classifier's scores: by hand, and read back as they were written."""

import numpy as np
import pytest

from baseline.learning import metrics
from baseline.learning.metrics import Agreement, ClassifierMetrics
from baseline.learning.scores import Estimate
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder

LABELS, PROBABILITIES = np.tile([1.0, 0.0, 0.0], 10), np.tile([0.8, 0.6, 0.1], 10)
PATIENTS = np.array([f"p{k // 2}" for k in range(30)], object)


def test_scores_by_hand():
    scored = metrics.score(LABELS, PROBABILITIES, PATIENTS, left_out=4)
    assert (scored.images, scored.positives, scored.patients, scored.left_out) == (30, 10, 15, 4)
    assert scored.auc.value == scored.average_precision.value == 1
    assert scored.brier.value == pytest.approx((0.2**2 + 0.6**2 + 0.1**2) / 3)
    assert scored.brier.low < scored.brier.value < scored.brier.high


def test_they_come_back_as_they_were_written(tmp_path):
    run = RunFolder(tmp_path)
    scored = metrics.score(LABELS, PROBABILITIES, PATIENTS)
    written = ClassifierMetrics(scored, Agreement(7, Estimate(0.9, 0.8, 0.95)))
    files.write_record(run.classifier_metrics, written)
    assert metrics.read(run) == written and written.test is None
    files.write_json(run.classifier_metrics, {"out_of_fold": {"auc": 0.9}})
    with pytest.raises(UserError, match=r"metrics\.json: not as this version writes it"):
        metrics.read(run)
