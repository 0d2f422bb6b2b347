"""What the report's tables and bars show of the classifier's results and of its measures."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from baseline.evaluation.results import Rates
from baseline.evaluation.subgroups import at_half
from baseline.explanation import attributions
from baseline.explanation.trained_run import TrainedRun
from baseline.learning.metrics import Agreement, ClassifierMetrics, ClassifierScores
from baseline.report import which_cases
from features.families import registry

TOP_MEASURES = 15
# Rank correlation between value and SHAP value above which a measure has one direction.
ONE_WAY = 0.5


@dataclass(frozen=True)
class ScoreColumn:
    """Scores on a set of images, with its name."""

    name: str
    scores: ClassifierScores | Agreement


@dataclass(frozen=True)
class Constant:
    """Share of positives, and the Brier score of always predicting it."""

    share: float
    brier: float


@dataclass(frozen=True)
class ShareBar:
    """Mean absolute contribution of a group of measures; its bar's width is in percent."""

    name: str
    value: float
    width: float


@dataclass(frozen=True)
class TopMeasure:
    """A measure that moves the prediction: its name, sentence, mean |SHAP| and direction."""

    name: str
    text: str
    mean: float
    direction: str


@dataclass(frozen=True)
class OutcomeProfile:
    """Images of one outcome.

    Parameters
    ----------
    name : str
        One of `which_cases.OUTCOMES`.
    images : int
    age : float or None
        Median age in years; None where it is unknown.
    sex, view : str
        How often each value comes.
    area : float or None
        Median share of the image in the true mask; None without pneumothorax.
    """

    name: str
    images: int
    age: float | None = None
    sex: str = ""
    view: str = ""
    area: float | None = None


def score_columns(metrics: ClassifierMetrics) -> list[ScoreColumn]:
    """The sets of images that were scored, the out-of-fold ones first."""
    sets = {
        "Out of fold, true labels": metrics.out_of_fold,
        "Test images, true labels": metrics.test,
        "Agreement with weak labels (not truth)": metrics.agreement_with_weak_labels,
    }
    return [ScoreColumn(name, scores) for name, scores in sets.items() if scores is not None]


def known(trained: TrainedRun) -> pd.DataFrame:
    """Out-of-fold predictions of the images with a true label."""
    predicted = trained.predicted
    return predicted[(predicted["kind"] == "oof") & predicted["label"].notna()]


def confusion(trained: TrainedRun) -> dict[str, int]:
    """How often each outcome comes among these images, at a probability of 50%."""
    rows = known(trained)
    outcomes = list(map(which_cases.outcome, rows["probability"], rows["label"]))
    return {name: outcomes.count(name) for name in which_cases.OUTCOMES}


def rates(trained: TrainedRun) -> Rates:
    """Sensitivity and specificity of the same, with their intervals."""
    return at_half(known(trained))


def constant(trained: TrainedRun) -> Constant:
    """What always predicting the share of positives would score."""
    share = float(known(trained)["label"].mean())
    return Constant(share, share * (1 - share))


def share_bars(sums: pd.DataFrame) -> list[ShareBar]:
    """Mean absolute contribution of each group, the largest first.

    Parameters
    ----------
    sums : (n, k) DataFrame
        Contributions in log-odds, one column a group.
    """
    mean = sums.abs().mean().sort_values(ascending=False, kind="stable")
    top = max(float(mean.iloc[0]), 1e-12)
    return [
        ShareBar(str(name), float(value), round(100 * float(value) / top, 2))
        for name, value in mean.items()
    ]


def top_measures(trained: TrainedRun) -> list[TopMeasure]:
    """The measures that move the prediction most."""
    ranked = attributions.importance(trained.explanation).head(TOP_MEASURES)
    return [
        TopMeasure(name, registry.describe(name).text, float(mean), direction(trained, name))
        for name, mean in zip(map(str, ranked.index), ranked, strict=True)
    ]


def direction(trained: TrainedRun, name: str) -> str:
    """What high values of a measure mean: "for" pneumothorax, "against" it, or "it depends"."""
    values = trained.explanation.values[:, trained.explanation.names.index(name)]
    feature = trained.held_out[name].to_numpy()
    # A constant has no rank correlation.
    constant = np.ptp(values) == 0 or np.ptp(feature) == 0
    rank = 0.0 if constant else float(spearmanr(feature, values).statistic)
    return "for" if rank > ONE_WAY else "against" if rank < -ONE_WAY else "it depends"


def counted(column: pd.Series) -> str:
    """How often each value comes: "AP 83, PA 64, unknown 2"."""
    named = column.astype(object).where(column.notna(), "unknown")
    return ", ".join(f"{value} {count}" for value, count in named.value_counts().items())


def _median(values: pd.Series) -> float | None:
    """Median of the known values; None where none is known."""
    known = values.dropna()
    return None if known.empty else float(known.median())


def outcome_profiles(trained: TrainedRun, areas: dict[str, float]) -> list[OutcomeProfile]:
    """Age, sex, view and size of the lesion by outcome.

    Parameters
    ----------
    trained : TrainedRun
    areas : dict of str to float
        Share of each image in its true mask.
    """
    rows = known(trained)
    outcomes = rows.apply(lambda row: which_cases.outcome(row["probability"], row["label"]), axis=1)
    studies = trained.dataset.loc[rows["id"]].assign(
        outcome=outcomes.to_numpy(), area=rows["id"].map(areas).to_numpy()
    )
    profiles = []
    for name in which_cases.OUTCOMES:
        part = studies[studies["outcome"] == name]
        if not len(part):
            profiles.append(OutcomeProfile(name, 0))
            continue
        profiles.append(
            OutcomeProfile(
                name=name,
                images=len(part),
                age=None if part["age"].isna().all() else float(part["age"].median()),
                sex=counted(part["sex"]),
                view=counted(part["view"]),
                area=_median(part["area"]) if name in which_cases.POSITIVE else None,
            )
        )
    return profiles
