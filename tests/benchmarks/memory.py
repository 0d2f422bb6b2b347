"""Run a command and print how long it took and how much memory it and its children held at most.

Memory is the sum of proportional set sizes over the process tree (pages that several processes
share count once), sampled twice a second; Linux only.

    .venv/bin/python tests/benchmarks/memory.py make demo
"""

import subprocess
import sys
import time
from pathlib import Path

from arguments import arguments_or_help


def children(pid: int) -> list[int]:
    """Process ids of a process and all that descend from it."""
    pids = [pid]
    for parent in pids:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it has ended meanwhile
    return pids


def proportional_set_size(pid: int) -> int:
    """Memory of a process in kB, shared pages divided by their users."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def peak_of(command: list[str]) -> tuple[int, float, float]:
    """Run a command; its exit status, seconds, and peak memory in GiB."""
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        peak = max(peak, sum(proportional_set_size(pid) for pid in children(process.pid)))
        time.sleep(0.5)
    return process.returncode, time.monotonic() - began, peak / 2**20


def main(command: list[str]) -> int:
    """Run the command, print time and peak memory, and return its exit status."""
    status, seconds, peak = peak_of(command)
    print(f"{seconds / 60:.1f} minutes, peak memory {peak:.2f} GiB: {' '.join(command)}")
    return status


if __name__ == "__main__":
    sys.exit(main(arguments_or_help(__doc__)))
