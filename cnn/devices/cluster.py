"""Several processes that train as one: how they meet, and who writes.

All processes hold the images and draw the same batches. The first process alone writes files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from features.run.files import UserError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cluster:
    """Several processes, on one machine or many, that train as one."""

    coordinator: str | None = None
    """host:port of the first process, the same for all; without it this process is alone. The run
    folder must be one that all processes see."""
    processes: int = 1
    """Number of processes."""
    process: int = 0
    """Number of this one, from 0."""

    def join(self) -> None:
        """Wait until all processes are there.

        Raises
        ------
        UserError
            If the numbers do not fit, or the others do not come.
        """
        if not 0 <= self.process < self.processes:
            raise UserError(
                f"--cluster.process is {self.process}, but must be from 0 to "
                f"{self.processes - 1}, one less than --cluster.processes."
            )
        if self.coordinator is None:
            if self.processes > 1:
                raise UserError("--cluster.processes: give --cluster.coordinator host:port too.")
            return
        host, _, port = self.coordinator.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 2**16):
            raise UserError(
                f"--cluster.coordinator {self.coordinator}: must be host:port, the port from 1 to "
                f"{2**16 - 1}; give the first process's, for instance 10.0.0.1:1234."
            )
        try:
            jax.distributed.initialize(self.coordinator, self.processes, self.process)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"--cluster.coordinator {self.coordinator}: {self.processes} processes did not "
                f"come together ({str(error).splitlines()[0]}); start all with the same "
                "coordinator and number."
            ) from error
        # The first exchange waits for half a minute only, so it comes before any work.
        from_each_process(True)


def is_first_process() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def first_process_first(work: Callable[[], Result]) -> Result:
    """Do work that writes files: the first process before the others, which then find the files.

    Returns
    -------
    What `work` returns, in every process.

    Raises
    ------
    UserError
        If another process failed; the process that failed raises what `work` raised.
    """
    results: list[Result] = []
    for is_first_turn in (True, False):
        fault = None
        try:
            if is_first_process() == is_first_turn:
                results.append(work())
        except Exception as error:  # whatever it is, the others must not wait
            fault = error
        failed = from_each_process(fault is not None)
        if fault is not None:
            raise fault
        if any(failed):
            raise UserError(
                f"process {failed.index(True)} of the cluster ended with an error, which it "
                "prints; repair that and start all processes again."
            )
    return results[0]


def from_each_process(value: bool) -> list[bool]:
    """The value of each process, known to every process."""
    return multihost_utils.process_allgather(np.array(value)).tolist()
