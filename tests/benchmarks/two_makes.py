"""Two real makes side by side: ``python -m tests.benchmarks.two_makes``.

In a copy of the tree without data and runs, on phantoms (8 and 2), each pair begun at once:

- in one new run folder: one does its work, the other is refused in a sentence that names the first;
- in two run folders, on the same phantoms, which are not drawn yet: both do their work;
- in two run folders that need the same auxiliary phantoms: both do their work.

The phantoms and runs must be those of a make by itself, and no temporary file may be left. It takes
2 minutes on two cores.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from tests.benchmarks import stages
from tests.benchmarks.stages import ROOT

COPIED = ("Makefile", "pyproject.toml", "requirements.lock", "features", "baseline", "cnn")
REFUSED = re.compile(
    r"^error: runs/\w+: a make \(process \d+\) is writing into this run folder; wait until it has "
    r"ended, and run the same command again\.$",
    re.MULTILINE,
)
PHANTOMS = ["TRAIN=8", "TEST=2", "FOLDS=2", "SEED=7"]
CELLS = "runs/auxiliary-10/cells/index.parquet"


@dataclass(frozen=True)
class Settings:
    """Start pairs of makes at once."""

    rounds: int = 1
    """How often to do so."""


def main(settings: Settings) -> None:
    """Print what came of each pair, and the faults."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="two-makes-") as name:
        alone = _tree(Path(name) / "alone")
        for what in (["measure"], [CELLS, "AUXILIARY=10"]):
            [(status, printed)] = _together(alone, [*what, "RUN=runs/a", *PHANTOMS])
            if status:
                raise SystemExit(f"a make by itself fails: {printed[-300:]}")
        for number in range(settings.rounds):
            tree = _tree(Path(name) / f"tree{number}")
            faults += _one_folder(tree) + _different(alone, tree, "data/phantoms-8-2-7", "runs/a")
            shutil.rmtree(tree)
            tree = _tree(tree)
            faults += _two_folders(tree, ["measure"])
            faults += _different(alone, tree, "data/phantoms-8-2-7", "runs/a")
            faults += _two_folders(tree, [CELLS, "AUXILIARY=10"])
            faults += _different(alone, tree, "data/auxiliary-10", "runs/auxiliary-10")
            faults += [f"{name} is left" for name in stages.temporaries(tree / "data")]
            faults += [f"{name} is left" for name in stages.temporaries(tree / "runs")]
    print(f"{3 * settings.rounds} pairs of makes; faults: {'; '.join(faults) or 'none'}")
    sys.exit(bool(faults))


def _tree(folder: Path) -> Path:
    """A copy of the tree, with its environment."""
    folder.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def _together(tree: Path, *commands: list[str]) -> list[tuple[int, str]]:
    """Status and standard error of makes that are begun at once."""
    begun = [
        subprocess.Popen(
            ["make", *arguments], cwd=tree, env=stages.environment(), text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for arguments in commands
    ]  # fmt: skip
    printed = [process.communicate()[1] for process in begun]
    return [(process.returncode, text) for process, text in zip(begun, printed, strict=True)]


def _one_folder(tree: Path) -> list[str]:
    """Two makes in one run folder that is not there yet."""
    call = ["measure", "RUN=runs/a", *PHANTOMS]
    ended = sorted(_together(tree, call, call))
    print(f"one run folder: statuses {ended[0][0]} and {ended[1][0]}", flush=True)
    faults = ["Traceback" * ("Traceback" in printed) for _, printed in ended]
    if ended[0][0] != 0 or ended[1][0] != 2 or not REFUSED.search(ended[1][1]):
        faults.append(f"one run folder: {ended[1][1][-300:]!r}")
    return [fault for fault in faults if fault]


def _two_folders(tree: Path, what: list[str]) -> list[str]:
    """Two makes in two run folders that share phantoms."""
    ended = _together(tree, *([*what, f"RUN=runs/{run}", *PHANTOMS] for run in "ab"))
    print(f"two run folders, {what[0]}: statuses {ended[0][0]} and {ended[1][0]}", flush=True)
    return [f"two run folders: {printed[-300:]!r}" for status, printed in ended if status]


def _different(alone: Path, tree: Path, *folders: str) -> list[str]:
    """Files that differ from those of a make by itself."""
    return [
        f"{folder}/{name} differs"
        for folder in folders
        for name in stages.different(alone / folder, tree / folder)
        if name not in ("settings.mk", "dataset.parquet")  # which name the folder
    ]


if __name__ == "__main__":
    main(tyro.cli(Settings))
