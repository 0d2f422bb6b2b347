"""How far the test set differs from the training set, and in what.

A classifier that tells the two sets apart out of fold shows that they are not alike (a classifier
two-sample test; Lopez-Paz and Oquab, ICLR 2017): 0.5 is alike, 1 is told apart without fail.
"""

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.audit import predictors, resampled_auc
from baseline.audit.findings import Finding, Item, Table, count
from baseline.audit_facts.facts import Facts
from baseline.explanation.wording import label
from baseline.learning import scores
from features.families import registry

SHOWN = 8
PARAMETERS = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.1,
    "min_data_in_leaf": 5,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # so few rows: threads would wait for one another
    "seed": 0,
    "verbosity": -1,
}
ROUNDS = 60
# Most images of each set by which measures tell them apart: the 95% interval of an
# AUC of so many is 0.03 to either side (Hanley and McNeil, Radiology 143, 1982).
MOST = 1000
NAME = "test against training set"
PIPELINE = (
    "Nothing is re-weighted: probabilities are calibrated on the training set's folds, and hold "
    "for the test set only as far as the two sets are alike."
)
USER = (
    "If they differ by device or file, expect a lower score on the test set than out of fold, and "
    "choose the gate's rule with care. A difference in age or view only may be wanted."
)


def shift(facts: Facts) -> Finding:
    """AUC of telling the test set from the training set, and the measures and facts that do it."""
    chosen = facts.table["split"].isin(["train", "test"]).to_numpy()
    target = np.asarray(facts.table["split"][chosen] == "test", np.float64)
    patients = facts.table["patient"][chosen].to_numpy(object)
    columns = {name: column[chosen] for name, column in predictors.values(facts).items()}
    weighed = predictors.weigh(columns, target, patients)
    if weighed is None:
        few = f"One of the two sets has fewer than {predictors.FEWEST} images."
        return Finding(NAME, "not applicable", few, PIPELINE, USER)
    measures, source = _measures(facts, chosen)
    sample = _sample(target)
    measures, by_measures = measures.iloc[sample], target[sample]
    together = _told_apart(measures, by_measures, patients[sample])
    items = []
    if together.low > predictors.SUSPICIOUS:
        items.append(Item(f"all {source} together", f"AUC {together} for being a test image"))
    items += [
        Item(
            one.name, f"AUC {one.auc} for being a test image; {one.values} (test against training)"
        )
        for one in weighed
        if one.suspicious
    ]
    differ = "differ" if items else "are alike as far as this can tell"
    facts_named = sum(one.suspicious for one in weighed)
    by = f", and so do {count(facts_named, 'fact')} of the files" if facts_named else ""
    return Finding(
        NAME,
        "fail" if items else "pass",
        f"The two sets {differ}: {source} tell them apart with an AUC of {together}{by}.",
        PIPELINE,
        USER,
        tuple(items),
        (_table(measures, by_measures),),
    )


def _sample(target: NDArray[np.float64]) -> NDArray[np.intp]:
    """Places of at most `MOST` images of each set, evenly taken."""
    places = [np.flatnonzero(target == value) for value in (0, 1)]
    return np.concatenate(
        [
            of_set[np.linspace(0, len(of_set) - 1, min(len(of_set), MOST)).astype(int)]
            for of_set in places
        ]
    )


def _measures(facts: Facts, chosen: NDArray[np.bool_]) -> tuple[pd.DataFrame, str]:
    """Features where all images have them, else the coarse measures of the audit itself."""
    ids = facts.table["id"][chosen]
    if facts.features is not None:
        table = facts.features.set_index("id")
        if ids.isin(table.index).all():
            return table.loc[ids].reset_index(drop=True), "features"
    coarse = facts.pictures.drop(columns="digest")[chosen].reset_index(drop=True)
    return coarse, "coarse measures"


def _told_apart(
    measures: pd.DataFrame, target: NDArray[np.float64], patients: NDArray[np.object_]
) -> scores.Estimate:
    fold = predictors.split(target, patients)
    assert fold is not None  # asked before
    values, scored = measures.to_numpy(np.float32), np.empty(len(target))
    for number in np.unique(fold):
        rest = fold != number
        data = lightgbm.Dataset(values[rest], target[rest])
        booster = lightgbm.train(PARAMETERS, data, ROUNDS)
        raw = np.asarray(booster.predict(values[~rest], raw_score=True))
        mean = target[rest].mean()
        scored[~rest] = raw - np.log(mean / (1 - mean))
    return resampled_auc.estimate(target, scored, resampled_auc.weights(patients))


def _table(measures: pd.DataFrame, target: NDArray[np.float64]) -> Table:
    """The measures that differ most, each by itself."""
    aucs = {
        str(name): scores.auc(
            target, measures[name].fillna(measures[name].median()).to_numpy(float)
        )
        for name in measures
    }
    top = sorted(aucs, key=lambda name: -abs(aucs[name] - 0.5))[:SHOWN]
    return Table(
        "Measures that differ most between the two sets, each alone; AUC above 0.5: higher in the "
        "test set",
        ("measure", "AUC"),
        tuple((in_words(name), f"{aucs[name]:.3f}") for name in top),
    )


def in_words(name: str) -> str:
    """A feature with its place in words; a coarse measure has its own name already."""
    if name.count(".") != 2:
        return name
    zone = registry.zone_in_words(registry.describe(name).zone)
    return f"{label(name)}, {zone}"
