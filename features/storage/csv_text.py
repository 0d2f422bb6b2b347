"""A csv file as text columns, whatever program has written it.

Commas, semicolons or tabs; UTF-8 with or without a byte order mark, or UTF-16; compressed by gzip
or zip, or a member of a zip.
"""

import codecs
import gzip
import io
import warnings
import zipfile
import zlib
from pathlib import Path

import pandas as pd

from features.run.files import UserError
from features.storage import storage
from features.storage.names import shown

DELIMITERS = ",;\t"
# Bytes of a csv; all 12,954 annotations of SIIM-ACR take 8 million.
LARGEST = 2**30
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read(path: Path, rule: str) -> pd.DataFrame:
    """All columns of a csv as text, names and values as they are but for spaces before them.

    Parameters
    ----------
    path : Path
    rule : str
        What its header must be, for a refusal.

    Raises
    ------
    UserError
        If it is missing, no csv, or its rows are longer than its header.
    """
    text = read_text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # Else the first value of rows that are longer than the header would be their index.
            table = pd.read_csv(
                io.StringIO(text),
                sep=delimiter(text),
                dtype=str,
                skipinitialspace=True,
                keep_default_na=False,
                index_col=False,
            )
    except pd.errors.ParserWarning:
        raise UserError(
            f"{path}: its rows hold more values than its header has names; remove the commas at "
            f"the ends of its lines, {rule}."
        ) from None
    except ValueError as error:
        reason = shown(" ".join(str(error).split()))
        raise UserError(f"{path}: not a readable csv file ({reason}).") from None
    table.columns = table.columns.str.strip()
    return table


def header(path: Path) -> list[str]:
    """The names in the first line of a csv; none if it cannot be read."""
    try:
        text = read_text(path)
    except UserError:
        return []
    line = text.partition("\n")[0].strip()
    return [name.strip().strip('"').strip() for name in line.split(delimiter(line))]


def delimiter(text: str) -> str:
    """The character that stands between the names of a csv's first line."""
    line = text.partition("\n")[0]
    return max(DELIMITERS, key=line.count)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises
    ------
    UserError
        If it is missing, cannot be read, or is no text.
    """
    if reason := storage.obstacle(path):
        raise UserError(f"{shown(path)}: {reason}.")
    try:
        content = _inflated(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; check its path, or make the stage that writes it."
        ) from None
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a readable csv file ({shown(error)}).") from None
    encoding = _encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: not a readable csv file (its bytes are no {encoding.upper()}); save it as "
            "UTF-8."
        ) from None


def _encoding(content: bytes) -> str:
    """The encoding by the byte order mark, or by the zeros that UTF-16 has beside letters."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return encoding
    zeros, second = content[:64].count(0), content[1:64:2].count(0)
    if not zeros:
        return "utf-8"
    return "utf-16-le" if 2 * second >= zeros else "utf-16-be"


def _inflated(path: Path) -> bytes:
    """The bytes of a file, without its compression."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(storage.read(path))) as file:
            members = [info for info in file.infolist() if not info.is_dir()]
            if len(members) != 1 or members[0].flag_bits & 1:
                raise ValueError("a zip of a csv holds that one file, without a password")
            if members[0].file_size > LARGEST:
                raise ValueError("it would inflate to more than 1 GB")
            return file.read(members[0])
    if path.suffix != ".gz":
        return storage.read(path)
    with gzip.open(io.BytesIO(storage.read(path))) as inflated:
        content = inflated.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError("it would inflate to more than 1 GB")
    return content


def plain(name: str) -> str:
    """A column's name without what people vary: case, spaces, underlines, punctuation."""
    return "".join(c for c in name.lower() if c.isalnum())
