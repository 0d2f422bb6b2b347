"""What the dial for the prevalence reads, by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from baseline.learning import conformal
from baseline.learning.calibrate import Calibration
from cnn.page import ward
from cnn.study import run_model


def model(labels, raw, triaged=None):
    """A model that knows these images; its probabilities are those of log-odds 2 x + 1."""
    models = SimpleNamespace(
        known=lambda fold: (np.array(labels, float), np.array(raw, float)),
        calibrations={None: Calibration(slope=2.0, intercept=1.0)},
    )
    return SimpleNamespace(models=models, triaged=triaged)


def test_without_triage_half_decides():
    found = ward.of_model(model([1, 1, 1, 0, 0, 0, 0], [0.9, -0.5, -0.51, 3, -1, -2, -3]))
    assert found == ward.Ward("half", 3, 4, 2, 1, 1, 3)
    assert found.prevalence == pytest.approx(3 / 7)


def test_with_triage_its_decisions_count():
    """By images of other folds, and flagged images are referred whatever their log-odds."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([1.0, 0.0], 40))
    raw = labels + 0.6 * rng.normal(size=80)
    fold, ids = rng.integers(0, 4, 80), np.array([f"i{k}" for k in range(80)])
    flagged = [0, int(raw.argmax()), int(raw.argmin())]
    oof = pd.DataFrame({"id": ids, "label": labels, "raw": raw, "fold": fold})
    unlabelled = pd.DataFrame({"id": ["x"], "label": [np.nan], "raw": [9.0], "fold": [0]})
    trained = SimpleNamespace(
        oof=pd.concat([unlabelled, oof]),
        known=lambda fold: (labels, raw),
        run=SimpleNamespace(flagged=lambda: frozenset(ids[flagged])),
    )
    found = ward.of_model(model(labels, raw, run_model.triaged(trained, 0.2)))
    expected = {"in": [0, 0], "out": [0, 0]}
    for k in set(range(80)) - set(flagged):
        others = fold != fold[k]
        decided = conformal.triage(raw[[k]], labels[others], raw[others], 0.2)[0]
        if decided:
            expected["in" if decided > 0 else "out"][int(labels[k] < 0.5)] += 1
    assert found.by == "triage" and (found.positives, found.negatives) == (40, 40)
    assert [found.positives_in, found.negatives_in] == expected["in"]
    assert [found.positives_out, found.negatives_out] == expected["out"]
