"""What a file says beside its anatomy, and how well each of these facts predicts something.

Each fact is turned into a score out of fold: the share of positives among the other folds' images
with the same value. So a category needs no order, a number may count in either direction, and a
value that only one image has cannot profit from its own label.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.audit import resampled_auc
from baseline.audit_facts.facts import Facts
from baseline.audit_facts.picture_facts import CORNERS
from baseline.learning.scores import Estimate
from features.dataset import folds

# What `baseline.audit_facts.recompression` counts.
EARLIER = "earlier JPEG compression (pixels of a million that one more changes)"
# Facts of the file by the name shown, then of the picture; none of them is anatomy.
FILE = {
    "file size": "bytes",
    "kind of file": "kind",
    "transfer syntax": "syntax",
    "JPEG quality": "JPEG quality",
    "JPEG tables": "JPEG tables",
    "JPEG header": "JPEG header",
    EARLIER: "pixels changed",
    "bit depth (tag)": "bits",
    "which tags are present": "tags present",
    "source folder": "folder",
    "manufacturer": "manufacturer",
    "device model": "device model",
    "station": "station",
    "institution": "institution",
    "software": "software",
    "software that wrote the file": "writer",
    "modality": "modality",
    "conversion": "conversion",
    "body part": "body part",
    "photometric": "photometric",
    "tube voltage": "kvp",
    "exposure": "exposure",
}
PICTURE = {
    "number of grey levels": "grey levels",
    "borders": "border",
    "burnt-in signs": "burnt-in signs",
    **{f"burnt-in signs, {corner}": f"burnt-in signs, {corner}" for corner in CORNERS},
}
# A number of more values than MOST_VALUES is cut at its quantiles into BINS bins.
MOST_VALUES, BINS = 12, 6
# A rare value is drawn to the mean as if this many more images had it.
PRIOR = 2.0
FOLDS = 5
# Below this many images of a class nothing is said.
FEWEST = 10
# An interval that lies above this is a shortcut: by chance alone one in a thousand does.
SUSPICIOUS = 0.55


@dataclass(frozen=True)
class Predictor:
    """How well one fact predicts, and the values that differ most."""

    name: str
    auc: Estimate
    values: str

    @property
    def suspicious(self) -> bool:
        """Whether the whole interval lies above `SUSPICIOUS`."""
        return self.auc.low > SUSPICIOUS


def values(facts: Facts) -> dict[str, pd.Series]:
    """All facts that vary, by the name shown; rows as in the table."""
    columns = {name: facts.files.get(key) for name, key in FILE.items()}
    columns |= {name: facts.pictures.get(key) for name, key in PICTURE.items()}
    table = facts.table
    columns["picture size"] = table["rows"].astype(str) + "x" + table["columns"].astype(str)
    columns["pixel distance"] = table["spacing_mm"]
    return {
        name: column
        for name, column in columns.items()
        if column is not None and len(column.unique()) > 1
    }


def codes(column: pd.Series) -> NDArray[np.intp]:
    """A small number for each value, or for each bin of numbers; missing is a value as well.

    Tags come as texts, those of numbers too.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    are_numbers = bool((numbers.notna() == column.notna()).all())
    if not are_numbers or column.nunique() <= MOST_VALUES:
        return np.asarray(pd.factorize(column, use_na_sentinel=False)[0])
    bins = pd.qcut(numbers.rank(method="average"), BINS, labels=False, duplicates="drop")
    return bins.fillna(-1).to_numpy(int) + 1


def out_of_fold(
    code: NDArray[np.intp], target: NDArray[np.float64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of positives among the other folds' images of the same code, (n,).

    Parameters
    ----------
    code : (n,) array of int
    target : (n,) array of 0 and 1
    fold : (n,) array of int
    """
    scored = np.empty(len(target))
    size = int(code.max()) + 1
    for number in np.unique(fold):
        rest, held = fold != number, fold == number
        counts = np.bincount(code[rest], minlength=size)
        hits = np.bincount(code[rest], target[rest], minlength=size)
        share = (hits + PRIOR * target[rest].mean()) / (counts + PRIOR)
        # Log-odds against the other folds' mean, since that mean differs from fold to fold.
        mean = np.clip(target[rest].mean(), 1e-6, 1 - 1e-6)
        share = np.clip(share, 1e-6, 1 - 1e-6)
        odds = np.log(share / (1 - share)) - np.log(mean / (1 - mean))
        scored[held] = odds[code[held]]
    return scored


def split(target: NDArray[np.float64], patients: NDArray[np.object_]) -> NDArray[np.int64] | None:
    """Patient-disjoint folds; None where there are too few images of a class, or patients."""
    positive = int((target == 1).sum())
    if min(positive, len(target) - positive) < FEWEST or len(np.unique(patients)) < FOLDS:
        return None
    return folds.assign(target.astype(np.int64), patients, FOLDS, seed=0)


def weigh(
    columns: dict[str, pd.Series], target: NDArray[np.float64], patients: NDArray[np.object_]
) -> list[Predictor] | None:
    """How well each fact predicts a target, the best first; None where there are too few images.

    Parameters
    ----------
    columns : dict of (n,) Series
    target : (n,) array of 0 and 1
    patients : (n,) array of str
    """
    fold = split(target, patients)
    if fold is None:
        return None
    weights = resampled_auc.weights(patients)
    weighed = []
    for name, column in columns.items():
        code = codes(column.reset_index(drop=True))
        if code.min() == code.max():
            continue
        auc = resampled_auc.estimate(target, out_of_fold(code, target, fold), weights)
        weighed.append(Predictor(name, auc, describe(column, target)))
    return sorted(weighed, key=lambda one: -one.auc.value)


def describe(column: pd.Series, target: NDArray[np.float64]) -> str:
    """What the values are with and without the target: medians, or the commonest values."""
    parts = [column[target == 1], column[target == 0]]
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 2:
        return " against ".join(_short(float(pd.to_numeric(part).median())) for part in parts)
    wanted = column.astype(object).where(column.notna(), "missing").astype(str)
    gap = {
        value: abs((wanted[target == 1] == value).mean() - (wanted[target == 0] == value).mean())
        for value in wanted.unique()[:200]
    }
    value = max(gap, key=lambda key: gap[key])
    shares = (f"{(wanted[target == side] == value).mean():.0%}" for side in (1, 0))
    return f"{value[:40]}: {' against '.join(shares)}"


def _short(value: float) -> str:
    """A number of at most four figures, large ones whole: "136,000", "0.168"."""
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
