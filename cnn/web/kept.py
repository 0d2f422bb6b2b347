"""Answers that can be looked at for a while, in memory alone."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from cnn.page.shown import Shown


class Kept:
    """Shown studies by a name that nobody can guess; the oldest go first.

    Parameters
    ----------
    seconds : float
        For which each is kept.
    count : int
        How many are.
    clock : callable
        Seconds from any beginning.
    """

    def __init__(
        self, seconds: float, count: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._count, self._clock = seconds, count, clock
        self._studies: OrderedDict[str, tuple[float, Shown]] = OrderedDict()

    def add(self, shown: Shown) -> str:
        """Keep a study, and return its name."""
        name = secrets.token_urlsafe(16)
        self._studies[name] = self._clock() + self._seconds, shown
        self.sweep()
        return name

    def get(self, name: str) -> Shown | None:
        """A study; None if there is none of this name any more."""
        self.sweep()
        found = self._studies.get(name)
        return None if found is None else found[1]

    def remove(self, name: str) -> bool:
        """Forget a study at once; whether it was there."""
        return self._studies.pop(name, None) is not None

    def sweep(self) -> int:
        """Forget what is too old or too much, and return how many are left."""
        while self._studies:
            until, _ = next(iter(self._studies.values()))
            if until > self._clock() and len(self._studies) <= self._count:
                break
            self._studies.popitem(last=False)
        return len(self._studies)
