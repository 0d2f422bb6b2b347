"""One thread that answers one X-ray after another: a predictor serves one caller at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Worker:
    """A queue before one thread.

    Parameters
    ----------
    patience : float
        Seconds that a caller waits for its result.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, "answering")

    async def do(self, task: Callable[[], Result]) -> Result:
        """The result of a task, once it is its turn.

        Raises
        ------
        TimeoutError
            If that takes too long. A task that has not begun is dropped; one that has is ended by
            nothing, so those behind it wait for it.
        """
        future = self._thread.submit(task)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._patience)
        finally:
            future.cancel()

    def close(self) -> None:
        """Take no more tasks, and drop those that wait."""
        self._thread.shutdown(wait=True, cancel_futures=True)
