"""Print a run's scores and the paths of its results: ``python -m cnn.gate.summary --run RUN``."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from baseline.gate.results import GateMetrics, PolicyScores, Scoreboard, read_metrics
from baseline.learning import metrics as classifier_metrics
from baseline.learning.scores import Estimate
from features.run import command
from features.run.folder import RunFolder

MASKS_OF = {
    "unet": "U-Net's masks",
    "evidence": "Masks of the evidence map",
    "joint": "Masks of both maps",
}


@dataclass(frozen=True)
class Settings:
    """Print a run's scoreboard and the paths of its report and submission."""

    run: Path
    """Run folder."""


def main(settings: Settings) -> None:
    """Print the classifier's AUC, the scoreboard and the paths."""
    run = RunFolder(settings.run).check()
    metrics = read_metrics(run)
    _show_classifier(run)
    show(metrics)
    quarantined = len(run.quarantine.read())
    if quarantined:
        print(f"quarantined: {quarantined} images, see {run.quarantine.path}")
    for name, path in (("report", run.report), ("submission", run.submission.path)):
        if path.exists():
            print(f"{name + ':':11} {path}")


def _show_classifier(run: RunFolder) -> None:
    """Print the AUC of the classifier."""
    metrics = classifier_metrics.read(run)
    for part, scored in (("out of fold", metrics.out_of_fold), ("test", metrics.test)):
        if scored is not None:
            print(f"Classifier's AUC, {part}: {scored.auc} ({scored.images} images)")


def show(metrics: GateMetrics) -> None:
    """Print what the masks are worth without a gate, then the scoreboards."""
    if metrics.also:
        print(f"U-Net's maps averaged with those of {', '.join(metrics.also)}")
    for source, alone in metrics.mask_alone.items():
        print(
            f"{MASKS_OF[source]}, out of fold: Dice on the {metrics.out_of_fold.positives} "
            f"positives {alone.dice_on_positives} cut at the best share of its top score "
            f"({alone.at_share:.0%}), {alone.dice_nested} at the share best for the other folds; "
            f"AUC of its top score {alone.top_score_auc}"
        )
    _show_board(metrics.out_of_fold, "labelled images, out of fold", metrics.default)
    if metrics.test is not None:
        _show_board(metrics.test, "test set", metrics.default)


def _show_board(board: Scoreboard, images: str, default: str) -> None:
    """Print a scoreboard as a table."""
    if board.left_out:
        images += f", without {board.left_out} of patients who have training images"
    title = f"Mean Dice per image: {board.images} {images}"
    table = Table(title=title, title_justify="left")
    for column in ("policy", "mean Dice [95% interval]", "on positives", "on negatives"):
        table.add_column(column)
    for policy, scored in board.policies.items():
        table.add_row(f"{policy} (default)" if policy == default else policy, *_cells(scored))
    if board.chosen_inside is not None:
        table.caption = (
            f"With the policy itself chosen on the other folds: {board.chosen_inside.dice}"
        )
    # A fixed width keeps the table whole in a log as on a terminal.
    Console(width=100).print(table)


def _cells(scored: PolicyScores) -> tuple[str, ...]:
    estimates: tuple[Estimate | None, ...] = (scored.dice, scored.positives, scored.negatives)
    return tuple("–" if estimate is None else str(estimate) for estimate in estimates)


if __name__ == "__main__":
    command.run(main, writes=False)
