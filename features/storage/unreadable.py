"""An image that cannot be used, and which errors mean that its bytes are bad.

A damaged file makes a library raise whatever the bytes lead it into. So only the libraries' own
calls are blamed on the bytes, each within `blame_bytes`; an error of our own code, or of the
machine (no memory left), is no quarantine and ends the run. A library's own words say nothing to
whoever sent the file, so they stay in the exception's cause.
"""

import errno
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from pydicom.errors import BytesLengthException, InvalidDicomError

from features.run.files import UserError, printable

SMALLEST_SIDE = 64
LARGEST_ASPECT = 4
# The finest detectors have 20 megapixels; what announces more than this is not even decoded.
LARGEST_PIXELS = 64_000_000
# Bytes of a file, or of what it inflates to: 4 for each of the most pixels.
LARGEST_FILE = 4 * LARGEST_PIXELS
# Signs of a tag's value that a sentence shows.
SHOWN = 40

# What pydicom, its decoders and Pillow raise on truncated and mutated files. pydicom reports a
# missing element as AttributeError or KeyError, an odd one as TypeError or NotImplementedError (a
# RuntimeError).
BAD_BYTES = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    BytesLengthException,
    InvalidDicomError,
    Image.DecompressionBombError,
)
# Numbers of an OSError that says that the machine has no memory, or no file handle left.
OF_THE_MACHINE = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class UnreadableImage(UserError):
    """One image cannot be used; the sentence says which and why. The rest of a run goes on."""


def quoted(value: object) -> str:
    """A tag's value as a sentence quotes it: on one line, and not too long."""
    text = printable(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


@contextmanager
def blame_bytes(path: Path, what: str) -> Iterator[None]:
    """Turn what a library raises on bad bytes into one sentence; nothing but its calls stand here.

    Parameters
    ----------
    path : Path
        The file that is read.
    what : str
        What then holds for it, e.g. "the PNG is damaged".

    Raises
    ------
    UnreadableImage
        For an error in `BAD_BYTES`, or a panic of a decoder written in Rust.
    """
    try:
        yield
    except UnreadableImage:
        raise
    except FileNotFoundError:
        raise UnreadableImage(f"{path}: no such file.") from None
    except PermissionError:
        raise UnreadableImage(f"{path}: no permission to read it.") from None
    except BaseException as error:
        of_bytes = isinstance(error, BAD_BYTES) or _is_panic(error)
        if not of_bytes or getattr(error, "errno", None) in OF_THE_MACHINE:
            raise
        raise UnreadableImage(f"{path}: {what}.") from error


class _ErrorLog(logging.Handler):
    """Keeps the errors that pydicom logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self.errors.append(record.exc_info[1])


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No warnings and log lines of pydicom and Pillow: what matters becomes a sentence.

    pydicom turns whatever a decoder raises into a RuntimeError, and only logs the error itself; one
    that is not of the bytes, such as that no memory is left, comes through.
    """
    logger, log = logging.getLogger("pydicom"), _ErrorLog()
    logger.addHandler(log)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except RuntimeError:
        for error in log.errors:
            if not isinstance(error, BAD_BYTES) and not _is_panic(error):
                raise error from None
        raise
    finally:
        logger.removeHandler(log)


def _is_panic(error: BaseException) -> bool:
    """Whether Rust code panicked; its exception is a BaseException that no module exports."""
    kind = type(error)
    return (kind.__module__, kind.__name__) == ("pyo3_runtime", "PanicException")


def check_length(path: Path, count: int) -> None:
    """Refuse a file of more bytes than any X-ray's.

    Raises
    ------
    UnreadableImage
        If it is.
    """
    if count > LARGEST_FILE:
        raise UnreadableImage(
            f"{path}: {count:,} bytes; an X-ray's file has at most {LARGEST_FILE:,}."
        )


def check_size(path: Path, rows: int, columns: int) -> None:
    """Refuse what is too small, too long or too large for a chest X-ray.

    Raises
    ------
    UnreadableImage
        If it is.
    """
    if min(rows, columns) < SMALLEST_SIDE:
        raise UnreadableImage(
            f"{path}: {rows}x{columns} pixels; an X-ray has at least {SMALLEST_SIDE} on each side."
        )
    if max(rows, columns) > LARGEST_ASPECT * min(rows, columns):
        raise UnreadableImage(
            f"{path}: {rows}x{columns} pixels; a chest X-ray is at most {LARGEST_ASPECT} times as "
            "long as wide."
        )
    if rows * columns > LARGEST_PIXELS:
        raise UnreadableImage(
            f"{path}: {rows}x{columns} pixels; an X-ray has at most {LARGEST_PIXELS:,}."
        )
