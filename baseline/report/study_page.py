"""One X-ray's verdict and its reasons: on the terminal, and as a page of its own.

An image that taught the run's models is judged by the one fold model that saw neither it nor its
patient; any other by the mean of all fold models. It is measured anew from its file, so it need not
belong to the run, and its truth need not be known.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from baseline.explanation.one_study import Judged, judge, read_trained
from baseline.explanation.sentences import label, percent, sentences, signed
from baseline.report import case_view, rendering, which_cases
from features.families import registry
from features.reading import images, rle
from features.run import command, files
from features.run.files import UserError

# Lines of the terminal's table.
TOP_MEASURES = 6


@dataclass(frozen=True)
class Settings:
    """Explain the verdict of a trained RUN on X-rays."""

    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """DICOM or PNG files."""
    run: Path
    """Run folder with a trained verdict."""
    out: Path | None = None
    """Folder of the pages; RUN/report unless given."""


def show(judged: Judged, console: Console) -> None:
    """Print verdict, reasons and the measures that moved it most."""
    case = judged.case
    console.print(
        f"[bold]{escape(judged.study.id)}: probability of pneumothorax "
        f"{percent(case.probability())}[/] (log-odds {signed(case.score)})"
    )
    if judged.triage is not None:
        console.print(f"Triage: {judged.triage}")
    for note in judged.notes:
        console.print(note, style="dim")
    for reason in (*sentences(case), *([judged.spot] if judged.spot else [])):
        console.print(f"- {reason.text}", markup=False)
    shown = Table("measure", "where", "percentile", "log-odds")
    for column in shown.columns[2:]:
        column.justify = "right"
    for number in np.argsort(-np.abs(case.shap), kind="stable")[:TOP_MEASURES]:
        name = case.names[number]
        where = registry.zone_in_words(registry.describe(name).zone)
        value = signed(float(case.shap[number]))
        shown.add_row(escape(label(name)), where, f"{case.percentiles[number]:.0f}", value)
    console.print(shown)


def write_page(judged: Judged, path: Path, folds: int, target: Path) -> None:
    """Write the page of one X-ray."""
    study, case = judged.study, judged.case
    size, mask = (study.rows, study.columns), judged.mask or rle.EMPTY
    order = case_view.Order(
        study.id, str(path), size, case, mask, heat=judged.heat, spot=judged.spot
    )
    drawn = case_view.draw(order)
    truth = None if judged.mask is None else float(mask != rle.EMPTY)
    probability = case.probability()
    shown: dict[str, Any] = {
        "drawn": drawn,
        "probability": probability,
        "truth": truth,
        "area": rle.area(mask) / (size[0] * size[1]),
        "outcome": None if truth is None else which_cases.outcome(probability, truth),
        "kind": "oof" if judged.fold >= 0 else "deployed",
        "fold": judged.fold,
        "tags": "",
        "unet": None,
    }
    notes = [*([f"Triage: {judged.triage}."] if judged.triage else []), *judged.notes]
    values = {"case": shown, "notes": notes, "folds": folds, "scale": case_view.FULL}
    files.write_text(target, rendering.render("study.html", values))


def check_names(paths: tuple[Path, ...]) -> None:
    """Refuse images whose pages would take each other's place, or the report's."""
    names = [path.stem if images.is_image(path) else path.name for path in paths]
    twice = [name for name in names if names.count(name) > 1]
    if twice or "index" in names:
        raise UserError(
            f"images: {twice[0] if twice else 'index'} would take the place of another page; "
            "every image needs a name of its own, and none may be called index."
        )


def main(settings: Settings) -> None:
    """Explain the images one by one; those that cannot be read are told at the end."""
    if not settings.images:
        raise UserError("images: name at least one DICOM or PNG file.")
    check_names(settings.images)
    trained = read_trained(settings.run)
    console, failures = Console(), []
    for path in settings.images:
        try:
            judged = judge(path, trained)
        except images.UnreadableImage as error:
            failures.append(str(error))
            continue
        target = (settings.out or settings.run / "report") / f"{judged.study.id}.html"
        write_page(judged, path, len(trained.boosters), target)
        show(judged, console)
        console.print(f"{target}\n", markup=False, soft_wrap=True)
    if failures:
        raise UserError("\n".join(failures))


if __name__ == "__main__":
    command.run(main)
