"""Time of the audit by two checkouts on the same run, in turns, as a ratio.

``python tests/benchmarks/audit_speed.py <run> <data> <other checkout> [images] [rounds]``: the run
has dataset.parquet of <data>; 300 images and 3 rounds unless given. Each audit is a process of its
own, with its workers; counted are the time by the clock, and the processor time of all of them,
which another load of the machine changes less. Nothing of the run is changed: the audit is made in
a copy of its tables. The other checkout's code runs with its own ``.venv`` if it has one.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from arguments import arguments_or_help

TABLES = ("dataset.parquet", "quarantine.csv", "sample.csv", "format.json")
# Loky's workers are no children that are waited for; in this process they would not be counted.
AUDIT = """
import os, resource, sys
from pathlib import Path
from baseline.audit import write
from joblib.externals.loky import get_reusable_executor
write.audit(write.Settings(Path(sys.argv[1]), Path(sys.argv[2]), limit=int(sys.argv[3])))
get_reusable_executor().shutdown(wait=True)
own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print("seconds", sum(use.ru_utime + use.ru_stime for use in (own, workers)))
"""


def audit(checkout: Path, run: Path, data: Path, images: int) -> tuple[float, float]:
    """Seconds by the clock and of the processors."""
    own = checkout / ".venv" / "bin" / "python"
    start = time.monotonic()
    done = subprocess.run(
        [own if own.exists() else sys.executable, "-c", AUDIT, run, data, str(images)],
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    elapsed = time.monotonic() - start
    if done.returncode or "seconds" not in done.stdout:
        sys.exit(done.stderr)
    return elapsed, float(done.stdout.rsplit("seconds", 1)[1])


def main(run: str, data: str, other: str, images: str = "300", rounds: str = "3") -> None:
    """Print both times, and the ratios round by round."""
    checkouts = {"this": Path.cwd(), "other": Path(other).resolve()}
    with tempfile.TemporaryDirectory() as folder:
        for name in TABLES:
            if (Path(run) / name).exists():
                shutil.copy(Path(run) / name, folder)
        turns = [
            {
                name: audit(at, Path(folder), Path(data).resolve(), int(images))
                for name, at in checkouts.items()
            }
            for _ in range(int(rounds))
        ]
    for which, what in enumerate(("by the clock", "of the processors")):
        ratios = sorted(turn["this"][which] / turn["other"][which] for turn in turns)
        here, there = (median(turn[name][which] for turn in turns) for name in checkouts)
        print(
            f"{images} images, seconds {what}: {here:.1f} here, {there:.1f} there; ratio "
            f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main(*arguments_or_help(__doc__ or "", 3))
