"""One X-ray's probability and the reasons for it: on the terminal, and as a page of its own.

A training image of the run is predicted by the one fold model that has not seen it or its patient;
any other image by the mean of all fold models. The image is measured anew from its file, so it need
not belong to the run, and its truth need not be known.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from baseline.evaluation import triage
from baseline.explanation import trained_run
from baseline.explanation.one_study import StudyExplanation, explain
from baseline.explanation.sentences import sentences
from baseline.explanation.trained_run import TrainedRun
from baseline.explanation.wording import label, percent, signed
from baseline.report import case_view, rendering
from baseline.report.case_view import CaseInputs, PredictedMask, ShownCase
from features.families import registry
from features.reading import rle
from features.run import command, files
from features.run.files import UserError
from features.run.folder import RunFolder
from features.storage import listing, unreadable
from features.storage.names import image_id, shown

# Lines of the terminal's table.
TOP_MEASURES = 6
# Bytes of a page's name; systems allow 255, and a temporary name is longer.
LONGEST_NAME = 200


@dataclass(frozen=True)
class Settings:
    """Explain the predictions of a trained RUN on X-rays."""

    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """DICOM, PNG, JPEG or TIFF files, or folders and zips of them."""
    run: Path
    """Run folder with a trained classifier."""
    out: Path | None = None
    """Folder of the pages; RUN/report unless given."""


def show(explained: StudyExplanation, decision: str | None, console: Console) -> None:
    """Print the probability, the reasons and the measures that moved it most.

    Parameters
    ----------
    explained : StudyExplanation
    decision : str or None
        What triage decides; None where the run's triage was not checked.
    console : Console
    """
    case = explained.case
    console.print(
        f"[bold]{escape(explained.study.id)}: probability of pneumothorax "
        f"{percent(case.probability())}[/] (log-odds {signed(case.score)})"
    )
    if decision is not None:
        console.print(f"Triage: {decision}", markup=False)
    if explained.quality.words:
        console.print(explained.quality.sentence, markup=False, style="bold")
    for note in explained.notes:
        console.print(note, style="dim")
    for reason in (*sentences(case), *([explained.hottest] if explained.hottest else [])):
        console.print(f"- {reason.text}", markup=False)
    table = Table("measure", "where", "percentile", "log-odds")
    for column in table.columns[2:]:
        column.justify = "right"
    for number in np.argsort(-np.abs(case.shap), kind="stable")[:TOP_MEASURES]:
        name = case.names[number]
        where = registry.zone_in_words(registry.describe(name).zone)
        value = signed(float(case.shap[number]))
        table.add_row(escape(label(name)), where, f"{case.percentiles[number]:.0f}", value)
    console.print(table)


def write_page(
    explained: StudyExplanation,
    decision: str | None,
    path: Path,
    folds: int,
    target: Path,
    predicted_mask: PredictedMask | None = None,
) -> None:
    """Write the page of one X-ray.

    Parameters
    ----------
    explained : StudyExplanation
    decision : str or None
        What triage decides; None where the run's triage was not checked.
    path : Path
        The X-ray.
    folds : int
        Number of fold models.
    target : Path
        The page.
    predicted_mask : PredictedMask, optional
        On the picture's own grid.
    """
    study, case = explained.study, explained.case
    size, mask = (study.rows, study.columns), explained.mask or rle.EMPTY
    inputs = CaseInputs(
        id=study.id,
        path=str(path),
        size=size,
        case=case,
        mask=mask,
        predicted_mask=rle.EMPTY if predicted_mask is None else predicted_mask.mask,
        evidence_map=explained.evidence_map,
        hottest=explained.hottest,
    )
    shown = ShownCase(
        drawn=case_view.draw(inputs),
        probability=case.probability(),
        truth=None if explained.mask is None else float(mask != rle.EMPTY),
        area=None if explained.mask is None else rle.area(mask) / (size[0] * size[1]),
        fold=explained.fold,
        predicted_mask=predicted_mask,
    )
    first = [f"Triage: {decision}." if decision else "", explained.quality.sentence]
    notes = [*filter(None, first), *explained.notes]
    values = {
        "case": shown,
        "notes": notes,
        "folds": folds,
        "full_colour": case_view.FULL_COLOUR,
    }
    files.write_text(target, rendering.render("study.html", values))


def check_names(paths: tuple[Path, ...]) -> None:
    """Refuse images whose pages would overwrite each other, or the report.

    Raises
    ------
    UserError
        If two images have one name, but for case, or one is called index, or by too many signs.
    """
    names = [image_id(path.name).lower() for path in paths]
    if long := [name for name in names if len(os.fsencode(name)) > LONGEST_NAME]:
        raise UserError(
            f"images: {shown(long[0])} is too long a name for a page; an image has a name of at "
            f"most {LONGEST_NAME} bytes, so rename it."
        )
    repeated = [name for name in names if names.count(name) > 1]
    if repeated or "index" in names:
        raise UserError(
            f"images: {repeated[0] if repeated else 'index'} would take the place of another page; "
            "every image needs a name of its own, and none may be called index."
        )


def explain_file(path: Path, trained: TrainedRun, folder: Path, console: Console) -> None:
    """Explain one X-ray: print it, and write its page into a folder.

    Raises
    ------
    UnreadableImage
        If the file is missing or is no X-ray.
    """
    explained = explain(path, trained)
    decision = triage.decide(
        explained.raw,
        trained.known(explained.fold),
        triage.error_rate(trained),
        explained.quality,
    )
    target = folder / f"{explained.study.id}.html"
    write_page(explained, decision, path, len(trained.boosters), target)
    show(explained, decision, console)
    console.print(f"{target}\n", markup=False, soft_wrap=True)


def main(settings: Settings) -> None:
    """Explain the images one by one; those that cannot be read are named at the end."""
    if not settings.images:
        raise UserError("images: name at least one image, or a folder of them.")
    paths = tuple(listing.expanded(settings.images))
    check_names(paths)
    run = RunFolder(settings.run).check()
    trained = trained_run.read(run)
    trained.check_models()
    folder = settings.out or run.report.parent
    console, failures = Console(), []
    for path in paths:
        try:
            explain_file(path, trained, folder, console)
        except unreadable.UnreadableImage as error:
            failures.append(str(error))
    if failures:
        raise UserError(*failures)


if __name__ == "__main__":
    command.run(main)
