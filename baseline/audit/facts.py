"""Everything that the checks look at, gathered once: each image is opened a single time.

Checks never open a file. What a later stage may have written (features, predictions, flags of the
quality gate) is read if it is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.audit import duplicates, file_facts, mask_facts, picture_facts
from baseline.audit.duplicates import Pair
from baseline.audit.picture_facts import PictureFacts
from features.reading import images, layouts, rle
from features.reading.layouts import ID, MASK
from features.reading.names import image_id
from features.reading.unreadable import UnreadableImage
from features.run import parallel
from features.run.files import UserError
from features.run.folder import RunFolder


@dataclass(frozen=True)
class Facts:
    """A dataset as the checks see it.

    Parameters
    ----------
    table : DataFrame
        One row a readable image, as in dataset.parquet.
    files : DataFrame
        What each file says, see `baseline.audit.file_facts`; rows as in `table`.
    pictures : DataFrame
        Coarse measures and "digest" of each picture; rows as in `table`.
    thumbnails : (n, side, side) array of uint8
    lungs : (n, 4) array
        Box around both lungs: top, bottom, left, right as shares of the image's sides.
    fits : dict of str to (variants, measures) array
        How each mask fits, by id, see `baseline.audit.mask_facts`.
    pairs : list of Pair
        Pictures of the same exposure.
    annotations : dict of str to list of str
        All annotation rows of an image, by id; also of ids without an image.
    quarantine : DataFrame
        Images that cannot be used, and why.
    features, oof, quality : DataFrame or None
        What later stages wrote.
    """

    table: pd.DataFrame
    files: pd.DataFrame
    pictures: pd.DataFrame
    thumbnails: NDArray[np.uint8]
    lungs: NDArray[np.float64]
    fits: dict[str, NDArray[np.float64]]
    pairs: list[Pair]
    annotations: dict[str, list[str]]
    quarantine: pd.DataFrame
    features: pd.DataFrame | None = None
    oof: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None

    @property
    def ids(self) -> list[str]:
        """Ids in the order of the table."""
        return list(self.table["id"])


@dataclass(frozen=True)
class Task:
    """One image to measure: its file, its mask if it has one, and the mask of another image."""

    path: str
    mask: str | None
    foreign: tuple[str, int, int]


@dataclass(frozen=True)
class Measured:
    """What was measured of one image; `fit` is None without a mask, `picture` where it is gone."""

    file: dict[str, Any]
    picture: PictureFacts | None
    fit: NDArray[np.float64] | None


@dataclass
class Memory:
    """What was measured already, by the file itself, its date and its mask; for the self-test."""

    known: dict[object, Measured] = field(default_factory=dict)

    def key(self, task: Task) -> object:
        """Equal for two tasks that give the same facts, but for the name of the folder."""
        path = Path(task.path).resolve()
        return path, path.stat().st_mtime_ns, path.stat().st_size, task.mask


def measure_one(task: Task) -> Measured:
    """Open one image and measure it."""
    path = Path(task.path)
    file = file_facts.measure(path)
    try:
        _, pixels = images.read(path)
    except UnreadableImage:
        return Measured(file, None, None)
    fit = None if task.mask is None else mask_facts.measure(pixels, task.mask, task.foreign)
    return Measured(file, picture_facts.measure(pixels), fit)


def tasks(table: pd.DataFrame) -> list[Task]:
    """What to measure: every image, with its mask and one from half-way round the positives."""
    masked = table["mask"].notna() & (table["mask"] != rle.EMPTY)
    part = table[masked]
    codes = list(
        zip(part["mask"].astype(str), part["rows"].tolist(), part["columns"].tolist(), strict=True)
    )
    place = dict(zip(table.index[masked], range(len(codes)), strict=True))
    return [
        Task(
            str(row.path),
            str(row.mask) if row.Index in place else None,
            codes[(place[row.Index] + len(codes) // 2) % len(codes)]
            if row.Index in place
            else ("", 0, 0),
        )
        for row in table.itertuples()
    ]


def measure_all(
    table: pd.DataFrame, jobs: int, memory: Memory | None = None, what: str = "audit"
) -> Iterator[Measured]:
    """Measure every image, in order; what `memory` knows is not measured again."""
    todo = tasks(table)
    if memory is None:
        yield from parallel.stream(measure_one, todo, what, jobs)
        return
    keys = [memory.key(task) for task in todo]
    new = [number for number, key in enumerate(keys) if key not in memory.known]
    if new:
        results = parallel.stream(measure_one, [todo[n] for n in new], what, jobs)
        for number, measured in zip(new, results, strict=True):
            memory.known[keys[number]] = measured
    for task, key in zip(todo, keys, strict=True):
        measured = memory.known[key]
        folder = {"folder": Path(task.path).parent.name}
        yield Measured(measured.file | folder, measured.picture, measured.fit)


def gather(
    table: pd.DataFrame,
    annotations: dict[str, list[str]],
    quarantine: pd.DataFrame,
    jobs: int = -1,
    memory: Memory | None = None,
    **later: pd.DataFrame | None,
) -> Facts:
    """Open every image once and gather the facts.

    Parameters
    ----------
    table, annotations, quarantine
        See `Facts`.
    jobs : int
        Processes; -1 for one a core.
    memory : Memory, optional
        Measurements of an earlier call.
    later : DataFrame
        `features`, `oof` and `quality`, where they exist.

    Raises
    ------
    UserError
        If no image can be opened any more.
    """
    measured = list(measure_all(table, jobs, memory))
    pictures = [one.picture for one in measured]
    kept = [number for number, picture in enumerate(pictures) if picture is not None]
    if not kept:
        raise UserError(
            f"{table['path'].iloc[0]}: neither this image nor another can be read any more; put "
            "the dataset back, or run make dataset again."
        )
    table = table.iloc[kept].reset_index(drop=True)
    shown = [picture for picture in pictures if picture is not None]
    thumbnails = np.stack([one.thumbnail for one in shown])
    return Facts(
        table=table,
        files=pd.DataFrame([measured[number].file for number in kept]),
        pictures=pd.DataFrame([one.numbers | {"digest": one.digest} for one in shown]),
        thumbnails=thumbnails,
        lungs=np.array([one.lungs for one in shown]),
        fits={
            str(table["id"].iloc[place]): fit
            for place, number in enumerate(kept)
            if (fit := measured[number].fit) is not None
        },
        pairs=duplicates.find(thumbnails, [one.digest for one in shown]),
        annotations=annotations,
        quarantine=quarantine,
        **later,
    )


def read_annotations(data: Path | None, table: pd.DataFrame) -> dict[str, list[str]]:
    """All annotation rows by image.

    Where the folder's annotation csv cannot be found, each image has one row: its mask in the
    table, which is the union of its annotations.
    """
    if data is not None and (path := layouts.find(data).train_csv):
        rows = layouts.read_csv(path, (ID, MASK))
        by_id = rows.groupby(rows[ID].map(image_id), sort=False)[MASK]
        return {str(key): list(part) for key, part in by_id}
    known = table[table["mask"].notna()]
    return {str(row.id): [str(row.mask)] for row in known.itertuples()}


def read(run: RunFolder, data: Path | None, limit: int, jobs: int) -> Facts:
    """Gather the facts of a run's dataset.

    Parameters
    ----------
    run : RunFolder
        With dataset.parquet.
    data : Path or None
        The dataset's folder, for its annotation rows.
    limit : int
        Most images to look at, evenly taken of each set; 0 for all.
    jobs : int
        Processes; -1 for one a core.

    Raises
    ------
    UserError
        If a table of the run is missing or damaged.
    """
    whole = run.dataset.read()
    table = subset(whole, limit)
    unseen = set(whole["id"]) - set(table["id"])
    annotations = read_annotations(data, whole)
    return gather(
        table,
        {key: codes for key, codes in annotations.items() if key not in unseen},
        run.quarantine.read(),
        jobs,
        features=run.features.read() if run.features.exists() else None,
        oof=run.oof.read() if run.oof.exists() else None,
        quality=run.quality.read() if run.quality.exists() else None,
    )


def subset(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most `limit` rows, evenly spaced: half of them of the training set, if it has so many."""
    if not 0 < limit < len(table):
        return table
    known = table["label"].notna()
    train = min(int(known.sum()), max(limit // 2, limit - int((~known).sum())))
    chosen = [
        rows.index[np.linspace(0, len(rows) - 1, number).astype(int)]
        for rows, number in ((table[known], train), (table[~known], limit - train))
        if number
    ]
    return table.loc[np.concatenate(chosen)].reset_index(drop=True)
