"""The command line of a stage: settings from a frozen dataclass, errors in one sentence, progress.

`python -m <module> --help` is made by tyro from the dataclass that the module's `main` takes.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_type_hints

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from features.run import lock, manifest
from features.run.files import UserError, refusal, unusable, unwritable
from features.run.version import VERSION

Item = TypeVar("Item")


def run(main: Callable[[Any], None], writes: bool = True, creates: bool = False) -> None:
    """Parse the command line into the settings that `main` takes, and call it.

    `--version` prints the toolkit's version instead.

    A `UserError` is printed as its one sentence and ends the process with status 2, as does a file
    that the system does not let us use, and a disk that takes no more, whoever was writing. An
    interrupt (Ctrl-C) ends it with 130. Any other exception is a fault of ours and keeps its
    traceback.

    Parameters
    ----------
    main : callable
        It takes a frozen dataclass of settings. If that has a `run`, the folder is held while
        `main` works, see `features.run.lock`.
    writes : bool
        Whether it writes into the run folder.
    creates : bool
        Whether it may begin a run folder.
    """
    _print_any_character()
    hints = [
        kind for name, kind in get_type_hints(main, include_extras=True).items() if name != "return"
    ]
    if "--version" in sys.argv[1:]:
        print(f"pneumothorax-reasons {VERSION}")
        return
    description = sys.modules[main.__module__].__doc__ or ""
    settings = tyro.cli(hints[0], description=f"{description}\n--version prints the version.")
    try:
        _check(settings)
        with _run_folder(settings, creates) if writes else nullcontext():
            main(settings)
        sys.stdout.flush()
    except UserError as error:
        _fail(error)
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # of `| head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except MemoryError:
        _fail(UserError("out of memory: give fewer --jobs, or more memory."))
    except Exception as error:
        words = refusal(error)
        if words is not None:
            _fail(unwritable(getattr(error, "filename", None) or "a file", words))
        if isinstance(error, OSError) and (error.filename or error.filename2):
            _fail(unusable(error))
        for root in _run_folders(settings):
            if damaged := manifest.changed(root):
                _fail(damaged)
        raise


@contextmanager
def _run_folder(settings: Any, creates: bool) -> Iterator[None]:
    """Hold the run folder that a stage writes into, and note what it has written there."""
    root = getattr(settings, "run", None)
    # Processes that train as one hold the folder by the first of them.
    is_further = getattr(getattr(settings, "cluster", None), "process", 0) > 0
    if not isinstance(root, Path) or is_further:
        yield
        return
    with lock.held(root, creates):
        try:
            yield
        finally:
            if root.is_dir():
                manifest.update(root)


def _run_folders(settings: Any) -> list[Path]:
    """The run folders that a stage was given."""
    given = [getattr(settings, name, None) for name in ("run", "auxiliary")]
    given += getattr(settings, "also", None) or ()
    return [root for root in given if isinstance(root, Path) and root.is_dir()]


def _print_any_character() -> None:
    """Let a terminal or file that knows few characters (ASCII, Latin-1) show escapes instead."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _check(settings: Any) -> None:
    """Refuse what no stage can take."""
    if getattr(settings, "seed", 0) < 0:
        raise UserError(f"--seed is {settings.seed}, but must be at least 0.")
    jobs = getattr(settings, "jobs", -1)
    if jobs < 1 and jobs != -1:
        raise UserError(f"--jobs is {jobs}; give the number of processes, or -1 for one a core.")


def _fail(error: UserError) -> NoReturn:
    print("error: " + "\n       ".join(error.args), file=sys.stderr)
    sys.exit(2)


class _Rate(ProgressColumn):
    """Items done in a second, since rich's own speed column counts bytes."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


def progress(
    items: Iterable[Item], what: str, total: int | None = None, unit: str = "images"
) -> Iterator[Item]:
    """Yield `items` while a bar on the standard error shows count, rate and time left.

    Where the standard error is no terminal, one line at the end says what was done and how fast.

    Parameters
    ----------
    items : iterable
        What to go through.
    what : str
        What is being done, e.g. "features".
    total : int, optional
        The number of items, if `items` has no length.
    unit : str
        What is counted.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=total)
        count = 0
        for item in items:
            yield item
            count += 1
            bars.advance(task)
        elapsed = bars.tasks[0].elapsed if bars.tasks else None
    if not console.is_terminal and count:
        pace = f" in {elapsed:.0f} s" if elapsed else ""
        print(f"{what}: {count} {unit}{pace}", file=sys.stderr)
