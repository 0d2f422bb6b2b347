"""Files and folders by one rule, whether they lie on the disk or in a zip.

Only regular files are ever opened: a named pipe would wait for ever, a device would never end.
"""

import io
import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path

from features.storage import archive
from features.storage.archive import FILE, FOLDER
from features.storage.names import image_id, is_utf8, shown

# Names of what an entry may be that is no regular file.
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def obstacle(path: Path) -> str | None:
    """Why a path must not be opened as a file; None if it may, or if nothing is there."""
    if not is_utf8(path):
        return "its name is not UTF-8, which tables and pages need; rename it"
    if archive.split(path):
        return None
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be opened ({error.strerror}); mend it or remove it"
    if kind == stat.S_IFREG:
        return None
    return f"{KINDS.get(kind, 'no file')}, which is never opened; give a file"


def is_file(path: Path) -> bool:
    """Whether a regular file, or a member of a zip, is there."""
    where = archive.split(path)
    return where[1] in archive.opened(where[0]).members if where else path.is_file()


def is_folder(path: Path) -> bool:
    """Whether a folder, on the disk or in a zip, is there."""
    where = archive.split(path)
    return where[1] in archive.opened(where[0]).folders if where else path.is_dir()


def read(path: Path, count: int = -1) -> bytes:
    """The bytes of a file, or its first ones; see `obstacle`, which must have been asked.

    Raises
    ------
    OSError
        If a file on the disk cannot be read.
    UnreadableImage
        If a member of a zip cannot.
    """
    if archive.split(path):
        return archive.read(path, count)
    if count < 0:
        return path.read_bytes()
    handle = os.open(path, os.O_RDONLY)  # a third of the time of a file object
    try:
        return os.read(handle, count)
    finally:
        os.close(handle)


def size(path: Path) -> int:
    """Bytes of a file, or of a member of a zip once it is inflated."""
    where = archive.split(path)
    if where is None:
        return path.stat().st_size
    return archive.opened(where[0]).members[where[1]].file_size


def source(path: Path) -> Path | io.BytesIO:
    """What a library opens to read a file: its path, or the inflated bytes of a member.

    Raises
    ------
    UnreadableImage
        If a member of a zip cannot be read.
    """
    return io.BytesIO(archive.read(path)) if archive.split(path) else path


def children(folder: Path) -> Iterator[tuple[Path, str]]:
    """What lies directly in a folder, by name, and its kind: FILE, FOLDER or else empty.

    Hidden entries, and what macOS adds to a zip, are left out.
    """
    if archive.split(folder):
        entries = archive.children(folder)
    else:
        with os.scandir(folder) as found:
            names = sorted((entry.name, _kind(entry)) for entry in found)
        entries = ((folder / name, kind) for name, kind in names)
    for path, kind in entries:
        if not path.name.startswith(".") and path.name != "__MACOSX":
            yield path, kind


def _kind(entry: "os.DirEntry[str]") -> str:
    try:
        return FOLDER if entry.is_dir() else FILE if entry.is_file() else ""
    except OSError:  # a link that leads to itself
        return ""


def walk(folder: Path, skipped: list[str], named: Container[str] = ()) -> Iterator[Path]:
    """All regular files below a folder, linked folders included.

    Parameters
    ----------
    folder : Path
    skipped : list of str
        Gets a sentence for each entry that is left out: what is no regular file, a folder that is
        reached again by a link (a loop of links would never end), a name that is not UTF-8.
    named : container of str
        Ids of images that must not be left out: they are refused when they are read.
    """
    yield from _walk(folder, skipped, named, set())


def _walk(
    folder: Path, skipped: list[str], named: Container[str], seen: set[tuple[int, int]]
) -> Iterator[Path]:
    try:
        if not archive.split(folder):
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                skipped.append(f"{shown(folder)}: a link to a folder that is listed already")
                return
            seen.add((status.st_dev, status.st_ino))
        entries = list(children(folder))
    except OSError as error:
        skipped.append(f"{shown(folder)}: cannot be listed ({error.strerror})")
        return
    for path, kind in entries:
        if not is_utf8(path.name):
            skipped.append(f"{shown(path)}: {obstacle(path)}")
        elif kind == FOLDER:
            yield from _walk(path, skipped, named, seen)
        elif kind == FILE or image_id(path.name) in named:
            yield path
        else:
            skipped.append(f"{shown(path)}: {obstacle(path) or 'a link that leads nowhere'}")
