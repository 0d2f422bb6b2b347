"""Every image is read once; those that cannot be used are set aside with the reason.

A few damaged files must not end a run. But where one and the same reason strikes many images, it is
the dataset, a missing decoder or the toolkit that is wrong, and going on without those images would
hide it.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path

import pandas as pd

from features.reading import images
from features.reading.study import Study
from features.run import parallel
from features.run.files import UserError
from features.storage.unreadable import UnreadableImage

# One reason may strike this share of all images, and always this many of them.
LARGEST_SHARE, LARGEST_COUNT = 0.1, 9


def outcomes(
    paths: Mapping[str, Path], jobs: int = -1, scheduler: str | None = None
) -> Generator[Study | str, None, None]:
    """Read all images: the study of each, or the reason why it cannot be used, in their order.

    Parameters
    ----------
    paths : mapping of str to Path
        The file of each image, by id.
    jobs, scheduler
        As for `parallel.stream`.
    """
    files = list(paths.values())
    yield from parallel.stream(_study_or_reason, files, "reading images", jobs, scheduler)


def set_aside(
    paths: Mapping[str, Path], outcomes: Iterable[Study | str]
) -> tuple[list[Study], pd.DataFrame]:
    """Set the images aside that cannot be used.

    Parameters
    ----------
    paths : mapping of str to Path
        The file of each image, by id.
    outcomes : iterable of Study or str
        The study of each, or the reason why it cannot be used.

    Returns
    -------
    studies : list of Study
        Of the images that can be used.
    quarantine : DataFrame
        id, path and reason of each of the others.

    Raises
    ------
    UserError
        If none can be used, or as soon as more than a tenth, and at least ten, cannot for the same
        reason.
    """
    studies, refused = [], []
    same: dict[str, list[Path]] = defaultdict(list)
    for (name, path), outcome in zip(paths.items(), outcomes, strict=True):
        if isinstance(outcome, Study):
            studies.append(outcome)
            continue
        refused.append((name, path, outcome))
        reason = outcome.replace(str(path), "").removeprefix(": ")
        same[reason].append(path)
        _require_few(same[reason], reason, len(paths))
    if not studies:
        raise UserError(f"none of the {len(paths)} images can be read; the first: {refused[0][2]}")
    return studies, pd.DataFrame(refused, columns=["id", "path", "reason"])


def _study_or_reason(path: Path) -> Study | str:
    try:
        return images.read(path)[0]
    except UnreadableImage as error:
        return str(error)


def _require_few(files: list[Path], reason: str, count: int) -> None:
    """Refuse a dataset of whose `count` images many cannot be read for the same reason."""
    if len(files) > max(LARGEST_SHARE * count, LARGEST_COUNT):
        raise UserError(
            f"{files[0]}: {reason.rstrip('.')}; the same holds for at least {len(files)} of "
            f"{count} images, too many to leave out: repair them, or remove the files and their "
            "rows in the csv files, then run make dataset again."
        )
