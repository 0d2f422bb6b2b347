"""The image files below a folder, by id: what is no image is passed over, what is odd is told."""

import sys
from collections.abc import Container, Iterable
from pathlib import Path

from features.run.files import UserError
from features.storage import archive, kinds, storage
from features.storage.names import image_id, shown


def image_paths(
    folder: Path, named: Container[str] = (), skipped: list[str] | None = None
) -> dict[str, Path]:
    """Images below a folder by id, in the order of their ids.

    Parameters
    ----------
    folder : Path
        On the disk or in a zip.
    named : container of str
        Ids that a list names: their files are images, readable or not, and are not looked into.
    skipped : list of str, optional
        Gets a sentence for each entry that is left out though it may be an image, see
        `storage.walk`.

    Raises
    ------
    UserError
        If two files have the same id.
    """
    files = [] if skipped is None else skipped
    found = [
        (name, path)
        for path in storage.walk(folder, files, named)
        if (name := image_id(path.name)) in named or kinds.is_image(path)
    ]
    paths: dict[str, Path] = {}
    for name, path in sorted(found):
        if name in paths:
            raise UserError(
                f"{path}: id {shown(repr(name))} is also {paths[name]}; an id names one image, so "
                "remove one of the two."
            )
        paths[name] = path
    return paths


def expanded(paths: Iterable[Path]) -> list[Path]:
    """Some paths, folders and zips among them replaced by the images in them.

    Raises
    ------
    UserError
        If a folder holds no image, or two of one id.
    """
    files: list[Path] = []
    for path in paths:
        folder = archive.root_of(path) if archive.is_archive(path) else path
        if not storage.is_folder(folder):
            files.append(path)
            continue
        skipped: list[str] = []
        found = image_paths(folder, (), skipped)
        for note in skipped:
            print(f"note: {note}.", file=sys.stderr)
        if not found:
            raise UserError(f"{path}: no DICOM, PNG, JPEG or TIFF image in it; give another.")
        files.extend(found.values())
    return files
