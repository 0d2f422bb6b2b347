"""What a visitor sends: a name that may be anything, and bytes that may be anything."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

# Signs of a name that is kept; an image's own is shorter.
LONGEST_NAME = 100
NO_NAME = "upload"
_ALLOWED = " ._()+-@=,~#"


@dataclass(frozen=True)
class Upload:
    """A file to be answered.

    Parameters
    ----------
    name : str
        As the visitor calls it.
    source : binary file
        Where its bytes come from.
    truth : (rows, columns) array of bool, optional
        The true mask on the file's grid, where it is known.
    """

    name: str
    source: BinaryIO
    truth: NDArray[np.bool_] | None = None


def plain_name(name: str) -> str:
    """A visitor's name for a file as any folder takes it: no path, no odd characters, not long."""
    last = re.split(r"[\\/]", name)[-1]
    plain = "".join(c if c.isalnum() or c in _ALLOWED else "_" for c in last).strip(" .")
    # The end says what kind of file it is meant to be.
    while len(plain.encode()) > LONGEST_NAME:
        plain = plain[1:]
    return plain.strip(" .") or NO_NAME


@contextmanager
def on_disk(upload: Upload, folder: Path) -> Iterator[Path]:
    """The upload as a file in a private folder, which is gone afterwards.

    Parameters
    ----------
    upload : Upload
    folder : Path
        Of the service, readable by its user alone.
    """
    own = Path(tempfile.mkdtemp(dir=folder))
    try:
        path = own / plain_name(upload.name)
        with path.open("xb") as file:
            shutil.copyfileobj(upload.source, file)
        yield path
    finally:
        shutil.rmtree(own)
