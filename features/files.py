"""Files that are either whole or absent.

Every output is written to a temporary name beside its final one, flushed to the disk and renamed,
so that a killed run leaves no half file for `make` to trust.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd


class UserError(Exception):
    """A mistake the user can repair, told in one sentence.

    The sentence names the file or value, the rule it breaks and the repair. The command line
    prints it without a traceback and exits with status 2.
    """


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` on success and vanishes otherwise.

    The temporary name keeps the suffix of `path`, because some writers choose the format by it.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(f"{path.suffix}", f".{path.stem}-", path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes the file private to its owner; a result is as readable as any new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path}: could not be written ({error.strerror or error}); free some space or choose "
            "another folder, then run the same command again."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


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
    except ValueError as error:
        raise UserError(
            f"{path}: not valid JSON ({error}); delete it and run make again."
        ) from None


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table as parquet, whole or not at all."""
    with atomic(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_table(
    path: Path | str, filters: list[tuple[str, str, object]] | None = None
) -> pd.DataFrame:
    """Read a parquet table, or the rows of it that pass the filters (column, relation, value).

    Raises
    ------
    UserError
        If the file is missing or is not parquet.
    """
    try:
        return pd.read_parquet(path, filters=filters)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; make the stage that writes it first (see `make help`)."
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a parquet table ({error}); delete it and run make again."
        ) from None


def write_csv(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table as CSV with a header and no index, whole or not at all."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)
