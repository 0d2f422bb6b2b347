"""Digests of files that are dangerous to read when they are damaged, kept beside them.

LightGBM's reader aborts, crashes or loops on half a model, and a weight with a changed bit is still
a weight. So a stage notes the SHA-256 of each such file in ``digests.json`` of the same folder, and
nothing reads the file unless it has that digest.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from features.run import files
from features.run.files import UserError

NAME = "digests.json"


def write(paths: Sequence[Path]) -> None:
    """Note the digests of files of one folder, in place of any that were noted there.

    Parameters
    ----------
    paths : sequence of Path
        All files of the folder that are read by `read_text`; at least one.
    """
    noted = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    files.write_json(paths[0].with_name(NAME), noted)


def read_text(path: Path, maker: str) -> str:
    """Text of a file, if it is the one whose digest was noted.

    Parameters
    ----------
    path : Path
    maker : str
        The make target that writes it.

    Raises
    ------
    UserError
        If the file is missing, no digest was noted, or it has another one.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `make {maker}` again.") from None
    record = path.with_name(NAME)
    noted = files.read_json(record) if record.exists() else None
    digest = noted.get(path.name) if isinstance(noted, dict) else None
    if digest != hashlib.sha256(content).hexdigest():
        reason = (
            f"its digest is not in {NAME} beside it"
            if digest is None
            else f"it is not the file that was written (its digest is not that of {NAME})"
        )
        raise UserError(f"{path}: {reason}; delete it and run `make {maker}` again.")
    return content.decode()
