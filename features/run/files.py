"""Files that are either whole or absent.

Every output is written to a temporary name beside its final one, flushed to the disk and renamed,
so that a killed run leaves no half file for `make` to trust.
"""

import errno
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import DTypeLike

from features.run import interrupts, processes

# What the system says where a disk takes no more: full, over a quota or a limit, read-only.
REFUSALS = tuple(
    os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
)
# Seconds after which a temporary file that nobody has touched is a killed writer's.
ABANDONED = 24 * 3600
# Follows the name of a zip that stands for a folder in a path: x.zip::/stage_2_images/ID.dcm.
MEMBERS = "::"
_OF_A_ZIP = re.compile(rf"(.*?\.zip){MEMBERS}(?:/|$)", re.IGNORECASE | re.DOTALL)

# Files that this process has written, see `features.run.manifest`.
written: set[Path] = set()

# Most characters of a line of a sentence, and of its end.
LONGEST, END = 390, 130

Record = TypeVar("Record")


class UserError(Exception):
    """A mistake that the user can repair, in one sentence.

    The sentence names the file or value, the rule it breaks and the repair. The command line
    prints it without a traceback and exits with status 2.

    Parameters
    ----------
    *sentences : object
        One, or several that become a line each. What they quote of a file may be anything, so
        characters that would steer a terminal or end the line are written as escapes, and the
        middle of a line that nobody would read to its end is left out.
    """

    def __init__(self, *sentences: object) -> None:
        super().__init__(*map(_readable, sentences))

    def __str__(self) -> str:
        return "\n".join(self.args)


def printable(text: object) -> str:
    """A text in which escapes stand for what a terminal would obey or could not show."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _readable(sentence: object) -> str:
    plain = printable(sentence)
    if len(plain) <= LONGEST:
        return plain
    return f"{plain[: LONGEST - END - 3]}...{plain[-END:]}"


def refusal(error: BaseException | None) -> str | None:
    """The system's words if an error, or one behind it, says that the disk takes no more.

    Libraries in other languages (safetensors, tensorstore) raise errors of their own kind for it,
    but keep these words.
    """
    while error is not None:
        for words in REFUSALS:
            if words in str(error):
                return words
        error = error.__cause__ or error.__context__
    return None


def unwritable(path: Path | str, words: str) -> UserError:
    """The sentence for a file that could not be written, with the system's words why."""
    return UserError(
        f"{path}: could not be written ({words}); free some space or choose another folder, then "
        "run the same command again."
    )


def unusable(error: OSError) -> UserError:
    """The sentence for a file that the system does not let us use, with its words why."""
    path = error.filename or error.filename2
    return UserError(
        f"{os.fsdecode(path)}: cannot be used ({error.strerror or error}); look at its place and "
        "its permissions, then run the same command again."
    )


def in_short(error: object) -> str:
    """What an error says, in one line of at most 150 characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    return words if len(words) <= 150 else f"{words[:147]}..."


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` on success and vanishes otherwise.

    The temporary name keeps the suffix of `path`, because some writers choose the format by it, and
    names the process, so that what a killed one left behind is known at once.

    Raises
    ------
    UserError
        If the disk is full or the file cannot be written for another reason of the system's.
    OSError
        What the body meets in other files.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{processes.mark()}{path.suffix}")
    interrupts.temporaries.add(temporary)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        written.add(path.absolute())
    except UserError:
        raise
    except Exception as error:
        words = refusal(error)
        if words is None and isinstance(error, OSError) and _is_about(error, path, temporary):
            words = error.strerror or str(error)
        if words is None:
            raise
        raise unwritable(path, words) from error
    finally:
        with suppress(OSError):  # what the folder refused is not there
            temporary.unlink(missing_ok=True)
        interrupts.temporaries.discard(temporary)


def _is_about(error: OSError, path: Path, temporary: Path) -> bool:
    """Whether an error is of writing `path`, and not of another file that was read meanwhile."""
    if error.filename is None:
        return True
    return Path(os.fsdecode(error.filename)) in (temporary, path, *path.parents)


def _sweep(path: Path) -> None:
    """Remove what killed writers of `path` left behind."""
    for old in _abandoned(path.parent):
        if old.name.startswith(f".{path.stem}-") and old.suffix == path.suffix:
            with suppress(OSError):
                old.unlink()


@cache
def _abandoned(folder: Path) -> tuple[Path, ...]:
    """Hidden files of processes that are gone; listed once, since folders may be full.

    Of other hosts' processes nothing is known: theirs are files that nobody has touched for long.
    """
    abandoned = []
    with suppress(OSError):
        for path in folder.iterdir():
            if not path.name.startswith("."):
                continue
            gone = processes.is_of_the_dead(path.name)
            if gone is None:
                gone = time.time() - path.stat().st_mtime > ABANDONED
            if gone:
                abandoned.append(path)
    return tuple(abandoned)


def open_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> "np.memmap[Any, Any]":
    """A new memory-mapped .npy file of zeros that takes its room on the disk at once.

    Without that the file is sparse, and on a full disk the first page for which there is no room
    ends the process with a bus error, which nothing can turn into a sentence.

    Raises
    ------
    OSError
        If there is not enough room; within `atomic` it becomes a sentence.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                # A file system that cannot promise room is written to without a promise.
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
    return array


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` as indented JSON; NaN and infinities are refused, as JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises
    ------
    UserError
        If the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; make the stage that writes it first (see `make help`)."
        ) from None
    except OSError as error:
        raise unusable(error) from None
    except (ValueError, RecursionError) as error:  # also of other encodings
        reason = "nested too deep" if isinstance(error, RecursionError) else in_short(error)
        raise UserError(
            f"{path}: not valid JSON ({reason}); delete it and run make again."
        ) from None


def write_record(path: Path | str, record: Any) -> None:
    """Write a dataclass as indented JSON, see `write_json`."""
    write_json(path, asdict(record))


def read_record(path: Path | str, kind: type[Record]) -> Record:
    """Read a dataclass back from JSON.

    Raises
    ------
    UserError
        If the file is missing, is not JSON, or lacks a field or holds one of another type.
    """
    content = read_json(path)
    try:
        return msgspec.convert(content, kind)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{path}: not as this version writes it ({in_short(error)}); delete it and run make "
            "again."
        ) from None


def on_disk(path: Path | str) -> Path:
    """The file that holds a path: itself, or the zip whose member it names."""
    of_a_zip = _OF_A_ZIP.match(str(path)) if MEMBERS in str(path) else None
    return Path(of_a_zip[1]) if of_a_zip else Path(path)


def stamps(paths: pd.Series) -> pd.Series:
    """When each file was last changed, in nanoseconds.

    Raises
    ------
    UserError
        If one is gone.
    """
    try:
        return paths.map(lambda path: on_disk(path).stat().st_mtime_ns)
    except OSError as error:
        raise UserError(
            f"{error.filename}: no such file any more; put it back, or run make dataset again."
        ) from None


def write_csv(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table as CSV with a header and no index, whole or not at all."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)
