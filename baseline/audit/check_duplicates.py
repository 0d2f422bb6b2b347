"""One exposure stored twice: within a set, across sets, and with two labels."""

from collections.abc import Callable

import pandas as pd

from baseline.audit import pictures
from baseline.audit.findings import Finding, Item, Picture, count
from baseline.audit_facts.duplicates import Pair
from baseline.audit_facts.facts import Facts

# Pairs that get pictures; all are named.
SHOWN = 6


def duplicates(facts: Facts) -> Finding:
    """All pairs of the same exposure."""
    exact = sum(pair.exact for pair in facts.pairs)
    return Finding(
        "duplicates",
        "fail" if facts.pairs else "pass",
        f"{count(exact, 'pair')} with equal pixels, and "
        f"{count(len(facts.pairs) - exact, 'pair')} that show the same exposure.",
        "Nothing: both copies are used. Only copies of one patient group are sure to be in one "
        "fold.",
        "Keep one copy of each, or give both the same patient in patients.csv, so that no model is "
        "scored on a copy of what it has learned.",
        _items(facts, facts.pairs, _groups),
    )


def _groups(first: pd.Series, second: pd.Series) -> str:
    if first["patient"] == second["patient"]:
        return ""
    return f"; of two patient groups, {first['patient']} and {second['patient']}"


def across_sets(facts: Facts) -> Finding:
    """Pairs of a training and a test image."""
    split = facts.table["split"]
    pairs = [
        pair
        for pair in facts.pairs
        if {split.iloc[pair.first], split.iloc[pair.second]} == {"train", "test"}
    ]
    return Finding(
        "duplicates in both sets",
        "fail" if pairs else "pass",
        f"{count(len(pairs), 'pair')} of a training and a test image with the same exposure.",
        "Scores of the test set leave out patients that are in the training set, but a copy under "
        "another patient's name counts.",
        "Remove the copy from one of the two sets: a test score that counts it is too good.",
        _items(facts, pairs, lambda first, second: f"; {first['split']} and {second['split']}"),
    )


def other_label(facts: Facts) -> Finding:
    """Pairs whose labels contradict each other."""
    label = facts.table["label"]
    pairs = [
        pair
        for pair in facts.pairs
        if {label.iloc[pair.first], label.iloc[pair.second]} == {0.0, 1.0}
    ]
    return Finding(
        "duplicates with two labels",
        "fail" if pairs else "pass",
        f"{count(len(pairs), 'pair')} of the same exposure with one positive and one negative "
        "label.",
        "Nothing: both are learned from, and one of them is wrong.",
        "Look at both, then correct the wrong row of the annotation csv or remove the image.",
        _items(
            facts,
            pairs,
            lambda first, second: f"; labels {first['label']:.0f}, {second['label']:.0f}",
        ),
    )


def _items(
    facts: Facts, pairs: list[Pair], more: Callable[[pd.Series, pd.Series], str]
) -> tuple[Item, ...]:
    items = []
    for number, pair in enumerate(pairs):
        first, second = facts.table.iloc[pair.first], facts.table.iloc[pair.second]
        alike = "equal pixels" if pair.exact else f"correlation {pair.correlation:.3f}"
        shown = _shown(facts, pair) if number < SHOWN else ()
        ids = (str(first["id"]), str(second["id"]))
        items.append(Item(" = ".join(ids), alike + more(first, second), ids, shown))
    return tuple(items)


def _shown(facts: Facts, pair: Pair) -> tuple[Picture, ...]:
    gap = pictures.difference(facts.thumbnails[pair.first], pair.overlay)
    return (
        pictures.thumbnail(facts, pair.first),
        pictures.thumbnail(facts, pair.second),
        Picture(pictures.uri(gap), "difference, twofold; grey is none"),
    )
