"""The SHAP report, one offline HTML file: how good the classifier is, and why it predicts what.

It shows no training fit: every score, figure and case comes from images that the predicting models
had not seen. The file loads nothing from any network, its images are inside it, and what comes from
the dataset (ids, tags) is escaped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baseline.evaluation import results
from baseline.explanation import attributions, trained_run
from baseline.explanation.trained_run import TrainedRun
from baseline.explanation.wording import family_in_words
from baseline.gate.results import read_gate
from baseline.learning.predictions import with_truth
from baseline.report import (
    case_view,
    checklists,
    decision_section,
    evaluation_section,
    flagged_section,
    gallery,
    gate_section,
    model_card,
    plots,
    rendering,
    result_tables,
    which_cases,
)
from baseline.report.case_view import ShownCase
from features.families import registry
from features.run import command, files
from features.run.files import UserError
from features.run.folder import RunFolder

# Failures of each kind that are shown in their own section.
WORST = 3


@dataclass(frozen=True)
class Settings:
    """Write RUN/report/index.html from the features and the trained classifier of RUN."""

    run: Path
    """Run folder."""
    cases: int = 12
    """Number of X-rays to show."""
    jobs: int = -1
    """Processes that draw; -1 for one a core."""


def context(trained: TrainedRun, cases: int, jobs: int) -> dict[str, Any]:
    """Everything that the template shows.

    Parameters
    ----------
    trained : TrainedRun
    cases : int
        Number of X-rays to show.
    jobs : int
        Processes that draw; -1 for one a core.
    """
    masks, masks_state = gallery.read_predicted_masks(trained)
    candidates = result_tables.known(trained).assign(truth=lambda rows: rows["label"])
    chosen = which_cases.choose(candidates, cases)
    shown_cases = gallery.draw_cases(trained, chosen, masks, jobs)
    evaluation = evaluation_results(trained)
    facts = model_card.gather_facts(trained)
    stages = {name for name, value in evaluation.items() if value is not None}
    return (
        classifier_results(trained)
        | reasons(trained)
        | evaluation
        | gate_results(trained, shown_cases)
        | {
            "facts": facts,
            "failures": {
                outcome: gallery.worst(shown_cases, outcome, WORST)
                for outcome in which_cases.ERRORS
            },
            "flagged": flagged_section.flagged(trained),
            "cases": shown_cases,
            "candidates": len(candidates),
            "top_places": sorted({case.drawn.top_place or "nowhere" for case in shown_cases}),
            "full_colour": case_view.FULL_COLOUR,
            "masks_state": masks_state,
            "partitions": model_card.partitions(trained.dataset, trained.truth),
            "limitations": model_card.limitations(facts, evaluation["shortcuts"]),
            "checklists": checklists.fill(facts, stages),
        }
    )


def classifier_results(trained: TrainedRun) -> dict[str, Any]:
    """How good the classifier is."""
    return {
        "main": trained.metrics.out_of_fold,
        "agreement": trained.metrics.agreement_with_weak_labels,
        "score_columns": result_tables.score_columns(trained.metrics),
        "constant": result_tables.constant(trained),
        "confusion": result_tables.confusion(trained),
        "rates": result_tables.rates(trained),
        "guess_place": evaluation_section.place_on_bar(0.5),
        "figures": figures(trained),
        "profiles": result_tables.outcome_profiles(trained, gallery.areas(trained.dataset)),
    }


def reasons(trained: TrainedRun) -> dict[str, Any]:
    """What the classifier goes by."""
    explanation = trained.explanation
    places = trained.by_place
    families = attributions.sums(explanation, "family")
    features = trained.held_out[list(explanation.names)].to_numpy()
    return {
        "uses_evidence": trained.uses_evidence,
        "swarm": plots.beeswarm(explanation, features),
        "places": result_tables.share_bars(places.rename(columns=registry.zone_in_words)),
        "families": result_tables.share_bars(families.rename(columns=family_in_words)),
        "measures": result_tables.top_measures(trained),
    }


def evaluation_results(trained: TrainedRun) -> dict[str, Any]:
    """Shortcut checks and faithfulness, None where they were not made.

    Raises
    ------
    UserError
        If they are of other predictions or of another version.
    """
    checks = results.read_shortcuts(trained.run, trained.predicted)
    return {
        "shortcuts": evaluation_section.shortcuts(checks, trained),
        "decisions": decision_section.decisions(checks),
        "faithfulness": results.read_faithfulness(trained.run, trained.predicted),
    }


def gate_results(trained: TrainedRun, cases: list[ShownCase]) -> dict[str, Any]:
    """What the gate earns and costs, and whether it is "fresh", "stale" or, "", not there."""
    figures, state = gate_section.read(trained)
    places = {case.drawn.id: (case.number, case.drawn.anchor) for case in cases}
    return {
        "gate": None if figures is None else gate_section.shown(figures, places),
        "trust": read_gate(trained.run).trust if trained.run.gate.exists() else None,
        "gate_state": state,
    }


def figures(trained: TrainedRun) -> dict[str, str]:
    """ROC curve and reliability diagram, as data URIs by name."""
    known = result_tables.known(trained)
    labels, probabilities = known["label"].to_numpy(float), known["probability"].to_numpy()
    curves = {"out of fold": (labels, probabilities)}
    if trained.truth is not None:
        training_patients = trained.dataset["patient"][trained.dataset["fold"].notna()]
        test = with_truth(trained.predicted, trained.truth, training_patients)
        if test["label"].nunique() == 2:
            curves["test"] = (test["label"].to_numpy(), test["probability"].to_numpy())
    return {
        "roc": plots.roc(curves),
        "reliability": plots.reliability(labels, probabilities),
    }


def main(settings: Settings) -> None:
    """Write report/index.html."""
    if settings.cases < 1:
        raise UserError(f"cases = {settings.cases}: the report shows at least one case.")
    run = RunFolder(settings.run).check()
    trained = trained_run.read(run)
    trained.check_models()
    values = context(trained, settings.cases, settings.jobs)
    files.write_text(run.report, rendering.render("report.html", values))
    print(f"{run.report} ({run.report.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    command.run(main)
