"""Ctrl-C and SIGTERM at many moments of every stage: ``interrupts.py RUN --data DATA``.

RUN is a small finished run; each stage works in a copy of it. It is left in peace first, to see how
long it takes and when it begins to handle signals. Then half of the moments are drawn from the
first 3 seconds, that is, mostly from the imports, and the others lie all over its duration. Ctrl-C
goes to the whole group of processes, as from a terminal, SIGTERM to the first.

A stage must end with 130 or 143 and one line on the standard error, without a traceback, and no
process, temporary file or shared memory may be left. Before it handles signals ("too early") that
cannot be: the interpreter itself is starting, and no line of this project has been read.
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
from tests.benchmarks import stages
from tests.benchmarks.stages import ROOT, STAGES

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
LINE = "interrupted: run the same command again to go on."
# Seconds: the earliest moment, and the end of those that lie mostly in the imports.
EARLIEST, IMPORTED = 0.05, 3.0
SHARED = Path("/dev/shm")


@dataclass(frozen=True)
class Settings:
    """Interrupt every stage at many moments."""

    run: tyro.conf.Positional[Path]
    """A small finished run."""
    data: Path
    """The dataset that it was made from."""
    moments: int = 6
    """Moments a stage and signal."""
    seed: int = 0
    """Seed of the moments."""
    stages: tuple[str, ...] = tuple(STAGES)
    """Stages to interrupt."""


def main(settings: Settings) -> None:
    """Print what came of each signal, by stage."""
    RunFolder(settings.run).check()
    rng = np.random.default_rng(settings.seed)
    total: Counter[str] = Counter()
    handled = []
    with tempfile.TemporaryDirectory(prefix="interrupts-") as name:
        for stage in settings.stages:
            begin = time.monotonic()
            process = _start(settings, Path(name), stage)
            handled.append(_wait_for_handler(process, begin))
            process.communicate()
            seconds, done = time.monotonic() - begin, process.returncode
            for number in STATUS:
                found: Counter[str] = Counter()
                for delay in _moments(seconds, settings.moments, rng):
                    found[_interrupt(settings, Path(name), stage, done, number, delay)] += 1
                total += found
                what = ", ".join(f"{words} {count}" for words, count in found.most_common())
                print(f"{stage:34} {seconds:5.1f} s {number.name:8} {what}", flush=True)
    print(f"all: {', '.join(f'{words} {count}' for words, count in total.most_common())}")
    print(f"signals are handled from {np.median(handled):.2f} s on (median)")


def _moments(seconds: float, count: int, rng: np.random.Generator) -> list[float]:
    """Half of them from the imports, half of them one in each of equal shares of the duration."""
    early = rng.uniform(EARLIEST, min(IMPORTED, seconds), count // 2)
    shares = (np.arange(count - count // 2) + rng.uniform(size=count - count // 2)) / (
        count - count // 2
    )
    return [*early, *(EARLIEST + shares * (seconds - EARLIEST))]


def _start(settings: Settings, folder: Path, stage: str) -> subprocess.Popen[str]:
    """Start a stage in a new copy of the run."""
    run, phantoms = folder / "run", folder / "phantoms"
    for place in (run, phantoms):
        shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(settings.run, run)
    places = {"RUN": run, "DATA": settings.data.absolute(), "PHANTOMS": phantoms}
    return subprocess.Popen(
        stages.command(stage, **places), cwd=ROOT, text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def _handles(process: subprocess.Popen[str]) -> bool:
    """Whether a process has a handler for SIGTERM, which Python itself has not."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return True  # not told here
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def _wait_for_handler(process: subprocess.Popen[str], begin: float) -> float:
    """Seconds until a process handles signals."""
    while process.poll() is None and not _handles(process):
        time.sleep(0.001)
    return time.monotonic() - begin


def _interrupt(
    settings: Settings, folder: Path, stage: str, done: int, number: signal.Signals, delay: float
) -> str:
    """What came of one signal, in a word or two, to a stage that ends with `done` in peace."""
    process = _start(settings, folder, stage)
    time.sleep(delay)
    early, ended = not _handles(process), process.poll() is not None
    if number == signal.SIGINT and not ended:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    try:
        _, printed = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        # The interpreter drops a signal that it meets in a place where nothing may be raised.
        return "too early" if early else f"HANGS at {delay:.2f} s"
    if ended or process.returncode == done:
        return "done before"
    if early:
        return "too early"
    return _judged(process, printed, folder, STATUS[number]) or "ok"


def _judged(process: subprocess.Popen[str], printed: str, folder: Path, status: int) -> str:
    """What is wrong with the end of a stage that was interrupted; "" for nothing."""
    lines = [line for line in printed.splitlines() if line]
    last = lines[-1][:60] if lines else "none"
    time.sleep(0.3)
    if left := _left(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
        return f"LEAVES {left} processes"
    shared = [path for path in SHARED.glob("*") if f"_{process.pid}_" in path.name]
    shared += SHARED.glob(f"sem.loky-{process.pid}-*")
    if shared or list(folder.glob(".phantoms*")) or stages.temporaries(folder / "run"):
        return "LEAVES temporary files"
    if process.returncode != status:
        return f"STATUS {process.returncode} ({last})"
    # What a stage says by itself before (bars, notes) is no fault; a traceback or more after is.
    if lines[-1:] != [LINE] or "Traceback" in printed:
        return f"LINES ({last})"
    return ""


def _left(session: int) -> int:
    """Living processes of a session."""
    listed = subprocess.run(["ps", "-eo", "sess=,stat="], capture_output=True, text=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return sum(row[0] == str(session) and not row[1].startswith("Z") for row in rows)


if __name__ == "__main__":
    main(tyro.cli(Settings))
