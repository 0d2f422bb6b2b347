"""Triage by conformal prediction: its error rates, and cases by hand."""

import numpy as np

from baseline.learning import conformal
from baseline.learning.conformal import REFER, RULE_IN, RULE_OUT


def test_triage_keeps_its_stated_error_rates():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 1000).astype(float)
    raw, fold = labels + rng.normal(size=1000), np.arange(1000) % 5
    for alpha in (0.05, 0.2):
        decision = conformal.cross_triage(labels, raw, fold, alpha)
        # Three standard errors of about 500 images.
        reach = 3 * np.sqrt(alpha * (1 - alpha) / 480)
        assert abs((decision[labels == 1] == RULE_OUT).mean() - alpha) < reach
        assert abs((decision[labels == 0] == RULE_IN).mean() - alpha) < reach
        assert raw[decision == RULE_OUT].max() < raw[decision == RULE_IN].min() + 0.5


def test_triage_by_hand():
    labels = np.array([1.0] * 9 + [0.0] * 9)
    raw = np.array([*range(11, 20), *range(1, 10)], float)
    # 0 lies below all positives: 1 of 10. 10 is like neither class.
    decisions = conformal.triage(np.array([0.0, 10.0, 20.0]), labels, raw, 0.1)
    assert decisions.tolist() == [RULE_OUT, REFER, RULE_IN]


def test_the_images_of_a_fold_are_decided_by_those_of_the_others():
    # Fold 0 holds one image; 9 positives (11 .. 19) and 9 negatives (1 .. 9) lie in fold 1.
    labels = np.array([1.0] * 10 + [0.0] * 9)
    raw = np.array([0.0, *range(11, 20), *range(1, 10)])
    fold = np.array([0] + [1] * 18)
    decisions = conformal.cross_triage(labels, raw, fold, 0.1)
    assert decisions[0] == RULE_OUT
    # The only image of fold 0 is too few to decide on anything.
    assert (decisions[1:] == REFER).all()


def test_where_data_are_few_all_are_referred():
    labels = np.array([1.0, 0.0] * 4)
    decision = conformal.cross_triage(labels, labels * 100, np.repeat([0, 1], 4), 0.1)
    assert (decision == REFER).all()


def test_flagged_images_are_referred():
    labels = np.repeat([0.0, 1.0], 20)
    raw, fold = labels * 100, np.arange(40) % 2
    flagged = np.arange(40) < 5
    plain = conformal.cross_triage(labels, raw, fold, 0.1)
    decision = conformal.cross_triage(labels, raw, fold, 0.1, flagged)
    assert (plain[:5] == RULE_OUT).all() and (decision[:5] == REFER).all()
    assert (decision[5:] == plain[5:]).all()
