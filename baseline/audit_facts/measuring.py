"""Each image is decoded a single time, by one of several processes, and all is measured on it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.audit_facts import file_facts, lung_boxes, mask_facts, picture_facts
from baseline.audit_facts.lung_boxes import Box
from baseline.audit_facts.picture_facts import PictureFacts
from features.reading import images, rle
from features.run import parallel
from features.storage.unreadable import UnreadableImage


@dataclass(frozen=True)
class Task:
    """One image to measure.

    Parameters
    ----------
    path : str
    mask : str or None
        Code of its mask, if it has one that is not empty.
    foreign : (str, int, int)
        Code, rows and columns of another image's mask, to compare with.
    lungs : bool
        Whether its lungs are sought.
    """

    path: str
    mask: str | None
    foreign: tuple[str, int, int]
    lungs: bool


@dataclass(frozen=True)
class Measured:
    """What was measured of one image.

    Parameters
    ----------
    file : dict
        See `baseline.audit_facts.file_facts`.
    picture : PictureFacts
    lungs : tuple of four floats or None
        See `lung_boxes.find`; None where they were not sought.
    fit : (variants, measures) array or None
        See `baseline.audit_facts.mask_facts`; None without a mask.
    """

    file: dict[str, Any]
    picture: PictureFacts
    lungs: Box | None
    fit: NDArray[np.float64] | None


@dataclass
class Memory:
    """What was measured already, by the file itself, its date and its mask; for the self-test."""

    known: dict[object, Measured | None] = field(default_factory=dict)

    def key(self, task: Task) -> object:
        """Equal for tasks whose facts differ at most in folder and in the mask to compare with.

        A planted fault may pair a mask with another image's; which one it is matters little.
        """
        path = Path(task.path).resolve()
        return path, path.stat().st_mtime_ns, path.stat().st_size, task.mask, task.lungs


def measure_one(task: Task) -> Measured | None:
    """Open one image and measure it; None if it cannot be read any more."""
    path = Path(task.path)
    try:
        study, whole = images.read_whole(path)
    except UnreadableImage:
        return None
    _, pixels = images.cut_border(study, whole)
    small = picture_facts.shrunk(pixels)
    return Measured(
        file_facts.measure(path, whole),
        picture_facts.measure(pixels, small, picture_facts.border(whole)),
        lung_boxes.find(small) if task.lungs else None,
        None if task.mask is None else mask_facts.measure(pixels, task.mask, task.foreign),
    )


def tasks(table: pd.DataFrame) -> list[Task]:
    """What to measure: every image, with its mask and one from half-way round the positives."""
    masked = np.flatnonzero(table["mask"].notna() & (table["mask"] != rle.EMPTY))
    lungs = lung_boxes.wanted(table)
    half_round = np.roll(masked, -(len(masked) // 2))
    codes = list(
        zip(table["mask"].tolist(), table["rows"].tolist(), table["columns"].tolist(), strict=True)
    )
    foreign = {int(place): codes[other] for place, other in zip(masked, half_round, strict=True)}
    return [
        Task(
            str(path),
            codes[place][0] if place in foreign else None,
            foreign.get(place, ("", 0, 0)),
            bool(lungs[place]),
        )
        for place, path in enumerate(table["path"])
    ]


def measure_all(
    table: pd.DataFrame, jobs: int, memory: Memory | None = None
) -> Iterator[Measured | None]:
    """Measure every image, in order; what `memory` knows is not measured again."""
    todo = tasks(table)
    if memory is None:
        yield from parallel.stream(measure_one, todo, "audit", jobs)
        return
    keys = [memory.key(task) for task in todo]
    new = [number for number, key in enumerate(keys) if key not in memory.known]
    if new:
        results = parallel.stream(measure_one, [todo[n] for n in new], "audit", jobs)
        for number, measured in zip(new, results, strict=True):
            memory.known[keys[number]] = measured
    for task, key in zip(todo, keys, strict=True):
        measured = memory.known[key]
        if measured is not None:
            folder = {"folder": Path(task.path).parent.name}
            measured = replace(measured, file=measured.file | folder)
        yield measured
