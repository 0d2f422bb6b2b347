"""A Dask worker is killed amid each stage: ``python -m tests.benchmarks.lost_workers``.

Each stage that a cluster can do goes through a small run of phantoms twice: in this machine's own
processes, and on two workers of which one is killed by SIGKILL while it computes. The files of the
stage must be the same byte for byte. It takes about three minutes on two cores.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from distributed import Client, LocalCluster

from features.run import command
from tests.benchmarks import stages

# Stages that take --scheduler.
ON_CLUSTER = (
    "features.dataset.read",
    "features.measure",
    "features.one_pass",
    "baseline.evidence_map.train",
    "baseline.classifier.train",
    "cnn.training.train",
    "cnn.prediction.predict",
    "cnn.gate.evaluate",
    "cnn.submission.write",
)
LAST = list(stages.STAGES).index("cnn.submission.write")
# Seconds to wait for a worker to begin.
PATIENCE = 60.0


@dataclass(frozen=True)
class Settings:
    """Kill a worker of a cluster amid each stage."""

    images: int = 40
    """Training phantoms; there are a quarter as many test phantoms."""


def killed_while_computing(cluster: LocalCluster, process: subprocess.Popen[bytes]) -> bool:
    """Kill the first worker that computes; False if the stage ended before one did."""
    pids = {worker.worker_address: worker.pid for worker in cluster.workers.values()}
    deadline = time.monotonic() + PATIENCE
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            for address, tasks in client.processing().items():
                if tasks and address in pids:
                    os.kill(pids[address], signal.SIGKILL)
                    return True
            time.sleep(0.01)
    return False


def main(settings: Settings) -> None:
    """Print what came of each stage; status 1 if a file differs."""
    faults = 0
    with tempfile.TemporaryDirectory(prefix="lost-workers-") as name:
        folder = Path(name)
        data = folder / "data"
        stages.draw_phantoms(data, settings.images, settings.images // 4)
        alone, spread = folder / "alone" / "run", folder / "spread" / "run"
        for stage in list(stages.STAGES)[1 : LAST + 1]:
            if stage in ON_CLUSTER:
                shutil.rmtree(spread, ignore_errors=True)
                if alone.exists():
                    shutil.copytree(alone, spread)
            words = stages.command(stage, RUN=alone, DATA=data)
            subprocess.run(words, check=True, env=stages.environment(), capture_output=True)
            if stage not in ON_CLUSTER:
                continue
            faults += not _same_on_cluster(stage, alone, spread, data)
    sys.exit(bool(faults))


def _same_on_cluster(stage: str, alone: Path, spread: Path, data: Path) -> bool:
    """Whether a stage on a cluster that loses a worker writes the files that it wrote alone."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        words = stages.command(stage, RUN=spread, DATA=data)
        process = subprocess.Popen(
            [*words, "--scheduler", cluster.scheduler_address],
            env=stages.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        was_killed = killed_while_computing(cluster, process)
        _, printed = process.communicate()
    changed = stages.different(alone, spread) if process.returncode == 0 else ["(it failed)"]
    result = "the same files" if not changed else f"differ: {', '.join(changed)}"
    print(f"{stage}: a worker killed: {'yes' if was_killed else 'NO'}; {result}", flush=True)
    if process.returncode:
        print(printed.decode(errors="replace")[-500:])
    return was_killed and not changed


if __name__ == "__main__":
    command.run(main, writes=False)
