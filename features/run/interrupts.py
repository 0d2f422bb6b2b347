"""Ctrl-C and SIGTERM end a stage at any moment with one line, and nothing is left behind.

The imports of a stage take seconds, so the packages install the handlers before anything else, if
they are imported for a command (``python -m``). The process then ends at once. An exception would
run through whatever library works just then, which may swallow it, wrap it or print a traceback,
and JAX's threads crash while an interpreter is taken down.

So that the handlers stand early, this module imports nothing that takes long: what comes before is
the interpreter's own start. Once a stage is done, signals are ignored, since an interpreter that is
taken down answers none.
"""

# pathlib takes longer to import than all of this.
# ruff: noqa: PTH106, PTH108, PTH112, PTH119, PTH123, PTH208
import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # that of typing takes long too
if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

# Exit status by signal: 128 and its number.
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
# Files and folders that are being written; they go if the process is ended.
temporaries: "set[Path | str]" = set()
SENTENCE = b"interrupted: run the same command again to go on.\n"
# Where Linux keeps named semaphores and joblib what its workers share, by names of these forms.
SHARED = "/dev/shm"
OF_WORKERS = ("sem.loky-{}-", "joblib_memmapping_folder_{}_")
ROUNDS = 5
# Modules with a process that gives back what dead processes held.
TRACKERS = ("multiprocessing.resource_tracker", "joblib.externals.loky.backend.resource_tracker")
# The name of a process that imports: the interpreter's for ``python -m``, and our script's.
COMMANDS = ("-m", "pneumothorax")
SHOW_CURSOR = b"\r\x1b[?25h\n"


def is_command() -> bool:
    """Whether this process begins as ``python -m`` or as our console script."""
    return bool(sys.argv) and os.path.basename(sys.argv[0]) in COMMANDS


def install_for_commands() -> None:
    """Install the handlers if this process is a command.

    No import of the packages by another program changes how that program handles signals.
    """
    if is_command() and signal.getsignal(signal.SIGTERM) is not _end:
        for number in STATUS:
            signal.signal(number, _end)
        atexit.register(_ignore)  # the first to be registered is the last to be called


def leave_to_the_server() -> None:
    """From here on Ctrl-C and SIGTERM are a server's, which ends in peace by itself.

    It hands a signal on once it has ended, which must not be said to be an interrupt then.
    """
    for number in STATUS:
        signal.signal(number, lambda number, frame: None)


def _ignore() -> None:
    for number in STATUS:
        signal.signal(number, signal.SIG_IGN)


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


def _end(number: int, frame: "FrameType | None") -> None:
    _ignore()
    errors = _silence()
    _start_no_tracker()
    _end_workers()
    for path in tuple(temporaries):
        _remove(str(path))
    with suppress(Exception):  # it may be in use just now
        sys.stdout.flush()
    with suppress(OSError):
        os.write(errors, SHOW_CURSOR * os.isatty(errors) + SENTENCE)
    os._exit(STATUS[signal.Signals(number)])


def _silence() -> int:
    """Let nothing more of this process be seen, and return where errors went until now.

    Its other threads go on meanwhile, and joblib's complain of processes that are gone.
    """
    try:
        errors = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
    except OSError:  # no stderr, or no file may be opened
        return 2
    return errors


def _start_no_tracker() -> None:
    """Let no thread start a tracker of semaphores anew because the former one is gone."""
    for name in TRACKERS:
        if (module := sys.modules.get(name)) is not None:
            module._resource_tracker.ensure_running = lambda: None


def _end_workers() -> None:
    """End the processes that this one has started, wait until they are gone, and tidy up for them.

    joblib's own tracker is among them; it would name the semaphores that nobody has given back.
    """
    for _ in range(ROUNDS):  # one may be starting another just now
        children = _children()
        # First none of them goes on, or the last would complain that the first are gone.
        for number, until in ((signal.SIGSTOP, os.WUNTRACED), (signal.SIGKILL, 0)):
            for child in children:
                with suppress(OSError):
                    os.kill(child, number)
            for child in children:
                with suppress(OSError):
                    os.waitpid(child, until)
        if not children:
            break
    forms = tuple(form.format(os.getpid()) for form in OF_WORKERS)
    with suppress(OSError):
        for name in os.listdir(SHARED):
            if name.startswith(forms):
                _remove(f"{SHARED}/{name}")


def _remove(path: str) -> None:
    """Remove a file, or a folder with all that is in it."""
    for folder, folders, names in os.walk(path, topdown=False):
        for name in names:
            with suppress(OSError):
                os.unlink(f"{folder}/{name}")
        for name in folders:
            with suppress(OSError):
                os.rmdir(f"{folder}/{name}")
    with suppress(OSError):
        os.unlink(path) if not os.path.isdir(path) else os.rmdir(path)


def _children() -> list[int]:
    """Numbers of the processes that this one has started."""
    own, found = str(os.getpid()), []
    with suppress(OSError):
        for name in os.listdir("/proc"):
            with suppress(OSError):  # it has ended meanwhile
                if name.isdecimal():
                    # After the program's name, in brackets: state and number of the parent.
                    with open(f"/proc/{name}/stat", "rb") as file:
                        fields = file.read().rpartition(b")")[2].split()
                    if fields[1].decode() == own:
                        found.append(int(name))
        return found
    # Where the system lists none, those that Python knows.
    module = sys.modules.get("multiprocessing.process")
    return [child.pid for child in module.active_children()] if module else []
