"""Scores by subgroup: AUC, and sensitivity and specificity at a probability of 50%.

Equal AUCs do not mean equal care: the 50% line may lie wrong for one group, so that fewer of its
pneumothoraces are found. 95% intervals by bootstrap over patients.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evaluation.results import Rate, Rates, Subgroup
from baseline.learning import scores

Floats = NDArray[np.float64]

# Fewest images of a class from which a score is computed.
FEWEST = 10
AGES = (0, 40, 60, 200)


def groups(rows: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Subgroups as (kind, name, member); the negatives belong to every lesion size.

    Parameters
    ----------
    rows : DataFrame
        label, sex, age, view and area (share of the image in the true mask, NaN where no mask is
        known).
    """
    for kind in ("sex", "view"):
        for name in sorted(rows[kind].dropna().unique()):
            yield kind, str(name), (rows[kind] == name).to_numpy(bool, na_value=False)
        unknown = rows[kind].isna().to_numpy()
        if unknown.any():
            yield kind, "unknown", unknown
    age = rows["age"].to_numpy(float)
    for low, high in pairwise(AGES):
        yield "age", _ages(low, high), (age >= low) & (age < high)
    if np.isnan(age).any():
        yield "age", "unknown", np.isnan(age)
    yield from _lesion_sizes(rows["area"].to_numpy(float), rows["label"].to_numpy(float) > 0.5)


def _lesion_sizes(
    area: Floats, positive: NDArray[np.bool_]
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Thirds of the lesions by size; a positive image without a mask is of unknown size."""
    drawn = positive & np.isfinite(area)
    if drawn.any():
        low, high = np.quantile(area[drawn], (1 / 3, 2 / 3))
        for name, member in (
            (f"small (under {100 * low:.2g}% of the image)", area < low),
            (f"medium ({100 * low:.2g}% to {100 * high:.2g}%)", (area >= low) & (area < high)),
            (f"large ({100 * high:.2g}% and over)", area >= high),
        ):
            yield "lesion", name, ~positive | (drawn & member)
    if (positive & ~drawn).any():
        yield "lesion", "unknown", ~drawn


def _ages(low: int, high: int) -> str:
    if low == AGES[0]:
        return f"under {high}"
    return f"{low} and over" if high == AGES[-1] else f"{low} to {high - 1}"


def subgroups(rows: pd.DataFrame) -> list[Subgroup]:
    """Counts, AUC, and the rates at a probability of 50% of each subgroup.

    No AUC where a class has fewer than ten images, and no rate of that class. A lesion's size says
    nothing of images without one, so it has no specificity.

    Parameters
    ----------
    rows : DataFrame
        label, raw, probability, patient, sex, age, view and area.
    """
    results = []
    for kind, name, member in groups(rows):
        part = rows[member]
        labels, raw = part["label"].to_numpy(float), part["raw"].to_numpy(float)
        positives = int(labels.sum())
        negatives = len(part) - positives
        auc = None
        if min(positives, negatives) >= FEWEST:
            auc = scores.auc_estimate(labels, raw, part["patient"].to_numpy(object))
        rates = at_half(part)
        if kind == "lesion":
            rates = Rates(rates.sensitivity, None)
        results.append(Subgroup(kind, name, positives, negatives, auc, rates))
    return results


def at_half(rows: pd.DataFrame) -> Rates:
    """Sensitivity and specificity where a probability of 50% and more is called positive.

    Parameters
    ----------
    rows : DataFrame
        label, probability and patient.
    """
    positive = rows["label"].to_numpy(float) > 0.5
    called = rows["probability"].to_numpy(float) >= scores.POSITIVE_FROM
    patients = rows["patient"].to_numpy(object)

    def rate(members: NDArray[np.bool_]) -> Rate:
        correct = (called == positive)[members].astype(float)
        share = scores.share(correct, patients[members]) if len(correct) >= FEWEST else None
        return Rate(len(correct), int(correct.sum()), share)

    return Rates(rate(positive), rate(~positive))
