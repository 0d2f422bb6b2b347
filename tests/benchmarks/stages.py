"""The stages of a small run, for the commands that disturb them: full_disk, interrupts, kills."""

import hashlib
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
RUN = ["--run", "RUN"]
# Each stage with its arguments; words in capitals stand for folders.
STAGES = {
    "features.phantom.write": ["--out", "PHANTOMS", "--train", "12", "--test", "4"],
    "features.dataset.read": ["--data", "DATA", *RUN, "--folds", "3"],
    "features.measure": RUN,
    "features.one_pass": ["--data", "DATA", *RUN, "--folds", "3"],
    "baseline.evidence_map.train": RUN,
    "baseline.classifier.train": RUN,
    "baseline.explanation.shap_values": RUN,
    "baseline.evaluation.shortcuts": RUN,
    "baseline.evaluation.faithfulness": RUN,
    "baseline.report.write": RUN,
    "cnn.training.train": [*RUN, "--profile", "demo", "--epochs", "2", "--overwrite"],
    "cnn.prediction.predict": RUN,
    "cnn.gate.evaluate": RUN,
    "cnn.submission.write": RUN,
    "baseline.audit.write": [*RUN, "--data", "DATA"],
}
# What may differ between two runs: compiled programs, who holds the folder, what was written when.
IGNORED = {".lock", ".jax_cache", ".written.json"}


def command(stage: str, **places: Path) -> list[str]:
    """The command line of a stage, with the folders for RUN, DATA and PHANTOMS."""
    return [
        str(PYTHON),
        "-m",
        stage,
        *(str(places.get(word, word)) for word in STAGES[stage]),
    ]


def make(run: Path, data: Path, *targets: str, epochs: int = 2) -> list[str]:
    """The command line of make for a small run on phantoms, in which every stage takes seconds."""
    given = [f"DATA={data}", f"RUN={run}", "PROFILE=demo", "FOLDS=3", "AUXILIARY=0"]
    return ["make", *targets, *given, f"CNN_OPTIONS=--epochs {epochs}"]


def environment(**changes: str) -> dict[str, str]:
    """The environment without the flags that a make above hands down."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"} | changes


def draw_phantoms(folder: Path, train: int = 24, test: int = 6) -> None:
    """Draw a small dataset."""
    sizes = ["--train", str(train), "--test", str(test)]
    writes = [PYTHON, "-m", "features.phantom.write", "--out", folder, *sizes]
    subprocess.run(writes, cwd=ROOT, env=environment(), check=True)


def digests(run: Path) -> dict[str, str]:
    """Digest of every file of a run, by its name in the run."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file() and not IGNORED & set(path.relative_to(run).parts)
    }


def different(first: Path, second: Path) -> list[str]:
    """Files of two runs that are in one alone or have other bytes, the audit's aside.

    The audit says how long it took.
    """
    one, other = digests(first), digests(second)
    names = [name for name in {*one, *other} if not name.startswith("audit/")]
    return sorted(name for name in names if one.get(name) != other.get(name))


def temporaries(run: Path) -> list[str]:
    """Files and folders of a run that only a writer at work may have."""
    return sorted(
        str(path.relative_to(run))
        for path in run.rglob("*")
        if not IGNORED & set(path.relative_to(run).parts)
        and (path.name.startswith(".") or "tmp" in path.name)
    )
