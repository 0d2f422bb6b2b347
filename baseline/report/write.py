"""The SHAP report: one offline HTML file that says how good the verdict is, and why it was given.

It shows no training fit: every score, figure and case comes from images that the models judging
them had not seen. The file asks nothing of any network, its images are inside it, and what comes
from the dataset (ids, tags) is escaped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from baseline.evidence_map.maps import EvidenceMap
from baseline.explanation import attributions, hottest_cell
from baseline.explanation.sentences import Reason, family_in_words
from baseline.explanation.trained_run import Inputs, make_cases, read_inputs, read_judgement
from baseline.learning import predictions
from baseline.report import (
    card,
    case_view,
    gate_section,
    plots,
    rendering,
    result_tables,
    which_cases,
)
from features.families import registry
from features.reading import rle
from features.run import command, files, parallel
from features.run.files import UserError

# Fewer cases than this are drawn before a second process has started.
FEWEST_PARALLEL = 24
# Failures of each kind that are shown in their own section.
WORST = 3
# Who drew a mask, by the map that it was cut from.
DRAWN_BY = {"unet": "U-Net", "evidence": "evidence map", "joint": "U-Net and evidence map"}
# Columns of cnn/outlines.csv.
OUTLINES = {
    "id": str,
    "probability": float,
    "spoken": int,
    "source": str,
    "level": float,
    "dice": float,
    "mask": str,
}
# Policies of `baseline.gate.rules` that do not ask the verdict.
DEAF = ("empty", "unet")


@dataclass(frozen=True)
class Settings:
    """Write RUN/report/index.html from the features and the trained verdict of RUN."""

    run: Path
    """Run folder."""
    cases: int = 12
    """Number of X-rays to show."""
    jobs: int = -1
    """Processes that draw; -1 for one a core."""


def read_outlines(run: Path, predicted: pd.DataFrame) -> tuple[pd.DataFrame | None, str]:
    """The drawn masks as cnn.gate.evaluate left them in cnn/outlines.csv, by image id.

    Returns
    -------
    outlines : DataFrame or None
        Columns spoken (1, 0, or None where the verdict has changed since), by (who drew it, in
        words), rule (who speaks it), level, dice and mask.
    state : {"", "fresh", "stale"}
        "" where the run has none.

    Raises
    ------
    UserError
        If the rule that drew them is missing, or either file is not as cnn.gate.evaluate writes it.
    """
    path, rule = run / "cnn" / "outlines.csv", run / "gate.json"
    if not path.exists():
        return None, ""
    content = files.read_json(rule)
    policy = content.get("default") if isinstance(content, dict) else None
    try:
        table = pd.read_csv(path, dtype=OUTLINES, keep_default_na=False)
        whole = policy is not None and set(OUTLINES) <= set(table.columns)
    except ValueError:
        whole = False
    if not whole:
        raise UserError(
            f"{path}: it or {rule} is not as this version writes it; delete both and run make "
            "again."
        )
    table = table.set_index("id").assign(
        by=lambda rows: rows["source"].map(DRAWN_BY),
        rule=f"the rule {policy}, which does not ask the verdict,"
        if policy in DEAF
        else "the gate",
    )
    now = predicted.set_index("id")["probability"].reindex(table.index)
    # An image that is no longer predicted has no probability now, and is near to none.
    if ((now - table["probability"]).abs() <= attributions.TOLERANCE).all():
        return table, "fresh"
    return table.assign(spoken=None), "stale"


def areas(dataset: pd.DataFrame) -> dict[str, float]:
    """Share of each image in its true mask, where that is known."""
    known = dataset[dataset["mask"].notna()]
    size = known["rows"] * known["columns"]
    return {
        str(name): rle.area(code) / pixels
        for (name, code), pixels in zip(known["mask"].items(), size, strict=True)
    }


def draw_cases(
    inputs: Inputs,
    rows: pd.DataFrame,
    outlines: pd.DataFrame | None,
    maps: dict[str, tuple[EvidenceMap, Reason | None]],
    jobs: int,
) -> list[dict[str, Any]]:
    """Draw chosen cases: each becomes what templates/case.html shows of it."""
    share = areas(inputs.dataset)
    row_of = {name: number for number, name in enumerate(inputs.predicted["id"])}
    numbers = make_cases(inputs, [row_of[name] for name in rows["id"]])
    orders, chosen = [], []
    records = rows.to_dict("records")
    for number, (record, case) in enumerate(zip(records, numbers, strict=True), start=1):
        name = record["id"]
        study = inputs.dataset.loc[name]
        unet = None
        if outlines is not None and name in outlines.index:
            unet = outlines.loc[name].to_dict()
        size = (int(study["rows"]), int(study["columns"]))
        drawn_mask = rle.EMPTY if unet is None else unet["mask"]
        drawn = study["mask"], drawn_mask, *maps.get(name, (None, None))
        orders.append(case_view.Order(name, study["path"], size, case, *drawn))
        facts: dict[str, Any] = {str(key): value for key, value in record.items()}
        facts |= {"number": number, "area": share[name], "tags": tags(study), "unet": unet}
        chosen.append(
            facts | {"outcome": which_cases.outcome(facts["probability"], facts["truth"])}
        )
    few = len(orders) < FEWEST_PARALLEL
    found = parallel.stream(case_view.draw, orders, "drawing cases", 1 if few else jobs)
    return [record | {"drawn": one} for record, one in zip(chosen, found, strict=True)]


def tags(study: pd.Series) -> str:
    """Sex, age, view and patient group of a study in a line; what is unknown is left out."""
    found = {
        "sex": study["sex"],
        "age": None if pd.isna(study["age"]) else f"{study['age']:.0f}",
        "view": study["view"],
        "patient group": study["patient"],
    }
    return ", ".join(f"{name} {value}" for name, value in found.items() if not pd.isna(value))


def figures(inputs: Inputs) -> dict[str, str]:
    """All figures of the first part, as data URIs by name."""
    known = result_tables.known(inputs)
    labels, probabilities = known["label"].to_numpy(float), known["probability"].to_numpy()
    curves = {"out of fold": (labels, probabilities)}
    if inputs.truth is not None:
        taught = inputs.dataset["patient"][inputs.dataset["fold"] >= 0]
        told = predictions.unseen_patients(inputs.predicted, taught)
        test = inputs.predicted[told].merge(inputs.truth, on="id")
        truth = (test["mask"] != rle.EMPTY).to_numpy(float)
        if 0 < truth.sum() < len(truth):
            curves["test"] = (truth, test["probability"].to_numpy())
    return {
        "roc": plots.roc(curves),
        "reliability": plots.reliability(labels, probabilities),
    }


def context(settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """Everything the template shows."""
    outlines, state = read_outlines(settings.run, inputs.predicted)
    candidates = result_tables.known(inputs).assign(truth=lambda rows: rows["label"])
    chosen = which_cases.choose(candidates, settings.cases)
    maps: dict[str, tuple[EvidenceMap, Reason | None]] = {}
    if inputs.has_evidence:
        folds = zip(chosen["id"], chosen["fold"].astype(int), strict=True)
        maps = hottest_cell.read(settings.run, {str(name): fold for name, fold in folds})
    drawn = draw_cases(inputs, chosen, outlines, maps, settings.jobs)
    judged = judgements(settings.run, inputs)
    facts = card.facts(settings.run, inputs)
    held = {name for name, value in judged.items() if value is not None}
    evidence = attributions.evidence(inputs.explanation, inputs.right)
    families = attributions.sums(inputs.explanation, "family")
    return judged | {
        "facts": facts,
        "scores": result_tables.scoreboard(inputs.metrics),
        "constant": result_tables.constant(inputs),
        "confusion": result_tables.confusion(inputs),
        "rates": result_tables.rates(inputs),
        "guess": result_tables.place(0.5),
        "evidence_map": inputs.has_evidence,
        "figures": figures(inputs),
        "swarm": plots.beeswarm(
            inputs.explanation, inputs.own[list(inputs.explanation.names)].to_numpy()
        ),
        "places": result_tables.shares(evidence.rename(columns=registry.zone_in_words)),
        "families": result_tables.shares(families.rename(columns=family_in_words)),
        "measures": result_tables.top_measures(inputs),
        "profile": card.profile(inputs, areas(inputs.dataset)),
        "failures": {kind: which_cases.worst(drawn, kind, WORST) for kind in which_cases.ERRORS},
        "cases": drawn,
        "candidates": len(candidates),
        "zones": sorted({case["drawn"].top_place or "nowhere" for case in drawn}),
        "scale": case_view.FULL,
        "outlines": state,
        **gate_economics(settings.run, inputs, drawn),
        "partitions": card.partitions(inputs.dataset, inputs.truth),
        "limitations": card.limitations(facts, judged["questions"]),
        "checklists": card.checklists(facts, held),
    }


def gate_economics(
    run: Path, inputs: Inputs, drawn: list[dict[str, Any]]
) -> dict[str, dict[str, Any] | str | None]:
    """What the gate earns and costs, and whether it is "fresh", "stale" or, "", not there."""
    found, state = gate_section.read(run, inputs)
    gallery_cases = {case["id"]: (case["number"], case["drawn"].anchor) for case in drawn}
    values = None if found is None else gate_section.shown(found, gallery_cases)
    return {"economics": values, "economics_state": state}


def judgements(run: Path, inputs: Inputs) -> dict[str, Any]:
    """What scrutiny and faithfulness found, None where they were not asked.

    Raises
    ------
    UserError
        If they judged other predictions, or scrutiny is another version's.
    """
    found = read_judgement(run, "scrutiny", inputs.predicted)
    if found is not None and "at_half" not in found:
        path = run / "baseline" / "scrutiny.json"
        raise UserError(f"{path}: not as this version writes it; run `make scrutiny` again.")
    questions = result_tables.questions(found)
    if questions is not None:
        questions["main"] = result_tables.main_measure(inputs, questions["strongest"]["name"])
    faith = result_tables.faith(read_judgement(run, "faithfulness", inputs.predicted))
    return {"questions": questions, "faith": faith}


def main(settings: Settings) -> None:
    """Write report/index.html."""
    if settings.cases < 1:
        raise UserError(f"cases = {settings.cases}: the report shows at least one case.")
    if not settings.run.is_dir():
        raise UserError(f"{settings.run}: no such run folder; run `make baseline` first.")
    target = settings.run / "report" / "index.html"
    text = rendering.render("report.html", context(settings, read_inputs(settings.run)))
    files.write_text(target, text)
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    command.run(main)
