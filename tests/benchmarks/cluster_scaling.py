"""How far a Dask cluster carries: ``python -m tests.benchmarks.cluster_scaling RUN``.

The client and the scheduler are real and run on this machine. The workers do not compute: each
reads an image over a file system that all share, waits as long as the work on such an image was
measured to take here on one core, and hands on a result of the real size. So more workers than this
machine has cores can be tried, and what is measured is what a cluster adds: the client, which takes
every result (but does not write it here), the scheduler, and the file system.

The speed-up of W workers is their images a second, divided by those of one worker that waits for
nothing. The knee is the number of workers from which on each does less than 80% of that.
"""

import fcntl
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from distributed import LocalCluster
from distributed.protocol import serialize
from distributed.utils import nbytes

from cnn.gate import scored_images
from cnn.gate.runs import together
from cnn.gate.sources import SourceMaps, inputs_of
from features.dataset.quarantine import _study_or_reason
from features.measuring.one_image import items_of, measure_image
from features.run import command, parallel
from features.run.folder import RunFolder, measured

# Share of a linear speed-up below which the cluster counts as used up.
LEAST = 0.8
# Images a second for which a run is laid out at most.
FASTEST = 500.0


@dataclass(frozen=True)
class Settings:
    """Print how many images a second clusters of several sizes get done."""

    run: tyro.conf.Positional[Path]
    """Finished run folder, whose images are measured."""
    images: int = 40
    """Images whose work is measured."""
    workers: tuple[int, ...] = (1, 4, 16, 64)
    """Sizes of the clusters."""
    bandwidths: tuple[float, ...] = (1000.0, 100.0)
    """Megabytes a second of the shared file system."""
    seconds: float = 8.0
    """How long each cluster shall have work, about."""
    processes: int = 8
    """Processes at most that the workers are threads of; a waiting worker needs none of its own."""


@dataclass(frozen=True)
class Work:
    """What a stage does for one image, as it was measured here.

    Parameters
    ----------
    seconds : (n,) array
        Of one core, for each image.
    read, sent, result : int
        Mean bytes that a worker reads of the file system, gets with its task, and hands on.
    """

    seconds: np.ndarray
    read: int
    sent: int
    result: int


@dataclass(frozen=True)
class Task:
    """One image of the simulation.

    Parameters
    ----------
    seconds : float
    read, result : int
        Bytes.
    bandwidth : float
        Bytes a second of the file system.
    wire : str
        File whose lock is the file system: who holds it, reads.
    sent : bytes
    """

    seconds: float
    read: int
    result: int
    bandwidth: float
    wire: str
    sent: bytes


def wait(task: Task) -> bytes:
    """Take as long as the work on an image, and hand on as much."""
    with Path(task.wire).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        time.sleep(task.read / task.bandwidth)
    time.sleep(task.seconds)
    return bytes(task.result)


def stages(
    run: RunFolder, count: int
) -> dict[str, tuple[Callable[[Any], Any], list[Any], list[Path]]]:
    """Function of each stage that goes through images, what it gets, and the files it reads."""
    rows = measured(run.dataset.read()).head(count)
    maps = SourceMaps(together(run, ())).images(scored_images.labelled(run).head(count))
    paths = [Path(path) for path in rows["path"]]
    return {
        "dataset": (_study_or_reason, paths, paths),
        "measure": (measure_image, items_of(rows), paths),
        "gate": (inputs_of, list(maps), []),
    }


def measure(function: Callable[[Any], Any], items: list[Any], paths: list[Path]) -> Work:
    """Do the work on some images here, on one core."""
    results, seconds = [], []
    function(items[0])  # what is compiled or read once
    for item in items:
        began = time.perf_counter()
        results.append(function(item))
        seconds.append(time.perf_counter() - began)
    return Work(
        np.array(seconds),
        int(np.mean([path.stat().st_size for path in paths])) if paths else 0,
        _bytes(items),
        _bytes(results),
    )


def _bytes(values: list[Any]) -> int:
    """Mean bytes of one as Dask sends it."""
    return int(np.mean([sum(map(nbytes, serialize(value)[1])) for value in values]))


def tasks(work: Work, count: int, bandwidth: float, wire: Path) -> Iterator[Task]:
    """So many images, whose work takes what that of the measured ones took, in turn."""
    for number in range(count):
        seconds = float(work.seconds[number % len(work.seconds)])
        yield Task(seconds, work.read, work.result, bandwidth * 1e6, str(wire), bytes(work.sent))


def rate(work: Work, workers: int, bandwidth: float, settings: Settings) -> float:
    """Images a second that a cluster gets done once it has begun."""
    # As many for each worker as it would get of a large dataset at least.
    least = workers * parallel.PARTS_A_WORKER * parallel.MOST_AT_ONCE
    mean = float(work.seconds.mean()) + work.read / bandwidth / 1e6
    count = max(int(settings.seconds * min(workers / mean, FASTEST)), least)
    processes = min(workers, settings.processes)
    with (
        tempfile.NamedTemporaryFile(prefix="file-system-") as wire,
        LocalCluster(
            n_workers=processes,
            threads_per_worker=workers // processes,
            dashboard_address=":0",
            worker_dashboard_address=":0",
        ) as cluster,
    ):
        address = cluster.scheduler_address
        list(
            parallel.stream(
                wait,
                tasks(work, 2 * workers, 1e6, Path(wire.name)),
                "warming up",
                scheduler=address,
                count=2 * workers,
            )
        )
        began = time.perf_counter()
        items = tasks(work, count, bandwidth, Path(wire.name))
        results = parallel.stream(wait, items, f"{workers} workers", scheduler=address, count=count)
        for _ in results:
            pass
        return count / (time.perf_counter() - began)


def main(settings: Settings) -> None:
    """Print a table of each stage."""
    run = RunFolder(settings.run).check()
    for stage, (function, items, paths) in stages(run, settings.images).items():
        work = measure(function, items, paths)
        alone = 1 / float(work.seconds.mean())
        print(
            f"\n{stage}: {1000 / alone:.1f} ms of one core an image, of which it reads "
            f"{work.read / 1e6:.2f} MB, gets {work.sent / 1e6:.2f} MB and hands on "
            f"{work.result / 1e6:.2f} MB\n",
            flush=True,
        )
        print("| file system, MB/s | workers | images a second | speed-up | of linear |")
        print("|---|---|---|---|---|", flush=True)
        for bandwidth in settings.bandwidths:
            knee = None
            for workers in settings.workers:
                speed_up = rate(work, workers, bandwidth, settings) / alone
                share = speed_up / workers
                knee = knee or (workers if share < LEAST else None)
                print(
                    f"| {bandwidth:,.0f} | {workers} | {speed_up * alone:,.1f} | {speed_up:.1f} | "
                    f"{share:.2f} |",
                    flush=True,
                )
            reached = f"at {knee} workers" if knee else f"beyond {max(settings.workers)} workers"
            print(f"| {bandwidth:,.0f} | knee {reached} | | | |", flush=True)


if __name__ == "__main__":
    command.run(main, writes=False)
