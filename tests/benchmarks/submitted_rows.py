"""Whether single answers are the submission: ``python -m tests.benchmarks.submitted_rows RUN``.

Each test image of a run with a submission is answered from its file alone, and the code of its mask
is compared with its row, sign by sign. Printed is how many are the same, and which are not.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from cnn.study.predictor import Predictor
from features.run import command
from features.run.folder import RunFolder


@dataclass(frozen=True)
class Settings:
    """Compare answers on single X-rays with the rows of the submission."""

    run: tyro.conf.Positional[Path]
    """Run folder with a submission."""
    count: int = 60
    """How many test images, drawn at random."""
    seed: int = 0
    """Seed of the drawing."""


def main(settings: Settings) -> None:
    """Answer and compare; ends with 1 where a row differs."""
    run = RunFolder(settings.run).check()
    rows = run.submission.read().set_index("ImageId")["EncodedPixels"]
    paths = run.dataset.read().set_index("id")["path"]
    order = np.random.default_rng(settings.seed).permutation(len(rows))[: settings.count]
    predictor = Predictor.load(run.root)
    different, kept = [], 0
    for name in command.progress([str(rows.index[number]) for number in order], "answering"):
        answer = predictor(paths[name])
        kept += answer.mask.kept
        if answer.mask.code != rows[name]:
            different.append(name)
    print(f"{len(order) - len(different)} of {len(order)} masks are the submission's, {kept} kept")
    for name in different:
        print(f"differs: {name}")
    raise SystemExit(bool(different))


if __name__ == "__main__":
    command.run(main, writes=False)
