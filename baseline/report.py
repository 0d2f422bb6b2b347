"""The SHAP report: one offline HTML file that says how good the verdict is, and why it was given.

It shows no training fit: every score, figure and case comes from images that the models judging
them had not seen. The file asks nothing of any network, its images are inside it, and what comes
from the dataset (ids, tags) is escaped.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from baseline import cases, explain, gallery, plots
from baseline.inputs import Inputs, make_cases, read_inputs, read_judgement
from baseline.reasons import family_in_words, percent, signed
from baseline.scores import Estimate
from features import command, files, parallel, registry, rle
from features.files import UserError

# Fewer cases than this are drawn before a second process has started.
FEWEST_PARALLEL = 24
TOP_MEASURES = 15
# Rank correlation between value and SHAP value above which a measure speaks in one direction.
ONE_WAY = 0.5
GROUP_NAMES = {
    "out_of_fold": "Out of fold, true labels",
    "test": "Test images, true labels",
    "agreement_with_weak_labels": "Agreement with weak labels (no truth)",
}


@dataclass(frozen=True)
class Settings:
    """Write RUN/report/index.html from the features and the trained verdict of RUN."""

    run: Path
    """Run folder."""
    cases: int = 12
    """Number of X-rays to show."""
    jobs: int = -1
    """Processes that draw; -1 for one a core."""


def draw_cases(inputs: Inputs, count: int, jobs: int) -> list[dict[str, Any]]:
    """Choose and draw the cases: the facts of each, and under "drawn" its `gallery.Drawn`."""
    predicted = inputs.predicted
    oof = predicted["kind"] == "oof"
    candidates = cases.candidates(predicted[oof], predicted[~oof], inputs.truth)
    rows = cases.choose(candidates, count).to_dict("records")
    chosen: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in rows]
    row_of = {name: number for number, name in enumerate(predicted["id"])}
    numbers = make_cases(inputs, [row_of[record["id"]] for record in chosen])
    truth = {} if inputs.truth is None else inputs.truth.set_index("id")["mask"].to_dict()
    orders = []
    for record, case in zip(chosen, numbers, strict=True):
        study = inputs.dataset.loc[record["id"]]
        size = (int(study["rows"]), int(study["columns"]))
        mask = study["mask"] if isinstance(study["mask"], str) else truth[record["id"]]
        orders.append(gallery.Order(record["id"], study["path"], size, mask, case))
        spans = rle.runs(mask)
        record["area"] = float(spans[:, 1].sum()) / (size[0] * size[1])
        record["tags"] = tags(study)
        record["outcome"] = cases.outcome(record["probability"], record["truth"])
    few = len(orders) < FEWEST_PARALLEL
    drawn = parallel.stream(gallery.draw, orders, "drawing cases", 1 if few else jobs)
    return [record | {"drawn": one} for record, one in zip(chosen, drawn, strict=True)]


def tags(study: pd.Series) -> str:
    """Sex, age, view and patient of a study in a line; what is unknown is left out."""
    found = {
        "sex": study["sex"],
        "age": None if pd.isna(study["age"]) else f"{study['age']:.0f}",
        "view": study["view"],
        "patient": study["patient"],
    }
    return ", ".join(f"{name} {value}" for name, value in found.items() if not pd.isna(value))


def scoreboard(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a set of images: name, counts, and AUC with its interval."""
    rows = []
    for key, name in GROUP_NAMES.items():
        if key in metrics:
            part = metrics[key]
            estimates = {
                score: Estimate(**value) for score, value in part.items() if isinstance(value, dict)
            }
            rows.append({**part, **estimates, "key": key, "name": name})
    return rows


def confusion(inputs: Inputs) -> dict[str, int]:
    """Outcomes of the truly labelled out-of-fold images at a probability of 50%."""
    known = _known(inputs)
    outcomes = [
        cases.outcome(p, t) for p, t in zip(known["probability"], known["label"], strict=True)
    ]
    return {name: outcomes.count(name) for name in list(cases.GROUPS)[:4]}


def _known(inputs: Inputs) -> pd.DataFrame:
    predicted = inputs.predicted
    return predicted[(predicted["kind"] == "oof") & predicted["label"].notna()]


def figures(inputs: Inputs) -> dict[str, str]:
    """All figures of the first part, as data URIs by name."""
    known = _known(inputs)
    labels, probabilities = known["label"].to_numpy(float), known["probability"].to_numpy()
    curves = {"out of fold": (labels, probabilities)}
    if inputs.truth is not None:
        test = inputs.predicted.merge(inputs.truth, on="id")
        truth = (test["mask"] != rle.EMPTY).to_numpy(float)
        if 0 < truth.sum() < len(truth):
            curves["test"] = (truth, test["probability"].to_numpy())
    values = inputs.table[list(inputs.explanation.names)].to_numpy()
    return {
        "roc": plots.roc(curves),
        "reliability": plots.reliability(labels, probabilities),
        "beeswarm": plots.beeswarm(inputs.explanation, values),
    }


