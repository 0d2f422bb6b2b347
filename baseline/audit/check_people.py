"""Who was X-rayed and how: ages, sexes, views, pixel distances and exposures by label."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from baseline.audit.findings import Finding, Item, Table, count
from baseline.audit_facts.facts import Facts
from features.reading import dicom_tags

# Ages of one patient further apart than this are two patients', in years.
LIFETIME = 20.0


def people(facts: Facts) -> Finding:
    """Age, sex, view, spacing and exposure of images with and without pneumothorax."""
    table = facts.table
    unknown = int(table["age"].isna().sum())
    return Finding(
        "people and exposures",
        "pass",
        f"Age is known of {count(len(table) - unknown, 'image')}, sex of "
        f"{table['sex'].notna().sum():,}, view of {table['view'].notna().sum():,}.",
        "Age, sex and view form a feature family of their own, whose share of a prediction the "
        "report shows; make shortcuts says what they reach alone.",
        "Where the columns differ much, judge the scores within one view or one age group too "
        "(make shortcuts report).",
        tables=(_by_label(facts),),
    )


def _by_label(facts: Facts) -> Table:
    table = facts.table
    groups = {
        "positive": table["label"] == 1,
        "negative": table["label"] == 0,
        "test": table["split"] == "test",
    }
    numbers = {
        "age, years": table["age"],
        "pixel distance, mm": table["spacing_mm"],
        "tube voltage, kV": _tag(facts, "kvp"),
        "exposure, mAs": _tag(facts, "exposure"),
    }
    rows = [
        (name, *(_spread(values[chosen]) for chosen in groups.values()))
        for name, values in numbers.items()
        if values.notna().any()
    ]
    for name in ("sex", "view"):
        for value in sorted(table[name].dropna().unique()):
            shares = (_share(table[name][chosen] == value) for chosen in groups.values())
            rows.append((f"{name} {value}", *shares))
        rows.append((f"{name} unknown", *(_share(table[name][c].isna()) for c in groups.values())))
    return Table("Median and middle half, or share of images", ("", *groups), tuple(rows))


def _tag(facts: Facts, name: str) -> pd.Series:
    empty = pd.Series(np.nan, facts.table.index)
    return pd.to_numeric(facts.files.get(name, empty), errors="coerce")


def _spread(values: pd.Series) -> str:
    known = values.dropna()
    if known.empty:
        return "unknown"
    low, middle, high = np.percentile(known, (25, 50, 75))
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def _share(chosen: pd.Series) -> str:
    return f"{chosen.mean():.0%}" if len(chosen) else "no image"


def ages(facts: Facts) -> Finding:
    """Ages that no person has, and tags that are no age."""
    raw = facts.files.get("raw age", pd.Series(None, facts.table.index, dtype=object))
    items = tuple(
        Item(key, f"PatientAge is {text!r}, which is no age that a person has", (key,))
        for key, text in zip(facts.ids, raw.fillna("").astype(str), strict=True)
        if text.strip() and dicom_tags.age_in_years(text) is None
    )
    return Finding(
        "impossible ages",
        "fail" if items else "pass",
        f"{count(len(items), 'impossible age')} (above {dicom_tags.OLDEST:.0f} years, or no age).",
        "Such an age counts as unknown; the image is used.",
        "Correct the tag PatientAge (0010,1010) if you know the age.",
        items,
    )


def one_person(facts: Facts) -> Finding:
    """Patient groups whose images are of both sexes, or of ages that are too far apart."""
    items = tuple(_contradictions(facts.table))
    return Finding(
        "one patient, one person",
        "fail" if items else "pass",
        f"{count(len(items), 'patient group')} with both sexes, or with ages more than "
        f"{LIFETIME:.0f} years apart.",
        "The group stays together in one fold, so no score profits from it; sex and age are "
        "features, and a wrong one misleads them a little.",
        "A few images of the other sex are likely a wrong tag; many are likely a placeholder that "
        "several patients share (ANON, UNKNOWN): give a patients.csv with the true patients.",
        items,
    )


def _contradictions(table: pd.DataFrame) -> Iterator[Item]:
    groups = table.groupby("patient")
    lifetimes = groups["age"].max() - groups["age"].min()
    sexes_of_group = groups["sex"].nunique()
    odd = (sexes_of_group > 1) | (lifetimes > LIFETIME)
    for patient, rows in table[table["patient"].map(odd)].groupby("patient", sort=True):
        sexes, ages = rows["sex"].dropna(), rows["age"].dropna()
        if len(set(sexes)) > 1:
            rarest = sexes.value_counts().index[-1]
            rare = tuple(rows.loc[rows["sex"] == rarest, "id"])
            yield Item(
                f"patient {patient}",
                f"{len(rows)} images of both sexes; {rarest}: {_named(rare)}",
                tuple(rows["id"]),
            )
        else:
            yield Item(
                f"patient {patient}",
                f"{len(rows)} images at ages from {ages.min():.0f} to {ages.max():.0f}",
                tuple(rows["id"]),
            )


def _named(ids: tuple[str, ...], most: int = 3) -> str:
    """The first ids, and how many more there are."""
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more


def both_sets(facts: Facts) -> Finding:
    """Patients whose images are in the training set and in the test set."""
    table = facts.table[facts.table["split"].isin(["train", "test"])]
    items = []
    for patient, rows in table.groupby("patient", sort=True):
        if len(set(rows["split"])) > 1:
            tests = int((rows["split"] == "test").sum())
            text = f"{len(rows) - tests} training and {count(tests, 'test image')}"
            items.append(Item(f"patient {patient}", text, tuple(rows["id"])))
    items.sort(key=lambda item: -len(item.ids))
    named = {name for item in items for name in item.ids}
    tests = int((table["id"].isin(named) & (table["split"] == "test")).sum())
    return Finding(
        "one patient in both sets",
        "fail" if items else "pass",
        f"{count(len(items), 'patient group')} with training and test images "
        f"({count(tests, 'test image')}).",
        "Where the truth of the test set is known, scores leave these test images out. Out-of-fold "
        "scores never mix patients.",
        "If you may choose the split, keep each patient in one set. If patients.csv is coarser "
        "than a patient (sex and age), most of these are different people: then nothing is wrong.",
        tuple(items),
    )
