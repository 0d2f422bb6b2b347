"""Odd surroundings: ``python -m tests.benchmarks.surroundings``.

Phantoms (6 and 2) in a folder whose name is not ASCII are read into a run, and stages that import
much print their help:

- as usual;
- under LC_ALL=C, once with Python's UTF-8 mode switched off, which takes names for ASCII;
- on a terminal that knows Latin-1 alone;
- by a user who can write neither into the installation nor into a home (needs the right to mount).

Each command must end with 0, without a traceback or a word of a library, and the run must have the
same bytes each time. A minute on two cores.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tyro

from tests.benchmarks import stages
from tests.benchmarks.stages import PYTHON, ROOT

ENVIRONMENTS = {
    "as usual": {},
    "LC_ALL=C": {"LC_ALL": "C"},
    "LC_ALL=C without UTF-8 mode": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "a Latin-1 terminal": {"PYTHONIOENCODING": "latin-1"},
}
HELPED = ("features.measure", "baseline.report.write", "cnn.training.train")
# Mounts the installation so that it can only be read, for what this shell starts alone.
ONLY_READ = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec "$@"'


def main() -> None:
    """Print what came of each command, by surroundings."""
    faults = 0
    with tempfile.TemporaryDirectory(prefix="surroundings-") as name:
        folder = Path(name)
        data = folder / "Röntgenbilder"
        stages.draw_phantoms(data, 6, 2)
        usual: dict[str, str] = {}
        cases = {what: (given, ROOT, []) for what, given in ENVIRONMENTS.items()}
        cases["no home, an installation that can only be read"] = _without_home(folder)
        for what, (given, root, before) in cases.items():
            run = folder / "Läufe" / "run"
            shutil.rmtree(run, ignore_errors=True)
            calls = [["features.dataset.read", "--data", data, "--run", run, "--folds", "2"]]
            calls += [[stage, "--help"] for stage in HELPED]
            wrong = [words for call in calls if (words := _call(call, given, root, before))]
            made = stages.digests(run)
            usual = usual or made
            if made != usual or not made:
                wrong.append("another run")
            print(f"{what}: {'; '.join(wrong) or f'{len(calls)} commands work'}", flush=True)
            faults += len(wrong)
    sys.exit(bool(faults))


def _without_home(folder: Path) -> tuple[dict[str, str], Path, list[str]]:
    """Environment, installation, and what mounts it before a command."""
    tree = folder / "installed"
    for name in ("features", "baseline", "cnn"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "home").mkdir()
    given = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"), "")
    mount = ["unshare", "--mount", "sh", "-c", ONLY_READ, str(tree)]
    return given | {"HOME": str(tree / "home")}, tree, mount


def _call(call: list[str | Path], given: dict[str, str], root: Path, before: list[str]) -> str:
    """What is wrong with a command; "" for nothing."""
    environment = {k: v for k, v in stages.environment(**given).items() if v}
    done = subprocess.run(
        [*before, PYTHON, "-m", *map(os.fspath, call)], cwd=root, env=environment,
        capture_output=True,
    )  # fmt: skip
    printed = done.stderr.decode("utf-8", "replace")
    # What a stage says of itself: how many images, and the layout.
    odd = [line for line in printed.splitlines() if "images" not in line and "stage 2" not in line]
    if done.returncode or odd:
        return f"{call[0]}: status {done.returncode}, {' | '.join(odd)[-200:]!r}"
    return ""


if __name__ == "__main__":
    tyro.cli(main)
