"""Zip files read in place: a path may name a member as if the zip were a folder.

``data/x.zip::/stage_2_images/ID.dcm`` is the member ``stage_2_images/ID.dcm`` of ``data/x.zip``.
Such a path can be joined, compared and stored like any other. Nothing is unpacked onto the disk: a
member is inflated into memory, and no more of it than the zip announces.
"""

import lzma
import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from features.run.files import MEMBERS, UserError, on_disk
from features.storage.names import shown
from features.storage.unreadable import LARGEST_PIXELS, UnreadableImage, blame_bytes

# Bytes of one member once it is inflated: 4 for each of the most pixels that a picture may have.
LARGEST_MEMBER = 4 * LARGEST_PIXELS
# A larger member than this must not shrink to less than a hundredth: even blank X-rays do not.
LARGE, LARGEST_RATIO = 2**25, 100
# Kinds of entries of a folder.
FILE, FOLDER = "file", "folder"


@dataclass(frozen=True)
class Archive:
    """An open zip whose list of members has been checked.

    Parameters
    ----------
    file : ZipFile
    members : dict
        Members by name, folders left out.
    folders : dict
        Names directly below each folder; the zip's own is "".
    """

    file: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]
    folders: dict[str, set[str]]


def root_of(path: Path) -> Path:
    """The path that stands for a zip's content as a folder."""
    return Path(f"{path}{MEMBERS}")


def split(path: Path) -> tuple[Path, str] | None:
    """The zip and the name within it that a path means; None for a path on the disk."""
    file = on_disk(path)
    if file == path:
        return None
    return file, str(path)[len(str(file)) + len(MEMBERS) :].strip("/")


def is_archive(path: Path) -> bool:
    """Whether a file on the disk is a zip, by its name."""
    return path.suffix.lower() == ".zip" and path.is_file()


def opened(path: Path) -> Archive:
    """Open a zip, once in each process.

    Raises
    ------
    UserError
        If it is missing, damaged or encrypted, holds another zip, a name twice or a name that
        leaves its folder, or a member that would fill the memory.
    """
    try:
        status = path.stat()
        return _opened(path, status.st_mtime_ns, status.st_size, os.getpid())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({error.strerror}).") from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error):
        raise UserError(
            f"{path}: not a whole zip file; its list of members, at its end, cannot be read, so "
            "download or copy it again."
        ) from None


@lru_cache(maxsize=8)
def _opened(path: Path, changed: int, size: int, process: int) -> Archive:
    """The zip by what it was when opened; a forked process opens it anew, to seek by itself."""
    archive = Archive(zipfile.ZipFile(path), {}, {"": set()})
    for info in archive.file.infolist():
        name = info.filename.rstrip("/")
        _check(path, info, name in archive.members)
        if not info.is_dir():
            archive.members[name] = info
        parts = PurePosixPath(name).parts
        for depth, part in enumerate(parts):
            archive.folders.setdefault("/".join(parts[:depth]), set()).add(part)
        if info.is_dir():
            archive.folders.setdefault(name, set())
    return archive


def _check(path: Path, info: zipfile.ZipInfo, is_twice: bool) -> None:
    """Refuse a zip for one of its members."""
    name, fault = info.filename, None
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0]:
        fault = "whose name leads out of the zip's folder; do not use this file"
    elif info.flag_bits & 1:
        fault = "which is encrypted; unpack the zip with its password and give the folder"
    elif name.lower().endswith(".zip"):
        fault = "which is a zip itself; unpack the outer zip once and give the folder"
    elif is_twice:
        fault = "twice; an image has one file, so pack the folder anew"
    elif info.file_size > LARGEST_MEMBER or (
        info.file_size > LARGE and info.file_size > LARGEST_RATIO * info.compress_size
    ):
        fault = f"which would inflate to {info.file_size} bytes, as no X-ray does; remove it"
    if fault:
        raise UserError(f"{path}: holds {shown(repr(name))}, {fault}.")


def read(path: Path, count: int = -1) -> bytes:
    """Inflate a member, or its first bytes.

    Parameters
    ----------
    path : Path
        Of a member, as `split` understands it.
    count : int
        Bytes wanted; -1 for all.

    Raises
    ------
    UnreadableImage
        If there is no such member, or its bytes are damaged.
    UserError
        If the zip cannot be used.
    """
    where = split(path)
    assert where is not None
    archive = opened(where[0])
    info = archive.members.get(where[1])
    if info is None:
        raise UnreadableImage(f"{path}: no such member of the zip.")
    with blame_bytes(path, "this member of the zip is damaged or packed in an unknown way"):
        try:
            with archive.file.open(info) as file:
                return file.read(count)
        except (zipfile.BadZipFile, lzma.LZMAError) as error:
            raise ValueError(shown(error)) from error


def children(folder: Path) -> Iterator[tuple[Path, str]]:
    """What lies directly in a folder of a zip, by name, and its kind: FILE or FOLDER."""
    where = split(folder)
    assert where is not None
    archive = opened(where[0])
    for name in sorted(archive.folders.get(where[1], ())):
        inner = f"{where[1]}/{name}" if where[1] else name
        info = archive.members.get(inner)
        # A link in a zip is a file that holds a path; nothing is read by it.
        if info is None or not stat.S_ISLNK(info.external_attr >> 16):
            yield folder / name, FOLDER if info is None else FILE
