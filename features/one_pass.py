"""Read and measure in one go: ``python -m features.one_pass --data DATA --run RUN``.

Writes what `features.dataset.read` and then `features.measure` write, byte for byte, but decodes
each file once for both. So what is wrong with the dataset as a whole is known when all is measured;
that is kept, and what is mended is read again in seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from features import measure
from features.dataset import read
from features.dataset.image_list import ImageList
from features.measuring.one_image import Choice, Measured, measure_pixels
from features.measuring.parts import Parts, gaps, keys_of, name_of
from features.reading import images
from features.reading.study import Study
from features.run import command, parallel
from features.run.files import on_disk
from features.run.folder import RunFolder
from features.storage.unreadable import UnreadableImage


@dataclass(frozen=True)
class Settings(measure.Settings, read.Settings):
    """Read a dataset folder into RUN/dataset.parquet, and measure its images."""


class File(NamedTuple):
    """A file of a dataset, when it was last changed (ns), and whether it is to be measured."""

    path: Path
    stamp: int
    measured: bool


def outcomes(listed: ImageList, settings: Settings) -> Iterator[Study | str]:
    """Read all images, and measure those to train and to test with into parts of the run.

    Yields
    ------
    Study or str
        Of each image in the order of the list: the study, or the reason why it cannot be used.
    """
    parts = Parts(RunFolder(settings.run), measure.choice_of(settings))
    pieces = _pieces(listed)
    names = [name_of([str(file) for file in piece]) for piece in pieces]
    done = [parts.at(name).record.exists() for name in names]
    wanted = [
        file._replace(measured=file.measured and not is_done)
        for piece, is_done in zip(pieces, done, strict=True)
        for file in piece
    ]
    work = partial(read_and_measure, choice=parts.choice)
    stream = parallel.stream(
        work, wanted, "reading and measuring", settings.jobs, settings.scheduler
    )
    for piece, name, is_done in zip(pieces, names, done, strict=True):
        # The images of a part come next in the stream, in order.
        results = [next(stream) for _ in piece]
        if not is_done:
            _write(parts, name, piece, results)
        yield from (outcome for outcome, _ in results)
    next(stream, None)  # lets the progress bar see its end


def read_and_measure(file: File, choice: Choice) -> tuple[Study | str, Measured | None]:
    """The study of a file, or the reason why it cannot be used; and its measures, if wanted."""
    try:
        study, pixels = images.read(file.path)
    except UnreadableImage as error:
        return str(error), None
    return study, measure_pixels(study, pixels, choice) if file.measured else None


def _pieces(listed: ImageList) -> list[list[File]]:
    """The files of a dataset in order, as many at once as become a part."""
    known = listed.split()
    files = [File(path, _stamp(path), name in known) for name, path in listed.paths.items()]
    return [files[start:stop] for start, stop in gaps((), len(files))]


def _stamp(path: Path) -> int:
    try:
        return on_disk(path).stat().st_mtime_ns
    except OSError:  # what becomes of a file that is gone, its reader decides
        return 0


def _write(
    parts: Parts, name: str, piece: list[File], results: list[tuple[Study | str, Measured | None]]
) -> None:
    ids, paths, sizes, stamps, of_images = [], [], [], [], []
    for file, (study, measured) in zip(piece, results, strict=True):
        if isinstance(study, Study) and measured:
            ids.append(study.id)
            paths.append(study.path.absolute())
            sizes.append((study.rows, study.columns))
            stamps.append(file.stamp)
            of_images.append(measured)
    parts.write(name, ids, keys_of(paths, sizes, stamps), of_images)


def main(settings: Settings) -> None:
    """Write the files of both stages."""
    measure.choice_of(settings)  # refuses an unknown family before any image is read
    read.write(settings, partial(outcomes, settings=settings))
    measure.main(settings)


if __name__ == "__main__":
    command.run(main, creates=True)
