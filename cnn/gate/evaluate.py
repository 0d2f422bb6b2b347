"""Choose the gate's rule and score every policy: ``python -m cnn.gate.evaluate --run RUN``.

Each labelled image is scored on maps and log-odds of models that saw neither it nor its patient,
under a rule chosen on the other folds. Images with a weak mask help to choose rules and policy,
since those with a known one are few; they are never scored. One of the policies is the all-empty
submission, which any gate must beat. gate.json is written last and marks that all files are there.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.gate import choose, mask_trust, rules
from baseline.gate.results import Gate, GateMetrics, Scoreboard
from baseline.gate.rules import POLICIES, SOURCES, GateInputs, Rule
from baseline.learning import scores
from cnn.gate import outlines, report_figures, scored_images
from cnn.gate.runs import together
from cnn.gate.scoreboard import mask_scores, scoreboard
from cnn.gate.sources import SourceMaps, inputs_of
from features.run import command, files, parallel
from features.run.folder import RunFolder

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """Choose the gate's rule from the images of RUN with a mask, score every policy on those whose
    mask is known."""

    run: Path
    """Run folder."""
    also: tuple[Path, ...] = ()
    """Further run folders, of the same images and folds, whose U-Net maps are averaged with RUN's;
    gate.json notes them, so that the submission is drawn from the same maps."""
    weak: bool = True
    """Choose by images with a weak mask too."""
    jobs: int = -1
    """Processes; -1 for one a core."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers do the work."""


def gate_inputs(
    maps: SourceMaps,
    rows: pd.DataFrame,
    what: str,
    jobs: int = -1,
    scheduler: str | None = None,
) -> dict[str, GateInputs]:
    """The gate's inputs of the images in `rows` by source, a few images' maps in memory at a time.

    Parameters
    ----------
    maps : SourceMaps
    rows : DataFrame
        id, probability, rows, columns, and mask (run-length code, missing where unknown).
    what : str
        Name on the progress bar.
    jobs, scheduler
        As for `parallel.stream`.
    """
    measured = parallel.stream(
        inputs_of,
        maps.images(rows),
        what,
        jobs,
        scheduler,
        count=len(rows),
        least=parallel.FEW,
    )
    parts = list(measured)
    return {source: rules.join([of_image[source] for of_image in parts]) for source in SOURCES}


def _choose(
    inputs: dict[str, GateInputs], folds: NDArray[np.integer]
) -> tuple[dict[str, Rule], dict[str, dict[int, Rule]], dict[str, Floats]]:
    """The rule of each policy, those chosen for each fold, and the nested Dice of each image."""
    chosen, by_fold, earned = {}, {}, {}
    for policy in command.progress(POLICIES, "choosing rules", unit="policies"):
        of_source = inputs[rules.source(policy)]
        chosen[policy] = choose.choose(policy, of_source)
        by_fold[policy] = choose.of_folds(policy, of_source, folds)
        earned[policy] = choose.under(by_fold[policy], of_source, folds)
    return chosen, by_fold, earned


def default_policy(
    earned: dict[str, Floats], chosen_inside: Floats, patients: NDArray[np.object_]
) -> str:
    """The policy with the highest nested mean Dice; the simpler one among equals.

    If the choice of a policy, scored by nesting it too, is clearly worse than the all-empty
    submission or the ungated U-Net, there is too little to choose by. The run then falls back on
    the better one of those that are clearly better, and prints that.

    Parameters
    ----------
    earned : dict of str to (n,) array in [0, 1]
        Nested Dice of each image, by policy.
    chosen_inside : (n,) array in [0, 1]
        The same where the policy too is chosen on other folds.
    patients : (n,) array of str
    """
    gaps = {}
    for simple in ("empty", "unet"):
        gap = scores.mean(earned[simple] - chosen_inside, patients)
        if gap.low > 0:
            gaps[simple] = gap
    if not gaps:
        return max(POLICIES, key=lambda policy: earned[policy].mean())
    fallback = max(gaps, key=lambda policy: earned[policy].mean())
    print(
        f"Choosing a policy earns {gaps[fallback]} of Dice less than {fallback}: falling "
        "back on that."
    )
    return fallback


def score_test_set(
    maps: SourceMaps, chosen: dict[str, Rule], jobs: int = -1, scheduler: str | None = None
) -> Scoreboard | None:
    """Scores on the test set, whose truth and patients no model and no rule has seen.

    None where the truth of no such image is known.
    """
    run = maps.runs[0]
    if not run.truth.exists():
        return None
    rows, left_out = scored_images.tested(run)
    if rows.empty:
        return None
    inputs = gate_inputs(maps, rows, "scoring the test set", jobs, scheduler)
    earned = {
        policy: rules.earned(rule, inputs[rules.source(policy)]) for policy, rule in chosen.items()
    }
    return scoreboard(earned, rows, inputs["unet"].positive == 1, left_out)


def main(settings: Settings) -> None:
    """Write outlines, figures for the report and metrics.json, then gate.json."""
    run = RunFolder(settings.run).check()
    maps = SourceMaps(together(run, settings.also))
    spread = settings.jobs, settings.scheduler
    rows, known = scored_images.with_weak_masks(run)
    if not settings.weak:
        rows, known = rows[known], known[known]
    inputs = gate_inputs(maps, rows, "scoring maps", *spread)
    chosen, by_fold, earned = _choose(inputs, rows["fold"].to_numpy())
    chosen_inside = choose.nested_default(inputs, rows["fold"].to_numpy())
    default = default_policy(earned, chosen_inside, rows["patient"].to_numpy(object))
    # From here on what is scored or shown: images with a known mask.
    rows, chosen_inside = rows[known], chosen_inside[known]
    inputs = {source: of_source.take(known) for source, of_source in inputs.items()}
    earned = {policy: of_policy[known] for policy, of_policy in earned.items()}
    folds, patients = rows["fold"].to_numpy(), rows["patient"].to_numpy(object)
    also = tuple(str(other.root) for other in maps.runs[1:])
    metrics = GateMetrics(
        default=default,
        also=also,
        mask_alone={
            source: mask_scores(of_source, folds, patients) for source, of_source in inputs.items()
        },
        out_of_fold=scoreboard(
            earned, rows, inputs["unet"].positive == 1, chosen_inside=chosen_inside
        ),
        test=score_test_set(maps, chosen, *spread),
    )
    trust = mask_trust.fit(
        inputs[rules.source(default)], chosen[default], by_fold[default], folds, patients
    )
    run.gate.unlink(missing_ok=True)
    outlines.write(maps, rows, inputs, chosen[default], metrics, *spread)
    report_figures.write(run, rows, inputs, chosen, metrics)
    files.write_record(run.metrics, metrics)
    files.write_record(run.gate, Gate(default, also, chosen, trust))
    if default == "empty":
        print("No policy beats the all-empty submission out of fold, so the default empties all.")
    best = metrics.out_of_fold.policies[default].dice
    helped = "" if known.all() else f", chosen with {(~known).sum():,} weak masks"
    print(f"default policy: {default}, mean Dice {best} out of fold{helped}")
    if trust is not None:
        print(
            f"of masks kept by rules of other folds {trust.coverage} reach the Dice that "
            f"{trust.level:.0%} should reach"
        )


if __name__ == "__main__":
    command.run(main)
