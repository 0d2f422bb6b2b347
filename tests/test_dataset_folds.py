"""Folds: no patient in two of them, classes spread evenly, another split for each seed."""

from itertools import combinations

import numpy as np
import pandas as pd

from features.dataset import folds


def test_folds_keep_patients_together_and_strata_even():
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 120, 600).astype(str).astype(object)
    strata = (rng.random(600) < 0.3).astype(np.int64)
    assigned = folds.assign(strata, patients, 5, seed=1)
    assert pd.Series(assigned).groupby(patients).nunique().max() == 1
    shares = pd.Series(strata).groupby(assigned).mean()
    assert shares.max() - shares.min() < 0.05
    np.testing.assert_array_equal(assigned, folds.assign(strata, patients, 5, seed=1))


def test_each_seed_splits_anew():
    # Groups as unlike in size as those by sex and age: even the largest ones meet by chance.
    rng = np.random.default_rng(0)
    sizes = rng.geometric(0.1, 100)
    patients = np.repeat(np.arange(100).astype(str).astype(object), sizes)
    strata = (rng.random(len(patients)) < 0.3).astype(np.int64)
    first = np.cumsum(sizes) - 1
    largest = first[np.argsort(-sizes, kind="stable")[:5]]
    splits = [folds.assign(strata, patients, 5, seed) for seed in range(40)]
    met = [split[a] == split[b] for split in splits for a, b in combinations(largest, 2)]
    assert 0.1 < np.mean(met) < 0.3
    for split in splits:
        for part in (split, split[strata == 1]):
            assert np.ptp(np.bincount(part, minlength=5)) <= 0.15 * len(part) / 5


def test_no_fold_is_empty():
    patients = np.array(list("aaaaaaaabcd"), object)
    strata = np.array([1] * 8 + [0] * 3)
    for seed in range(20):
        assert set(folds.assign(strata, patients, 4, seed)) == {0, 1, 2, 3}


def test_positions_by_fold_and_of_those_in_none():
    fold = pd.Series([1, None, 0, 1], index=list("abcd"), dtype="Int64")
    by_fold = [(number, positions.tolist()) for number, positions in folds.by_fold(fold)]
    assert by_fold == [(0, [2]), (1, [0, 3]), (None, [1])]
    assert [number for number, _ in folds.by_fold(fold.dropna())] == [0, 1]


def test_strata_part_true_from_weak_labels_and_positive_from_negative():
    rows = pd.DataFrame({"label": [0, 1, np.nan, np.nan], "weak": [np.nan, np.nan, 0.5, 0.6]})
    assert folds.strata(rows).tolist() == [2, 3, 0, 1]
