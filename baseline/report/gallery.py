"""The gallery: the chosen cases with their predicted masks and evidence maps, drawn."""

import pandas as pd

from baseline.evaluation import shortcuts
from baseline.evidence_map.maps import EvidenceMap
from baseline.explanation import attributions, hottest_cell
from baseline.explanation.case import make_cases
from baseline.explanation.sentences import Reason
from baseline.explanation.trained_run import TrainedRun
from baseline.gate import results
from baseline.learning.scores import POSITIVE_FROM
from baseline.report import case_view
from baseline.report.case_view import CaseInputs, PredictedMask, ShownCase
from features.reading import rle
from features.run import parallel

# Fewer cases than this are drawn before a second process has started.
FEWEST_PARALLEL = 24
# The map that a mask was cut from, in words.
DRAWN_BY = {"unet": "U-Net", "evidence": "evidence map", "joint": "U-Net and evidence map"}
# Policies of `baseline.gate.rules` that do not use the classifier.
WITHOUT_CLASSIFIER = ("empty", "unet")


def read_predicted_masks(trained: TrainedRun) -> tuple[dict[str, PredictedMask], str]:
    """The predicted masks that cnn.gate.evaluate wrote for the report, by image id.

    Returns
    -------
    masks : dict of str to PredictedMask
        Empty where the run has none.
    state : {"", "fresh", "stale"}
        "" where the run has none, "stale" where the classifier has changed since.

    Raises
    ------
    UserError
        If the gate's rule is missing, or either file is damaged.
    """
    if not trained.run.outlines.exists():
        return {}, ""
    policy = results.read_gate(trained.run).default
    table = trained.run.outlines.read()
    now = table["id"].map(trained.predicted.set_index("id")["probability"])
    # NaN for an image that is no longer predicted: the comparison is then false.
    fresh = bool(((now - table["probability"]).abs() <= attributions.TOLERANCE).all())
    rule = "the gate"
    if policy in WITHOUT_CLASSIFIER:
        rule = f"the rule {policy}, which does not use the classifier,"
    masks = {
        row["id"]: PredictedMask(
            mask=row["mask"],
            by=DRAWN_BY[row["source"]],
            rule=rule,
            kept=bool(row["kept"]) if fresh else None,
            level=row["level"],
            dice=row["dice"],
        )
        for row in table.to_dict("records")
    }
    return masks, "fresh" if fresh else "stale"


def areas(dataset: pd.DataFrame) -> dict[str, float]:
    """Share of each image in its true mask, by id, where that is known."""
    known = dataset[dataset["mask"].notna()]
    return dict(zip(known.index.astype(str), shortcuts.areas(known), strict=True))


def read_maps(
    trained: TrainedRun, chosen: pd.DataFrame
) -> dict[str, tuple[EvidenceMap, Reason | None]]:
    """Evidence maps of the chosen cases, and the sentence on the hottest cell of each.

    Parameters
    ----------
    trained : TrainedRun
    chosen : DataFrame
        id and fold.
    """
    if not trained.uses_evidence:
        return {}
    return hottest_cell.read(trained, dict(zip(chosen["id"], chosen["fold"], strict=True)))


def draw_cases(
    trained: TrainedRun, chosen: pd.DataFrame, masks: dict[str, PredictedMask], jobs: int
) -> list[ShownCase]:
    """Draw the chosen cases.

    Parameters
    ----------
    trained : TrainedRun
    chosen : DataFrame
        id, fold, probability and truth, from `which_cases.choose`.
    masks : dict of str to PredictedMask
        From `read_predicted_masks`.
    jobs : int
        Processes that draw; -1 for one a core.
    """
    inputs = _case_inputs(trained, chosen, masks)
    jobs = 1 if len(inputs) < FEWEST_PARALLEL else jobs
    drawn_cases = parallel.stream(case_view.draw, inputs, "drawing cases", jobs)
    share = areas(trained.dataset)
    return [
        ShownCase(
            drawn=drawn,
            probability=float(row["probability"]),
            truth=float(row["truth"]),
            area=share.get(drawn.id),
            fold=int(row["fold"]),
            tags=tags(trained.dataset.loc[[drawn.id]].iloc[0]),
            number=number,
            predicted_mask=masks.get(drawn.id),
        )
        for number, (row, drawn) in enumerate(
            zip(chosen.to_dict("records"), drawn_cases, strict=True), start=1
        )
    ]


def _case_inputs(
    trained: TrainedRun, chosen: pd.DataFrame, masks: dict[str, PredictedMask]
) -> list[CaseInputs]:
    row_of = {name: number for number, name in enumerate(trained.predicted["id"])}
    cases = make_cases(trained, [row_of[name] for name in chosen["id"]])
    maps = read_maps(trained, chosen)
    inputs = []
    for name, case in zip(chosen["id"], cases, strict=True):
        study = trained.dataset.loc[name]
        evidence_map, hottest = maps.get(name, (None, None))
        inputs.append(
            CaseInputs(
                id=name,
                path=study["path"],
                size=(int(study["rows"]), int(study["columns"])),
                case=case,
                mask=study["mask"] if isinstance(study["mask"], str) else rle.EMPTY,
                predicted_mask=masks[name].mask if name in masks else rle.EMPTY,
                evidence_map=evidence_map,
                hottest=hottest,
            )
        )
    return inputs


def tags(study: pd.Series) -> str:
    """Sex, age, view and patient group of a study in a line; what is unknown is left out."""
    values = {
        "sex": study["sex"],
        "age": None if pd.isna(study["age"]) else f"{study['age']:.0f}",
        "view": study["view"],
        "patient group": study["patient"],
    }
    return ", ".join(f"{name} {value}" for name, value in values.items() if not pd.isna(value))


def worst(cases: list[ShownCase], outcome: str, count: int) -> list[ShownCase]:
    """The worst errors of a kind among some cases, those furthest from 50% first.

    Parameters
    ----------
    cases : list of ShownCase
    outcome : str
        One of `which_cases.ERRORS`.
    count : int
        At most so many.
    """
    errors = [case for case in cases if case.outcome == outcome]
    return sorted(errors, key=lambda case: -abs(case.probability - POSITIVE_FROM))[:count]
