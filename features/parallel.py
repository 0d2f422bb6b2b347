"""Work spread over all cores, results in order, with a progress bar."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from joblib import Parallel, delayed

from features.command import progress

Result = TypeVar("Result")


def cores() -> int:
    """Number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def stream(
    function: Callable[..., Result], items: Sequence[Any], what: str, jobs: int = -1
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in order, computed by worker processes.

    Only a few results wait in memory at a time, so memory does not grow with the number of items.

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
    """
    jobs = cores() if jobs == -1 else jobs
    results: Iterable[Result]
    if jobs == 1 or len(items) < 2:
        results = map(function, items)
    else:
        # One thread in each worker: the cores are already taken by the other workers.
        workers = Parallel(n_jobs=jobs, return_as="generator", max_nbytes=None)
        rest = (delayed(function)(item) for item in items[1:])
        # The first here, so that code compiled at first use is compiled once and not by each.
        results = chain([function(items[0])], workers(rest))
    yield from progress(results, what, total=len(items))
