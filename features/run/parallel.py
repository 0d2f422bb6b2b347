"""Work spread over all cores or a Dask cluster, results in order, with a progress bar.

Items are taken as workers become free and only a few results wait, so that memory does not grow
with the number of items, whatever they are made from.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from joblib.externals.loky import get_reusable_executor

from features.run import interrupts
from features.run.command import progress
from features.run.files import UserError

Result = TypeVar("Result")

# Seconds to wait for a scheduler, and for its first worker.
PATIENCE = 20
# Items a worker that wait, done or to be done.
AHEAD = 4
# Most items that a cluster's worker gets at once, since to hand over takes milliseconds; with as
# many parts for each worker as these, none waits long for another's last one.
MOST_AT_ONCE, PARTS_A_WORKER = 8, 16
# Below this many images starting the processes takes longer than most work on them.
FEW = 300
# Seconds after which a process that got nothing to do ends.
IDLE = 300
# What tells the libraries that a worker uses how many threads to take.
THREADS = tuple(
    f"{library}_NUM_THREADS"
    for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB", "NUMBA", "NUMEXPR")
)


def cores() -> int:
    """Number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def stream(
    function: Callable[..., Result],
    items: Iterable[Any],
    what: str,
    jobs: int = -1,
    scheduler: str | None = None,
    unit: str = "images",
    count: int | None = None,
    least: int = 2,
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for every item, in order, computed by worker processes.

    Parameters
    ----------
    function : callable
        A module-level function.
    items : iterable
        Its arguments, one a call.
    what : str
        Name of the work on the progress bar.
    jobs : int
        Processes; -1 for one a core, 1 to stay in this process.
    scheduler : str, optional
        Address of a running Dask scheduler, whose workers then do the work instead.
    unit : str
        What an item is called on the progress bar.
    count : int, optional
        Number of items, if they have no length.
    least : int
        Fewer items than these stay in this process, unless a scheduler is given.

    Raises
    ------
    UserError
        If the scheduler does not answer or has no worker.
    """
    if count is None:
        items = items if isinstance(items, Sequence) else list(items)
        count = len(items)
    jobs = min(cores() if jobs == -1 else jobs, count) if count >= least else 1
    results = (
        _on_cluster(function, iter(items), count, scheduler)
        if scheduler
        else _on_cores(function, iter(items), jobs)
    )
    yield from progress(results, what, count, unit)


def _on_cores(function: Callable[..., Result], items: Iterator[Any], jobs: int) -> Iterator[Result]:
    if jobs < 2:
        yield from map(function, items)
        return
    # The first item here, so that code compiled at first use is compiled once, not by each worker.
    first, second = function(next(items)), next(items)
    # It ends with signals let through, on Python before 3.12, so it begins before they are held.
    resource_tracker.ensure_running()
    limits = {name: str(_threads(os.environ.get(name, ""), jobs)) for name in THREADS}
    with interrupts.held():  # the workers begin within
        executor = get_reusable_executor(jobs, timeout=IDLE, env=limits)
        begun = executor.submit(function, second)
    yield first
    yield from _in_order(lambda item: executor.submit(function, item), begun, items, AHEAD * jobs)


def _threads(given: str, jobs: int) -> int:
    """Threads of each worker: the cores shared among all, or fewer where a user gives fewer."""
    share = max(cores() // jobs, 1)
    return min(int(given), share) if given.isdecimal() and int(given) else share


def _in_order(
    submit: Callable[[Any], Any], begun: Any, items: Iterator[Any], ahead: int
) -> Iterator[Any]:
    """Results in order, the one that has begun first; as many as `ahead` are under way."""
    waiting = deque([begun])
    try:
        for item in items:
            waiting.append(submit(item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # nobody wants them any more
        for future in waiting:
            future.cancel()


def _on_cluster(
    function: Callable[..., Result], items: Iterator[Any], count: int, scheduler: str
) -> Iterator[Result]:
    """The same on a Dask cluster; what a lost worker held is computed again by another."""
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise UserError(
            f"scheduler = {scheduler}: dask.distributed is missing; pip install distributed."
        ) from None
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(
            f"scheduler = {scheduler}: no Dask scheduler answers there; start one with `dask "
            "scheduler` and give the address it prints."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UserError(
                f"scheduler = {scheduler}: it has no worker; start some with `dask worker "
                f"{scheduler} --nthreads 1`, where the project and the images are found."
            ) from None
        workers = sum(client.nthreads().values())
        at_once = min(max(count // (workers * PARTS_A_WORKER), 1), MOST_AT_ONCE)
        ahead = max(AHEAD // at_once, 2) * workers
        parts = iter(lambda: list(islice(items, at_once)), [])

        def submit(part: list[Any]) -> Any:
            return client.submit(_each, function, part, pure=False)

        for first in parts:
            for results in _in_order(submit, submit(first), parts, ahead):
                yield from results


def _each(function: Callable[..., Result], items: list[Any]) -> list[Result]:
    return [function(item) for item in items]
