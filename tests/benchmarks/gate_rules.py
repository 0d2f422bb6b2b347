"""What rules earn by what they are chosen on: ``python -m tests.benchmarks.gate_rules RUN...``.

Rule and policy are chosen on the images of the other folds: those with a known mask alone, or with
those of a weak mask too. They are scored on the images of the fold: mean Dice per image of those
with a known mask and, apart from it, of those with a weak one. The weak masks are another model's
and no truth, but they are many, so they show what is due to chance in a choice by few images.
Means over the runs, intervals by bootstrap over patients.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from baseline.gate import choose, rules
from baseline.gate.rules import POLICIES, GateInputs
from baseline.learning import scores
from cnn.gate import evaluate, scored_images
from cnn.gate.sources import SourceMaps
from features.run import command
from features.run.folder import RunFolder

Floats = NDArray[np.float64]
INSIDE = "the policy chosen inside"


@dataclass(frozen=True)
class Settings:
    """Score rules that are chosen with weak masks and without."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders that have come as far as the gate, of the same images."""


def nested(
    inputs: dict[str, GateInputs], folds: NDArray[np.integer], usable: NDArray[np.bool_]
) -> dict[str, Floats]:
    """Dice of every image by policy, each under what was chosen on the usable ones of other folds.

    Parameters
    ----------
    inputs : dict of str to GateInputs
        By source.
    folds : (n,) array of int
    usable : (n,) array of bool
        Which images rules may be chosen on.
    """
    earned = {name: np.empty(len(folds)) for name in (*POLICIES, INSIDE)}
    for fold in np.unique(folds):
        seen, held_out = usable & (folds != fold), folds == fold
        known = {source: of_source.take(seen) for source, of_source in inputs.items()}
        means = {}
        for policy in POLICIES:
            source = rules.source(policy)
            rule = choose.choose(policy, known[source])
            earned[policy][held_out] = rules.earned(rule, inputs[source].take(held_out))
            means[policy] = choose.nested(policy, known[source], folds[seen]).mean()
        best = max(POLICIES, key=lambda policy: means[policy])
        earned[INSIDE][held_out] = earned[best][held_out]
    return earned


def main(settings: Settings) -> None:
    """Print the table."""
    totals: dict[tuple[str, str], list[Floats]] = {}
    for path in settings.runs:
        run = RunFolder(path).check()
        rows, known = scored_images.with_weak_masks(run)
        order = np.lexsort((rows["id"].to_numpy(str), ~known))  # alike in all runs
        rows, known = rows.iloc[order].reset_index(drop=True), known[order]
        inputs = evaluate.gate_inputs(SourceMaps((run,)), rows, run.root.name)
        folds, patients = rows["fold"].to_numpy(), rows["patient"].to_numpy(object)
        for by, usable in (("known alone", known), ("weak ones too", np.ones_like(known))):
            for policy, dice in nested(inputs, folds, usable).items():
                totals.setdefault((policy, by), []).append(dice)
    print("| policy | chosen by | known masks | weak masks |")
    print("|---|---|---|---|")
    for (policy, by), of_runs in totals.items():
        mean = np.mean(of_runs, axis=0)
        of_known, of_weak = (scores.mean(mean[of], patients[of]) for of in (known, ~known))
        print(f"| {policy} | {by} | {of_known} | {of_weak} |")


if __name__ == "__main__":
    command.run(main, writes=False)
