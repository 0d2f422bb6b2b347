"""What each signal of the fused gate and the smallest area are worth, out of fold.

    .venv/bin/python tests/benchmarks/gate_signals.py RUN

RUN has probability maps (make cnn). Each row adds signals to the verdict, one top score and the
area; all rows share the nested choice of the rule. Printed are the mean Dice per image of each
policy with its interval, and the pooled AUCs of the U-Net's fused score: for pneumothorax, and for
a mask that earns more than silence at the middle level.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from arguments import given
from numpy.typing import NDArray

from baseline.gate import choose, rules
from baseline.gate.rules import MIDDLE, TOP, GateInputs
from baseline.learning import scores
from cnn.gate import evaluate

ADDED = ("top scores", "entropy", "agreement")
ROWS = ((), *((name,) for name in ADDED), ADDED)


def left(evidence: GateInputs, added: tuple[str, ...]) -> GateInputs:
    """Evidence in which the signals that are not added are alike in all images, so weigh nothing.

    Verdict, 99.9th percentile and area are always left.
    """
    n = len(evidence.positive)
    one_top = np.full_like(evidence.top, 0.5)
    one_top[:, TOP] = evidence.top[:, TOP]
    return replace(
        evidence,
        top=evidence.top if "top scores" in added else one_top,
        entropy=evidence.entropy if "entropy" in added else np.full(n, 0.5),
        agreement=evidence.agreement if "agreement" in added else np.full(n, 0.5),
    )


def fused_score(evidence: GateInputs, folds: NDArray[np.integer]) -> NDArray[np.float64]:
    """The fused score of each image under the rule chosen on the other folds."""
    result = np.empty(len(folds))
    for fold in np.unique(folds):
        rule = choose.choose("fused", evidence.take(folds != fold))
        result[folds == fold] = rules.score(rule, evidence.take(folds == fold))
    return result


def main(run: Path) -> None:
    """Print one row a set of signals, with and without a smallest area."""
    rows = evaluate.read_sized(run, "oof")
    rows = rows[rows["mask"].notna()].reset_index(drop=True)
    evidence = evaluate.collect((run,), rows, "scoring maps")
    folds, patients = rows["fold"].to_numpy(), rows["patient"].to_numpy(object)
    unet = evidence["unet"]
    pays = ((unet.dice[:, MIDDLE] > 0) & (unet.positive == 1)).astype(float)
    print(f"| smallest area | added signals | {' | '.join(rules.FUSED)} | AUC | AUC, mask earns |")
    print("|---" * (len(rules.FUSED) + 4) + "|")
    areas = choose.AREAS
    for choose.AREAS in ((0.0,), areas):
        for added in ROWS:
            known = {name: left(one, added) for name, one in evidence.items()}
            dice = [
                scores.mean(choose.nested(policy, known[rules.source(policy)], folds), patients)
                for policy in rules.FUSED
            ]
            score = fused_score(known["unet"], folds)
            aucs = [scores.auc(labels, score) for labels in (unet.positive, pays)]
            floor = "chosen" if len(choose.AREAS) > 1 else "none"
            cells = [
                floor,
                ", ".join(added) or "none",
                *map(str, dice),
                *(f"{auc:.3f}" for auc in aucs),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(Path(given(__doc__)[0]))