def shares(sums: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean absolute evidence of each group with its bar's width in percent, largest first."""
    mean = sums.abs().mean().sort_values(ascending=False, kind="stable")
    top = max(float(mean.iloc[0]), 1e-12)
    return [
        {"name": str(name), "value": float(value), "width": round(100 * float(value) / top, 2)}
        for name, value in mean.items()
    ]


def top_measures(inputs: Inputs) -> list[dict[str, Any]]:
    """The measures that move the verdict most, with what high values of each speak for."""
    explanation = inputs.explanation
    rows = []
    for name, mean in explain.importance(explanation).head(TOP_MEASURES).items():
        values = explanation.values[:, explanation.names.index(str(name))]
        feature = inputs.table[str(name)].to_numpy()
        # A constant has no rank correlation.
        constant = np.ptp(values) == 0 or np.ptp(feature) == 0
        rank = 0.0 if constant else float(spearmanr(feature, values).statistic)
        direction = "for" if rank > ONE_WAY else "against" if rank < -ONE_WAY else "it depends"
        described = registry.describe(str(name))
        rows.append({**asdict(described), "mean": float(mean), "direction": direction})
    return rows


def questions(scrutiny: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was found by scrutiny as the template shows it: estimates, and the strongest shortcut.

    The share is how much of the verdict's lead over guessing that shortcut has by itself, or None
    where its interval holds 0.5.
    """
    if scrutiny is None:
        return None

    def estimates(line: dict[str, Any]) -> dict[str, Any]:
        return {
            key: Estimate(**value) if isinstance(value, dict) else value
            for key, value in line.items()
        }

    verdict, *shortcuts, permuted = map(estimates, scrutiny["shortcuts"])
    strongest = max(shortcuts, key=lambda line: line["auc"].value)
    told = strongest["auc"].low > 0.5 and verdict["auc"].value > 0.5
    share = (strongest["auc"].value - 0.5) / (verdict["auc"].value - 0.5) if told else None
    return {
        "shortcuts": [verdict, *shortcuts, permuted],
        "verdict": verdict,
        "strongest": strongest,
        "share": share,
        "subgroups": [estimates(line) for line in scrutiny["subgroups"]],
        "points": [estimates(line) for line in scrutiny["operating_points"]],
        "triage": estimates(scrutiny["triage"]),
    }


def faith(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was found of the reasons' faithfulness as the template shows it."""
    if found is None:
        return None

    def estimates(values: dict[str, Any]) -> dict[str, Any]:
        return {k: Estimate(**v) if isinstance(v, dict) else v for k, v in values.items()}

    return {
        "pointing": estimates(found["pointing"]),
        "area": estimates(found["deletion"]["area"]),
        "most": found["deletion"]["sizes"][-1],
        "stability": estimates(found["stability"]),
    }


def context(settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """Everything the template shows."""
    drawn = draw_cases(inputs, settings.cases, settings.jobs)
    evidence = explain.evidence(inputs.explanation, inputs.right)
    families = explain.sums(inputs.explanation, "family")
    regions = [region for one in drawn for region in one["drawn"].picture.regions]
    dataset = inputs.dataset
    return {
        "run": settings.run.resolve().name,
        "counts": {
            "images": len(dataset),
            "patients": dataset["patient"].nunique(),
            "explained": len(inputs.predicted),
            "positive": int((dataset["label"] == 1).sum()),
            "negative": int((dataset["label"] == 0).sum()),
            "weak": int(dataset["weak"].notna().sum()),
            "deployed": int((inputs.predicted["kind"] != "oof").sum()),
            "folds": len(inputs.calibrations) - 1,
            "features": len(inputs.explanation.names),
        },
        "scores": scoreboard(inputs.metrics),
        "confusion": confusion(inputs),
        "questions": questions(read_judgement(settings.run, "scrutiny", inputs.predicted)),
        "faith": faith(read_judgement(settings.run, "faithfulness", inputs.predicted)),
        "figures": figures(inputs),
        "places": shares(evidence.rename(columns=registry.zone_in_words)),
        "families": shares(families.rename(columns=family_in_words)),
        "measures": top_measures(inputs),
        "cases": drawn,
        "groups": cases.GROUPS,
        "scale": max((abs(region.evidence) for region in regions), default=0.0) or 1.0,
    }


def render(values: dict[str, Any]) -> str:
    """Fill the template; every value is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "signed": signed}
    return environment.get_template("report.html").render(values)


def main(settings: Settings) -> None:
    """Write report/index.html."""
    if settings.cases < 1:
        raise UserError(f"cases = {settings.cases}: the report shows at least one case.")
    if not settings.run.is_dir():
        raise UserError(f"{settings.run}: no such run folder; run `make baseline` first.")
    target = settings.run / "report" / "index.html"
    files.write_text(target, render(context(settings, read_inputs(settings.run))))
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    command.run(main)
