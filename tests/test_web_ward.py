"""What the dial for the prevalence reads, by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from baseline.learning import conformal
from cnn.web import ward


def trained(labels, probabilities, flagged=()):
    """A run of two folds, its log-odds those of the probabilities."""
    p = np.array(probabilities, float)
    ids = [f"i{k}" for k in range(len(p))]
    oof = pd.DataFrame(
        {
            "id": ids,
            "label": labels,
            "raw": np.log(p / (1 - p)),
            "probability": p,
            "fold": np.arange(len(p)) % 2,
        }
    )
    return SimpleNamespace(oof=oof, run=SimpleNamespace(flagged=lambda: set(flagged)))


def test_without_triage_half_decides(monkeypatch):
    monkeypatch.setattr(ward, "read_shortcuts", lambda run, oof: None)
    run = trained([1, 1, 1, 0, 0, 0, 0, np.nan], [0.9, 0.5, 0.2, 0.6, 0.1, 0.2, 0.3, 0.99])
    assert ward.of_run(run) == ward.Ward("half", 3, 4, 2, 1, 1, 3)
    assert ward.of_run(run).prevalence == pytest.approx(3 / 7)


def test_with_triage_its_decisions_count(monkeypatch):
    checks = SimpleNamespace(triage=SimpleNamespace(alpha=0.2))
    monkeypatch.setattr(ward, "read_shortcuts", lambda run, oof: checks)
    rng = np.random.default_rng(0)
    labels = np.repeat([1.0, 0.0], 40)
    p = np.clip(0.5 + 0.3 * (labels - 0.5) + 0.15 * rng.normal(size=80), 0.02, 0.98)
    run = trained(labels, p, flagged=("i0", "i79"))
    found = ward.of_run(run)
    raw, fold = run.oof["raw"].to_numpy(), run.oof["fold"].to_numpy()
    # Image by image, by the images of the other fold.
    expected = {"in": [0, 0], "out": [0, 0]}
    for k in range(80):
        others = fold != fold[k]
        decided = conformal.triage(raw[[k]], labels[others], raw[others], 0.2)[0]
        if k not in (0, 79) and decided:
            expected["in" if decided > 0 else "out"][int(labels[k] < 0.5)] += 1
    assert found.by == "triage" and (found.positives, found.negatives) == (40, 40)
    assert [found.positives_in, found.negatives_in] == expected["in"]
    assert [found.positives_out, found.negatives_out] == expected["out"]
    assert found.positives_in > found.negatives_in and found.negatives_out > found.positives_out
