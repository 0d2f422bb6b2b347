"""Ctrl-C and SIGTERM end a stage at any moment with one line, and nothing is left behind.

The imports of a stage take seconds, so the packages install the handlers before anything else, if
they are imported for a command (``python -m``). The process then ends at once. An exception would
run through whatever library works just then, which may swallow it, wrap it or print a traceback,
and JAX's threads crash while an interpreter is taken down.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

# Exit status by signal: 128 and its number.
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
# Files and folders that are being written; they go if the process is ended.
temporaries: set[Path] = set()
SENTENCE = b"interrupted: run the same command again to go on.\n"
# Where Linux keeps named semaphores.
SEMAPHORES = Path("/dev/shm")
ROUNDS = 5
SHOW_CURSOR = b"\r\x1b[?25h\n"


def install_for_commands() -> None:
    """Install the handlers if this process begins as ``python -m``, which imports packages first.

    No import of the packages by another program changes how that program handles signals.
    """
    if sys.argv[:1] == ["-m"]:
        for number in STATUS:
            signal.signal(number, _end)


@contextmanager
def held() -> Iterator[None]:
    """Within this, Ctrl-C waits; processes that are started within never see it.

    A terminal sends it to all processes of a command, but only the first is to answer.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _end(number: int, frame: FrameType | None) -> None:
    for other in STATUS:
        signal.signal(other, signal.SIG_IGN)
    _end_workers()
    for path in tuple(temporaries):
        with suppress(OSError):
            path.unlink() if not path.is_dir() else shutil.rmtree(path, ignore_errors=True)
    with suppress(Exception):  # it may be in use just now
        sys.stdout.flush()
    with suppress(OSError):
        os.write(2, SHOW_CURSOR * os.isatty(2) + SENTENCE)
    os._exit(STATUS[signal.Signals(number)])


def _end_workers() -> None:
    """End the processes that this one has started, wait until they are gone, and tidy up for them.

    joblib's own tracker is among them; it would name the semaphores that nobody has given back.
    """
    for _ in range(ROUNDS):  # one may be starting another just now
        children = _children()
        for child in children:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with suppress(OSError):
                os.waitpid(child, 0)
        if not children:
            break
    for left in SEMAPHORES.glob(f"sem.loky-{os.getpid()}-*"):
        with suppress(OSError):
            left.unlink()


def _children() -> list[int]:
    """Numbers of the processes that this one has started."""
    own, found = str(os.getpid()), []
    with suppress(OSError):
        for folder in Path("/proc").iterdir():
            with suppress(OSError):  # it has ended meanwhile
                if folder.name.isdecimal():
                    # After the program's name, in brackets: state and number of the parent.
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    if fields[1] == own:
                        found.append(int(folder.name))
        return found
    # Where the system lists none, those that Python knows.
    module = sys.modules.get("multiprocessing.process")
    return [child.pid for child in module.active_children()] if module else []
