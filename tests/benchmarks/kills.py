"""Kill a small run at random moments, go on with make, and compare every file with a run in peace.

``python -m tests.benchmarks.kills --kills 30`` draws phantoms (24 and 6), runs the whole pipeline
once in peace and once with kills: SIGKILL for make and all it has started, at a moment drawn within
a stage, the stage drawn by its duration. In the end every file must have the same bytes, and no
temporary file may be left. It takes about three times as long as the run (5 minutes on two cores).
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

ROOT = Path(__file__).resolve().parents[2]
STAGE = re.compile(r"-m (\S+\.\S+)")
ORDER = [
    "features.reading.dataset", "features.measure", "baseline.evidence_map.train",
    "baseline.classifier.train", "baseline.explanation.shap_values", "cnn.training.train",
    "cnn.prediction.predict", "cnn.gate.evaluate", "cnn.submission.write", "baseline.report.write",
]  # fmt: skip
# What may differ: compiled programs, who holds the folder, and the note of what was written.
IGNORED = {".lock", ".jax_cache", ".written.json"}


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
        phantoms = ["--out", str(folder / "data"), "--train", "24", "--test", "6"]
        subprocess.run(
            [ROOT / ".venv/bin/python", "-m", "features.phantom.write", *phantoms], cwd=ROOT
        )
        peace, killed = folder / "peace" / "run", folder / "killed" / "run"
        begins = _stages(_start(peace, folder / "data", settings.epochs))
        moments = _moments(begins, settings)
        for stage, delay in moments:
            what = _kill(killed, folder, settings, stage, delay)
            print(f"killed {delay:5.1f} s into {stage}: {what}", flush=True)
        _stages(_start(killed, folder / "data", settings.epochs))
        _compare(peace, killed)


def _start(run: Path, data: Path, epochs: int) -> subprocess.Popen[str]:
    given = [f"DATA={data}", f"RUN={run}", "PROFILE=demo", "FOLDS=3", "AUXILIARY=0"]
    options = f"CNN_OPTIONS=--epochs {epochs}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.Popen(
        ["make", "submission", *given, options],
        cwd=ROOT, env=kept, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def _stages(process: subprocess.Popen[str]) -> list[tuple[str, float]]:
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
    times = np.array([begin for _, begin in begins])
    moments = np.sort(rng.uniform(times[0], times[-1], settings.kills))
    number = np.searchsorted(times, moments) - 1
    return [(begins[k][0], float(at - times[k])) for k, at in zip(number, moments, strict=True)]


def _kill(run: Path, folder: Path, settings: Settings, stage: str, delay: float) -> str:
    """Go on until `delay` seconds into a stage, or into a later one if it is done; then kill all.

    Says which stage was at work.
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
    return f"{reached or 'nothing'} was at work"


def _compare(peace: Path, killed: Path) -> None:
    names = {
        path.relative_to(root)
        for root in (peace, killed)
        for path in root.rglob("*")
        if path.is_file() and not IGNORED & set(path.relative_to(root).parts)
    }
    hidden = [str(name) for name in names if any(part.startswith(".") for part in name.parts)]
    different = [
        str(name)
        for name in sorted(names)
        if not all((root / name).exists() for root in (peace, killed))
        or (peace / name).read_bytes() != (killed / name).read_bytes()
    ]
    kept = Path(tempfile.gettempdir()) / "kills-different"
    for name in different:
        for root in (peace, killed):
            if (root / name).exists():
                target = kept / root.parent.name / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, target)
    print(f"{len(names)} files; different: {', '.join(different) or 'none'}")
    print(f"temporary files left: {', '.join(hidden) or 'none'}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
