"""Work spread over all cores or a Dask cluster, results in order, with a progress bar."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from joblib import Parallel, delayed

from features.run import interrupts
from features.run.command import progress
from features.run.files import UserError

Result = TypeVar("Result")

# Seconds to wait for a scheduler, and for its first worker.
PATIENCE = 20


def cores() -> int:
    """Number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def stream(
    function: Callable[..., Result],
    items: Sequence[Any],
    what: str,
    jobs: int = -1,
    scheduler: str | None = None,
    unit: str = "images",
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in order, computed by worker processes.

    What is not taken at once waits in memory: results must be taken as fast as they come. On a
    cluster only a few wait.

    Parameters
    ----------
    function : callable
        A module-level function.
    items : sequence
        Its arguments, one a call.
    what : str
        Name of the work on the progress bar.
    jobs : int
        Processes; -1 for one a core, 1 to stay in this process.
    scheduler : str, optional
        Address of a running Dask scheduler, whose workers then do the work instead.
    unit : str
        What an item is called on the progress bar.

    Raises
    ------
    UserError
        If the scheduler does not answer or has no worker.
    """
    results = (
        _on_cluster(function, items, scheduler) if scheduler else _on_cores(function, items, jobs)
    )
    yield from progress(results, what, len(items), unit)


def _on_cores(function: Callable[..., Result], items: Sequence[Any], jobs: int) -> Iterable[Result]:
    jobs = cores() if jobs == -1 else jobs
    if jobs == 1 or len(items) < 2:
        return map(function, items)
    # The workers share the cores' threads among them.
    workers = Parallel(n_jobs=jobs, return_as="generator", max_nbytes=None)
    rest = (delayed(function)(item) for item in items[1:])
    # The first item here, so that code compiled at first use is compiled once, not by each worker.
    first = function(items[0])
    # It ends with signals let through, on Python before 3.12, so it begins before they are held.
    resource_tracker.ensure_running()
    with interrupts.held():  # the workers begin within
        results = workers(rest)
    return chain([first], results)


def _on_cluster(
    function: Callable[..., Result], items: Sequence[Any], scheduler: str
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
        ahead = 4 * sum(client.nthreads().values())
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(client.submit(function, item, pure=False))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
