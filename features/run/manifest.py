"""A run folder's files as they were written, to tell a damaged file from a fault of ours.

A stage checks what it can of the files that it reads, but not each value against all others. If one
fails, the digests in `RUN/.written.json` say whether a file is no longer the one that was written:
then the user is told which to make again, and only otherwise is the failure the program's.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from features.run import files
from features.run.files import UserError

NAME = ".written.json"
# What make writes, and what changes while a network is trained or may be deleted at any time.
OTHERS = ("settings.mk", "checkpoint", "tune")


def update(root: Path) -> None:
    """Note the digests of files that this process has written, and of those that have none yet.

    Where the folder takes no more, nothing is noted.
    """
    noted, digests = _noted(root), dict[str, str]()
    for path in sorted(_files(root)):
        name = path.relative_to(root).as_posix()
        known = name in noted and path.absolute() not in files.written
        digests[name] = noted[name] if known else _digest(path)
    if digests != noted:
        with suppress(UserError, OSError):
            files.write_json(root / NAME, digests)


def changed(root: Path) -> UserError | None:
    """The sentence on a file that is not the one that was written, or is gone; None without any."""
    for name, digest in _noted(root).items():
        path = root / name
        if not path.is_file() or _digest(path) != digest:
            what = "is not as it was written" if path.exists() else "is gone"
            return UserError(
                f"{path}: {what}, so this stage cannot go on; delete it and run make again."
            )
    return None


def _noted(root: Path) -> dict[str, str]:
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads((root / NAME).read_text("utf-8"))
        if isinstance(content, dict):
            return {name: digest for name, digest in content.items() if isinstance(digest, str)}
    return {}


def _files(root: Path) -> list[Path]:
    found = []
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and not any(part.startswith(".") or part in OTHERS for part in parts):
            found.append(path)
    return found


def _digest(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""
