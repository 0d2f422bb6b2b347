"""Damage every file of a small finished run and call what reads it: ``fuzz_run.py RUN``.

    python -m tests.benchmarks.fuzz_run RUN --cases 6

Each file is cut short, emptied, has bytes changed, is written in another encoding or replaced by
its like; JSON gets values of wrong types, huge numbers, missing and unknown keys; tables get wrong
columns, types, missing, infinite and huge numbers, rows twice, unknown ids. Then a stage that reads
the file works on a copy of the run in a process of its own. It may succeed, or refuse in one
sentence of at most 400 signs. A traceback, a death in native code and more than 20 seconds
(or three times what the stage takes on the whole run) are faults. The same seed makes the same
cases.
"""

import importlib
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from tests.benchmarks.damage_run import damage
from tests.benchmarks.run_readers import PATIENCE, READERS, call

IGNORED = (".jax_cache", ".lock", ".written.json", "settings.mk", ".png", "checkpoint")


@dataclass(frozen=True)
class Settings:
    """Damage every file of a run and call what reads it."""

    run: tyro.conf.Positional[Path]
    """A small finished run."""
    cases: int = 8
    """Cases a file and reader."""
    seed: int = 0
    """Seed of the damage."""
    only: str = ""
    """Only files whose name contains this."""


def _patience(reader: str, run: Path, copy: Path) -> float:
    """Seconds to wait for a reader: 20, or three times what it takes on the whole run."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    begin = time.monotonic()
    outcome, words = call(reader, copy, READERS[reader][0], 600)
    if outcome != "accepted":
        raise SystemExit(f"{reader}: does not accept the whole run ({words})")
    print(f"{reader}: {time.monotonic() - begin:.1f} s on the whole run", flush=True)
    return max(PATIENCE, 3 * (time.monotonic() - begin))


def files_of(run: Path) -> list[str]:
    """Files of a run that some stage reads, relative to it."""
    names = [str(path.relative_to(run)) for path in sorted(run.rglob("*")) if path.is_file()]
    return [name for name in names if not any(part in name for part in IGNORED)]


def fuzz(run: Path, folder: Path, settings: Settings) -> tuple[dict[str, Counter[str]], list[str]]:
    """Damage and call. Returns the counts by file, and the faults in words."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    faults: list[str] = []
    copy = folder / run.name
    patience = {reader: _patience(reader, run, copy) for reader in READERS}
    for name in files_of(run):
        if settings.only not in name:
            continue
        readers = [reader for reader, (_, pattern) in READERS.items() if re.search(pattern, name)]
        like = [p for p in run.rglob(f"*{Path(name).suffix}") if p.is_file() and p != run / name]
        for reader in readers:
            for case in range(settings.cases):
                seed = (settings.seed, *name.encode(), *reader.encode(), case)
                rng = np.random.default_rng(seed)
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(run, copy)
                how = damage(copy / name, like or [run / name], rng)
                outcome, words = call(reader, copy, READERS[reader][0], patience[reader])
                counts[name][outcome] += 1
                if outcome == "fault":
                    faults.append(f"{name} [{how}] {reader}: {words}")
                    print(faults[-1], flush=True)
    return counts, faults


def main(settings: Settings) -> None:
    """Print the faults as they come, then a table by file."""
    for reader in READERS:
        importlib.import_module(reader.partition(":")[0])
    with tempfile.TemporaryDirectory(prefix="fuzz-run-") as name:
        counts, faults = fuzz(settings.run.resolve(), Path(name), settings)
    print(f"{'file':36} {'cases':>6} {'refused':>8} {'accepted':>9} {'faults':>7}")
    total: Counter[str] = Counter()
    for file, of_file in [*counts.items(), ("all", total)]:
        print(
            f"{file:36} {of_file.total():6} {of_file['refused']:8} {of_file['accepted']:9} "
            f"{of_file['fault']:7}"
        )
        if of_file is not total:
            total += of_file
    sys.exit(bool(faults))


if __name__ == "__main__":
    main(tyro.cli(Settings))
