"""One writer at a time in a run folder: a make with all its stages, or a stage called by itself.

`RUN/.lock` names the process that writes there: make, which says so in PNEUMOTHORAX_MAKE together
with its run folder, or else the stage itself. The file is looked at and changed under a lock of the
system's, so that of two that begin together only one goes on. A process that has ended holds
nothing, however it ended. A folder that cannot be written, or a file system without locks, is not
guarded.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.run import processes
from features.run.files import UserError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

MAKE = "PNEUMOTHORAX_MAKE"
# Seconds between two looks at a folder in which another stage writes.
PAUSE = 0.5


@contextmanager
def held(root: Path, create: bool = False) -> Iterator[None]:
    """Hold a run folder while its files are written; wait while another stage holds it.

    Parameters
    ----------
    root : Path
        The run folder.
    create : bool
        Make it first if it is not there, so that of two that begin it together one has to wait; it
        goes again if nothing is written into it. Otherwise a folder that is not there is not held.

    Raises
    ------
    UserError
        If a make holds it, which may take hours.
    """
    made = False
    if create and not root.exists():
        with suppress(OSError):  # of which a writer says more
            root.mkdir(parents=True)
            made = True
    if fcntl is None or not root.is_dir():
        yield
        return
    path, mine = root / ".lock", _mine(root)
    told = False
    while other := _take(path, mine):
        number, kind = other
        if kind == "make":
            raise UserError(
                f"{root}: a make (process {number}) is writing into this run folder; wait until it "
                "has ended, and run the same command again."
            )
        if not told:
            print(f"{root}: waiting for process {number}, which writes there", file=sys.stderr)
        told = True
        time.sleep(PAUSE)
    try:
        yield
    finally:
        with suppress(OSError):
            is_empty = made and list(root.iterdir()) == [path]
            if mine[1] == "stage" or is_empty:
                path.unlink()
            if is_empty:
                root.rmdir()


def _mine(root: Path) -> tuple[int, str]:
    """Number and kind of the process that holds the folder for this one."""
    number, _, of_make = os.environ.get(MAKE, "").partition(" ")
    if number.isdecimal() and Path(of_make).absolute() == root.absolute():
        return int(number), "make"
    return os.getpid(), "stage"


def _take(path: Path, mine: tuple[int, str]) -> tuple[int, str] | None:
    """Note who holds the folder; or number and kind of the living process that holds it already."""
    try:
        with path.open("a+", encoding="ascii", errors="replace") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return _take(path, mine)  # it was removed meanwhile
            file.seek(0)
            match file.read(200).split():
                case [place, number, started, kind] if (
                    place == processes.here()
                    and number.isdecimal()
                    and int(number) != mine[0]
                    and started == processes.started(int(number))
                ):
                    return int(number), kind
            file.truncate(0)
            file.write(f"{processes.here()} {mine[0]} {processes.started(mine[0])} {mine[1]}\n")
    except OSError:
        pass
    return None
