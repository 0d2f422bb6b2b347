"""A folder that is either whole or absent: written under a temporary name, then renamed."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.run import interrupts, processes
from features.run.files import ABANDONED, UserError, read_json

UNFINISHED = ".partial"  # ending of temporary folders


def is_made(out: Path, settings: dict[str, object], what: str) -> bool:
    """Whether a folder already holds what some settings make, by settings.json in it.

    Parameters
    ----------
    out : Path
    settings : dict
        As settings.json has them.
    what : str
        What they make, for the sentence.

    Raises
    ------
    UserError
        If it holds something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    record = out / "settings.json"
    if not record.is_file():
        raise UserError(
            f"{out}: exists and holds no {what} (it has no settings.json), so it is not "
            "overwritten; choose another --out folder."
        )
    if read_json(record) != settings:
        raise UserError(
            f"{out}: holds {what} made with other settings (see its settings.json); delete it or "
            "choose another --out folder."
        )
    return True


@contextmanager
def temporary(out: Path, *subfolders: str) -> Iterator[Path]:
    """Yield a new folder beside `out`, to be renamed; removed at the end if it is still there.

    Its name is unique, so that two runs that write the same folder do not disturb each other.

    Parameters
    ----------
    out : Path
        Where the folder shall stand in the end.
    *subfolders : str
        Folders to make in it.

    Raises
    ------
    UserError
        If nothing can be written there.
    """
    place = out.absolute()
    folder = place.with_name(f".{place.name}-{processes.mark()}{UNFINISHED}")
    interrupts.temporaries.add(folder)
    try:
        try:
            folder.mkdir(parents=True)
            for name in subfolders:
                (folder / name).mkdir()
            _remove_abandoned(place)
        except OSError as error:
            raise UserError(
                f"{out}: cannot be written ({error.strerror or error}); choose another --out "
                "folder."
            ) from error
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        interrupts.temporaries.discard(folder)


def _remove_abandoned(out: Path) -> None:
    """Remove temporary folders of killed runs; where the process is unknown, after a long time."""
    for folder in out.parent.glob(f".*{UNFINISHED}"):
        if folder.name.startswith(f".{out.name}-"):
            with suppress(OSError):  # the run ends just now, and its folder is gone
                changed = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
                if processes.is_of_the_dead(folder.name) or time.time() - changed > ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True)
