"""How fast single X-rays are answered: ``python -m tests.benchmarks.answer_speed IMAGES...``.

First from the shell, imports and all, as the command `pneumothorax predict` does it; then one image
after another in one process on one core, the first not counted, and the memory that takes. Without
``--run`` the model that ships answers.
"""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

# Answers from the shell.
STARTS = 5


@dataclass(frozen=True)
class Settings:
    """Time answers on single X-rays."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Two images or more."""
    run: Path | None = None
    """Trained run; without it the model that ships."""


def from_the_shell(settings: Settings) -> float:
    """Seconds of one answer by a process of its own."""
    begin = time.perf_counter()
    run = [] if settings.run is None else ["--run", str(settings.run)]
    subprocess.run(
        [sys.executable, "-m", "cnn.study.cli", "predict", str(settings.images[0]), *run],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


def main(settings: Settings) -> None:
    """Print medians and extremes of both."""
    if len(settings.images) < 2:
        sys.exit("images: give two or more, since the first is not counted.")
    shell = [from_the_shell(settings) for _ in range(STARTS)]
    print(f"from the shell: {np.median(shell):.1f} s ({min(shell):.1f} to {max(shell):.1f})")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before any library counts the cores
    from cnn.study.predictor import Predictor

    predictor = Predictor.load(settings.run)
    milliseconds, memory = [], []
    for image in settings.images:
        milliseconds.append(predictor(image).milliseconds)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    del milliseconds[0]
    low, middle, high = np.percentile(milliseconds, (10, 50, 90))
    print(f"each further one, on one core: {middle:.0f} ms (80% from {low:.0f} to {high:.0f})")
    early, end = memory[len(memory) // 10], memory[-1]
    print(
        f"peak memory after a tenth of {len(memory)} images {early:.0f} MiB, at the end {end:.0f}"
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
