"""Whom the verdict serves and whom it fails: AUC and the rates at the 50% line, by subgroup.

Equal AUCs do not mean equal care: the line may lie wrong for one group, so that fewer of its
pneumothoraces are found. 95% intervals by bootstrap over patients.
"""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.learning import scores
from baseline.learning.scores import Estimate

Floats = NDArray[np.float64]

# A subgroup with fewer images of either class cannot be judged.
FEWEST = 10
TOO_FEW = "too few to judge"
AGES = (0, 40, 60, 200)
Z95 = 1.959964


def groups(rows: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Subgroups as (kind, name, member); the negatives belong to every lesion size.

    Parameters
    ----------
    rows : DataFrame
        label, sex, age, view and area (share of the image in the true mask).
    """
    for kind in ("sex", "view"):
        for name in sorted(rows[kind].dropna().unique()):
            yield kind, str(name), (rows[kind] == name).to_numpy(bool, na_value=False)
        unknown = rows[kind].isna().to_numpy()
        if unknown.any():
            yield kind, "unknown", unknown
    age = rows["age"].to_numpy(float)
    for low, high in pairwise(AGES):
        name = (
            f"under {high}"
            if low == 0
            else f"{low} and over"
            if high > 150
            else f"{low} to {high - 1}"
        )
        yield "age", name, (age >= low) & (age < high)
    if np.isnan(age).any():
        yield "age", "unknown", np.isnan(age)
    area, positive = rows["area"].to_numpy(float), rows["label"].to_numpy(float) > 0.5
    low, high = np.quantile(area[positive], (1 / 3, 2 / 3))
    for name, own in (
        (f"small (under {100 * low:.2g}% of the image)", area < low),
        (f"medium ({100 * low:.2g}% to {100 * high:.2g}%)", (area >= low) & (area < high)),
        (f"large ({100 * high:.2g}% and over)", area >= high),
    ):
        yield "lesion", name, ~positive | own


def subgroups(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Counts, AUC, and the rates at the 50% line of each subgroup.

    No AUC where a class has fewer than ten images, and no rate of a class that has. A lesion's size
    says nothing of images without one, so it has no specificity.
    """
    found = []
    for kind, name, member in groups(rows):
        part = rows[member]
        labels = part["label"].to_numpy(float)
        raw, positives = part["raw"].to_numpy(float), int(labels.sum())
        line: dict[str, Any] = {
            "kind": kind,
            "name": name,
            "positives": positives,
            "negatives": len(part) - positives,
        }
        if min(line["positives"], line["negatives"]) >= FEWEST:
            line["auc"] = asdict(_auc(labels, raw, part["patient"].to_numpy(object)))
        line["rates"] = [
            one for one in at_half(part) if kind != "lesion" or one["name"] == "sensitivity"
        ]
        found.append(line)
    return found


def _auc(labels: Floats, raw: Floats, patients: NDArray[np.object_]) -> Estimate:
    return scores.bootstrap(lambda part: scores.auc(labels[part], raw[part]), patients)


def at_half(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Sensitivity and specificity where a probability of 50% and more is called positive.

    Parameters
    ----------
    rows : DataFrame
        label, probability and patient.

    Returns
    -------
    list of dict
        name, of how many images (``images``) how many were judged rightly (``right``), and the
        ``rate`` with its interval, left out where there are fewer than ten such images.
    """
    positive = rows["label"].to_numpy(float) > 0.5
    called = rows["probability"].to_numpy(float) >= scores.POSITIVE_FROM
    patients = rows["patient"].to_numpy(object)
    found = []
    for name, own in (("sensitivity", positive), ("specificity", ~positive)):
        right = (called == positive)[own].astype(float)
        line: dict[str, Any] = {"name": name, "images": len(right), "right": int(right.sum())}
        if len(right) >= FEWEST:
            line["rate"] = asdict(share(right, patients[own]))
        found.append(line)
    return found


def share(right: Floats, patients: NDArray[np.object_]) -> Estimate:
    """Share of ones among 0 and 1, with its interval over patients.

    Where all images agree, so do all resamples, which would feign certainty: there the interval is
    Wilson's (1927), with one draw a patient.
    """
    found = scores.mean(right, patients)
    if 0 < found.value < 1:
        return found
    reach = Z95**2 / (len(np.unique(patients.astype(str))) + Z95**2)
    return Estimate(found.value, max(found.value - reach, 0.0), min(found.value + reach, 1.0))


def told(line: dict[str, Any]) -> str:
    """A rate with its counts: "14 of 25: 0.560 [0.360, 0.750]"."""
    rate = Estimate(**line["rate"]) if "rate" in line else TOO_FEW
    return f"{line['right']} of {line['images']}: {rate}"
