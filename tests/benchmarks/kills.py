"""Kill a small run at random moments, go on with make, and compare every file with a run in peace.

``python -m tests.benchmarks.kills --kills 30`` draws phantoms (24 and 6), runs the whole pipeline
once in peace and once with kills: SIGKILL for make and all it has started. The kills are dealt out
to the stages evenly, and those of a stage to its duration, one at random in each of equal shares.
In the end every file must have the same bytes, and no temporary file may be left. It takes about
three times as long as the run (5 minutes on two cores).
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import tyro

from tests.benchmarks import stages
from tests.benchmarks.stages import ROOT

STAGE = re.compile(r"-m (\S+\.\S+)")
# In make's order for these targets.
TARGETS = ("shortcuts", "faithfulness", "submission")
ORDER = [
    "features.one_pass", "baseline.evidence_map.train", "baseline.classifier.train",
    "baseline.explanation.shap_values", "baseline.evaluation.shortcuts",
    "baseline.evaluation.faithfulness", "cnn.training.train", "cnn.prediction.predict",
    "cnn.gate.evaluate", "cnn.submission.write", "baseline.report.write",
]  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Kill a small run at random moments and compare what comes out with a run in peace."""

    kills: int = 30
    """How often to kill."""
    seed: int = 0
    """Seed of the moments."""
    epochs: int = 2
    """Epochs of the network."""


def main(settings: Settings) -> None:
    """Print where it was killed, then which files differ and which temporary files are left."""
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        stages.draw_phantoms(folder / "data")
        peace, killed = folder / "peace" / "run", folder / "killed" / "run"
        begins = _begins(_start(peace, folder / "data", settings.epochs))
        at_work: Counter[str] = Counter()
        for stage, delay in _moments(begins, settings):
            what = _kill(killed, folder, settings, stage, delay)
            at_work[what] += 1
            print(f"killed {delay:5.1f} s into {stage}: {what} was at work", flush=True)
        _begins(_start(killed, folder / "data", settings.epochs))
        print(f"kills by stage: {', '.join(f'{stage} {n}' for stage, n in at_work.items())}")
        _compare(peace, killed)


def _start(run: Path, data: Path, epochs: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        stages.make(run, data, *TARGETS, epochs=epochs), cwd=ROOT, env=stages.environment(),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _begins(process: subprocess.Popen[str]) -> list[tuple[str, float]]:
    """Stages of a run that is left in peace, with the time at which each began, in seconds."""
    begins = []
    for line in process.stdout or ():
        if (found := STAGE.search(line)) and found[1] in ORDER:
            begins.append((found[1], time.monotonic()))
    if process.wait() != 0:
        raise SystemExit(f"make ended with {process.returncode}")
    return [*begins, ("end", time.monotonic())]


def _moments(begins: list[tuple[str, float]], settings: Settings) -> list[tuple[str, float]]:
    """Stages and seconds after their begin at which to kill, in the order of the pipeline."""
    rng = np.random.default_rng(settings.seed)
    durations: dict[str, float] = {}
    for (stage, begin), (_, end) in pairwise(begins):
        durations.setdefault(stage, end - begin)
    of_kill = [k * len(ORDER) // settings.kills for k in range(settings.kills)]
    moments = []
    for number, stage in enumerate(ORDER):
        count = of_kill.count(number)
        shares = (np.arange(count) + rng.uniform(size=count)) / max(count, 1)
        moments += [(stage, float(share * durations[stage])) for share in shares]
    return moments


def _kill(run: Path, folder: Path, settings: Settings, stage: str, delay: float) -> str:
    """Go on until `delay` seconds into a stage, or into a later one if it is done; then kill all.

    Returns the stage that was at work.
    """
    process = _start(run, folder / "data", settings.epochs)
    reached = ""
    for line in process.stdout or ():
        if (found := STAGE.search(line)) and found[1] in ORDER:
            reached = found[1]
            if ORDER.index(reached) >= ORDER.index(stage):
                # Of a later stage nothing is known; its first seconds are as good as any.
                time.sleep(delay if reached == stage else delay % 4)
                break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return reached or "nothing"


def _compare(peace: Path, killed: Path) -> None:
    names = stages.different(peace, killed)
    kept = Path(tempfile.gettempdir()) / "kills-different"
    for name in names:
        for root in (peace, killed):
            if (root / name).exists():
                target = kept / root.parent.name / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, target)
    print(f"{len(stages.digests(peace))} files; different: {', '.join(names) or 'none'}")
    print(f"temporary files left: {', '.join(stages.temporaries(killed)) or 'none'}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
