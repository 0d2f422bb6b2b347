"""The image files below a folder, by id: what is no image is passed over, what is odd is told."""

from collections.abc import Container
from pathlib import Path

from features.reading import kinds, storage
from features.reading.names import image_id, shown
from features.run.files import UserError


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
