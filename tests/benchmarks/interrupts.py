"""Ctrl-C and SIGTERM at random moments of every stage: ``interrupts.py RUN --data DATA``.

RUN is a small finished run; each stage works in a copy of it. Ctrl-C goes to the whole group of
processes, as from a terminal, SIGTERM to the first. A stage that was reached must end with 130 or
143 and one line on the standard error, without a traceback, and no process may be left. Half of the
moments lie within the first 3 seconds, that is, mostly within the imports; none lies before 0.2 s,
when no line of this project has been read yet.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from features.run.folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
LINE = "interrupted: run the same command again to go on."
STAGES = {
    "features.phantom.write": ["--out", "PHANTOMS", "--train", "12", "--test", "4"],
    "features.reading.dataset": ["--data", "DATA", "--run", "RUN", "--folds", "3"],
    "features.measure": ["--run", "RUN"],
    "baseline.evidence_map.train": ["--run", "RUN"],
    "baseline.classifier.train": ["--run", "RUN"],
    "baseline.explanation.shap_values": ["--run", "RUN"],
    "baseline.evaluation.shortcuts": ["--run", "RUN"],
    "baseline.evaluation.faithfulness": ["--run", "RUN"],
    "baseline.report.write": ["--run", "RUN"],
    "cnn.training.train": [
        "--run",
        "RUN",
        "--profile",
        "demo",
        "--epochs",
        "2",
        "--overwrite",
        "--seed",
        "SEED",
    ],
    "cnn.prediction.predict": ["--run", "RUN"],
    "cnn.gate.evaluate": ["--run", "RUN"],
    "cnn.submission.write": ["--run", "RUN"],
}


@dataclass(frozen=True)
class Settings:
    """Interrupt every stage at random moments."""

    run: tyro.conf.Positional[Path]
    """A small finished run."""
    data: Path
    """The dataset that it was made from."""
    moments: int = 6
    """Moments a stage and signal."""
    seconds: float = 12.0
    """The latest moment, in seconds."""
    seed: int = 0
    """Seed of the moments."""
    stages: tuple[str, ...] = tuple(STAGES)
    """Stages to interrupt."""


def main(settings: Settings) -> None:
    """Print what came of each signal, by stage."""
    RunFolder(settings.run).check()
    rng = np.random.default_rng(settings.seed)
    with tempfile.TemporaryDirectory(prefix="interrupts-") as name:
        for stage in settings.stages:
            for number in STATUS:
                found: Counter[str] = Counter()
                for k in range(settings.moments):
                    delay = rng.uniform(0.2, 3.0 if k % 2 else settings.seconds)
                    found[_interrupt(settings, Path(name), stage, number, delay)] += 1
                what = ", ".join(f"{words} {count}" for words, count in found.most_common())
                print(f"{stage:34} {number.name:8} {what}", flush=True)


def _interrupt(
    settings: Settings, folder: Path, stage: str, number: signal.Signals, delay: float
) -> str:
    """What came of one signal, in a word or two."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.rmtree(folder / "phantoms", ignore_errors=True)
    shutil.copytree(settings.run, run)
    places = {
        "RUN": run,
        "DATA": settings.data,
        "PHANTOMS": folder / "phantoms",
        "SEED": int(delay * 1e6),
    }
    command = [PYTHON, "-m", stage, *(str(places.get(word, word)) for word in STAGES[stage])]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    time.sleep(delay)
    early = process.poll() is not None
    if number == signal.SIGINT and not early:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    try:
        _, printed = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return f"HANGS at {delay:.2f} s"
    if early or process.returncode == 0:
        return "done before"
    lines = [line for line in printed.splitlines() if line]
    time.sleep(0.3)
    left = _left(process.pid)
    if left:
        os.killpg(process.pid, signal.SIGKILL)
        return f"LEAVES {left} processes at {delay:.2f} s"
    hidden = [
        path
        for path in run.rglob(".*")
        if path.name not in (".jax_cache", ".lock", ".written.json")
    ]
    if hidden or list(folder.glob(".phantoms*")):
        return f"LEAVES a temporary file at {delay:.2f} s"
    if process.returncode != STATUS[number]:
        last = lines[-1][:60] if lines else ""
        return f"STATUS {process.returncode} at {delay:.2f} s ({last})"
    # What a stage says by itself before (bars, notes) is no fault; a traceback or more after is.
    if lines[-1:] != [LINE] or "Traceback" in printed:
        return f"LINES at {delay:.2f} s ({lines[-1][:60] if lines else 'none'})"
    return "ok"


def _left(session: int) -> int:
    """Living processes of a session."""
    listed = subprocess.run(["ps", "-eo", "sess=,stat="], capture_output=True, text=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return sum(row[0] == str(session) and not row[1].startswith("Z") for row in rows)


if __name__ == "__main__":
    main(tyro.cli(Settings))
