"""What each signal of the fused gate and the smallest area are worth, out of fold.

    .venv/bin/python tests/benchmarks/gate_signals.py RUN

RUN has probability maps (make cnn). Each row adds signals to the classifier's log-odds, one top
score and the area; all rows share the nested choice of the rule. Printed are the mean Dice per
image of each policy with its interval, and the pooled AUCs of the U-Net's fused score: for
pneumothorax, and for a mask that earns more than an empty one at the middle level.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from arguments import arguments_or_help
from numpy.typing import NDArray

from baseline.gate import choose, rules
from baseline.gate.rules import TOP, GateInputs, Rule
from baseline.learning import scores
from cnn.gate import evaluate, scored_images
from cnn.gate.sources import SourceMaps
from features.run.folder import RunFolder

ADDED = ("top scores", "entropy", "agreement")
ROWS = ((), *((name,) for name in ADDED), ADDED)


def with_signals(inputs: GateInputs, added: tuple[str, ...]) -> GateInputs:
    """Inputs in which the signals that are not added are alike in all images, so weigh nothing.

    The classifier's log-odds, the 99.9th percentile and the area are always kept.
    """
    n = len(inputs.positive)
    one_top = np.full_like(inputs.top, 0.5)
    one_top[:, TOP] = inputs.top[:, TOP]
    return replace(
        inputs,
        top=inputs.top if "top scores" in added else one_top,
        entropy=inputs.entropy if "entropy" in added else np.full(n, 0.5),
        agreement=inputs.agreement if "agreement" in added else np.full(n, 0.5),
    )


def fused_score(inputs: GateInputs, folds: NDArray[np.integer]) -> NDArray[np.float64]:
    """The fused score of each image under the rule chosen on the other folds."""
    result = np.empty(len(folds))
    for fold in np.unique(folds):
        rule = choose.choose("fused", inputs.take(folds != fold))
        result[folds == fold] = rules.score(rule, inputs.take(folds == fold))
    return result


def main(run: RunFolder) -> None:
    """Print one row a set of signals, with and without a smallest area."""
    rows = scored_images.labelled(run.check())
    inputs = evaluate.gate_inputs(SourceMaps((run,)), rows, "scoring maps")
    folds, patients = rows["fold"].to_numpy(), rows["patient"].to_numpy(object)
    unet = inputs["unet"]
    earns = ((unet.dice[:, Rule.mask_share] > 0) & (unet.positive == 1)).astype(float)
    print(f"| smallest area | added signals | {' | '.join(rules.FUSED)} | AUC | AUC, mask earns |")
    print("|---" * (len(rules.FUSED) + 4) + "|")
    areas = choose.AREAS
    for choose.AREAS in ((0.0,), areas):
        for added in ROWS:
            reduced = {source: with_signals(inputs[source], added) for source in inputs}
            dice = [
                scores.mean(choose.nested(policy, reduced[rules.source(policy)], folds), patients)
                for policy in rules.FUSED
            ]
            score = fused_score(reduced["unet"], folds)
            aucs = [scores.auc(labels, score) for labels in (unet.positive, earns)]
            smallest_area = "chosen" if len(choose.AREAS) > 1 else "none"
            columns = [
                smallest_area,
                ", ".join(added) or "none",
                *map(str, dice),
                *(f"{auc:.3f}" for auc in aucs),
            ]
            print(f"| {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main(RunFolder(Path(arguments_or_help(__doc__)[0])))
