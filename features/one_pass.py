"""Read and measure in one go: ``python -m features.one_pass --data DATA --run RUN``.

Writes the tables that `features.dataset.read` and then `features.measure` write, but decodes each
file once for both. So what is wrong with the masks of a dataset is known when all is measured. That
is kept: once they are mended, files are looked at again, which takes a tenth of the time, and those
that have not changed are not measured again.
"""

from collections.abc import Collection, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from features import measure
from features.dataset import read
from features.measuring.one_image import Choice, Measured, measure_pixels
from features.measuring.parts import NewPart, Parts, mark_in, mark_of
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
    """A file of a dataset, and whether it is to be measured, too."""

    path: Path
    wanted: bool


def outcomes(
    paths: Mapping[str, Path], with_label: Collection[str], settings: Settings
) -> Generator[Study | str, None, None]:
    """Read all images, and measure those with a label or to predict into parts of the run.

    Parameters
    ----------
    paths : mapping of str to Path
        The file of each image, by id, in the order of the dataset.
    with_label : collection of str
        Ids of the images to measure.
    settings : Settings

    Yields
    ------
    Study or str
        Of each image: the study, or the reason why it cannot be used.
    """
    parts = Parts(RunFolder(settings.run), measure.choice_of(settings))
    marks = [mark_of(path.absolute(), _stamp(path)) for path in paths.values()]
    done = {mark_in(key) for keys in parts.existing() for key in keys}
    files = [
        File(path, name in with_label and mark not in done)
        for (name, path), mark in zip(paths.items(), marks, strict=True)
    ]
    work = partial(read_and_measure, choice=parts.choice)
    stream = parallel.stream(
        work, files, "reading and measuring", settings.jobs, settings.scheduler
    )
    part = NewPart(parts)
    with closing(stream):
        for mark, (outcome, measures) in zip(marks, stream, strict=True):
            if isinstance(outcome, Study) and measures:
                part.add(outcome, mark, measures)
            if part.is_full or mark in done:  # images of a part are neighbours
                part.write()
            yield outcome
    part.write()


def read_and_measure(file: File, choice: Choice) -> tuple[Study | str, Measured | None]:
    """The study of a file, or the reason why it cannot be used; and its measures, if wanted."""
    try:
        study, pixels = images.read(file.path)
    except UnreadableImage as error:
        return str(error), None
    return study, measure_pixels(study, pixels, choice) if file.wanted else None


def _stamp(path: Path) -> int:
    try:
        return on_disk(path).stat().st_mtime_ns
    except OSError:  # what becomes of a file that is gone, its reader decides
        return 0


def main(settings: Settings) -> None:
    """Write the files of both stages."""
    measure.choice_of(settings)  # refuses an unknown family before any image is read
    read.write(settings, partial(outcomes, settings=settings))
    measure.main(settings)


if __name__ == "__main__":
    command.run(main, creates=True)
