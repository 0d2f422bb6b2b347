"""Everything that the checks look at, gathered once.

Checks never open a file. What a later stage may have written (features, predictions, flags of the
quality gate) is read if it is there.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.audit_facts import duplicates, measuring
from baseline.audit_facts.duplicates import Pair
from baseline.audit_facts.measuring import Memory
from features.dataset import file_masks, layouts
from features.run.files import UserError
from features.run.folder import RunFolder

# The box of lungs that were not sought.
NOT_SOUGHT = (float("nan"),) * 4


@dataclass(frozen=True)
class Facts:
    """A dataset as the checks see it.

    Parameters
    ----------
    table : DataFrame
        One row a readable image, as in dataset.parquet.
    files : DataFrame
        What each file says, see `baseline.audit_facts.file_facts`; rows as in `table`.
    pictures : DataFrame
        Coarse measures and "digest" of each picture; rows as in `table`.
    thumbnails : (n, side, side) array of uint8
    lungs : (n, 4) array
        Box around both lungs, see `lung_boxes`; NaN where they were not sought.
    fits : dict of str to (variants, measures) array
        How each mask fits, by id, see `baseline.audit_facts.mask_facts`.
    pairs : list of Pair
        Pictures of the same exposure.
    annotations : dict of str to list of str
        All annotation rows of an image, by id, on the grid of its file; also of ids without an
        image.
    quarantine : DataFrame
        Images that cannot be used, and why.
    total : int
        Images of the dataset, of which the table may be a part.
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
    total: int
    features: pd.DataFrame | None = None
    oof: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None

    @cached_property
    def ids(self) -> list[str]:
        """Ids in the order of the table."""
        return list(self.table["id"])


def gather(
    table: pd.DataFrame,
    annotations: dict[str, list[str]],
    quarantine: pd.DataFrame,
    jobs: int = -1,
    memory: Memory | None = None,
    total: int | None = None,
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
    total : int, optional
        Images of the dataset, if the table is a part of it.
    later : DataFrame
        `features`, `oof` and `quality`, where they exist.

    Raises
    ------
    UserError
        If no image can be opened any more.
    """
    total = len(table) if total is None else total
    measured = list(measuring.measure_all(table, jobs, memory))
    readable = np.array([one is not None for one in measured])
    known = [one for one in measured if one is not None]
    if not known:
        raise UserError(
            f"{table['path'].iloc[0]}: neither this image nor another can be read any more; put "
            "the dataset back, or run make dataset again."
        )
    table = table[readable].reset_index(drop=True)
    thumbnails = np.stack([one.picture.thumbnail for one in known])
    digests = [one.picture.digest for one in known]
    return Facts(
        table=table,
        files=pd.DataFrame([one.file for one in known]),
        pictures=pd.DataFrame([one.picture.numbers for one in known]).assign(digest=digests),
        thumbnails=thumbnails,
        lungs=np.array([one.lungs or NOT_SOUGHT for one in known]),
        fits={
            str(key): one.fit
            for key, one in zip(table["id"], known, strict=True)
            if one.fit is not None
        },
        pairs=duplicates.find(thumbnails, digests),
        annotations=annotations,
        quarantine=quarantine,
        total=total,
        **later,
    )


def read_annotations(data: Path | None, table: pd.DataFrame) -> dict[str, list[str]]:
    """All annotation rows by image, on the grid of its file.

    Where the folder's annotation csv cannot be found, each image has one row: its mask in the
    table, which is the union of its annotations.

    Raises
    ------
    UserError
        If a row of an image of the table is malformed, or leaves the image.
    """
    placements = file_masks.placements(table)
    if data is not None and (path := layouts.find(data).train_csv):
        return layouts.read_rows(path, {key: of.file for key, of in placements.items()})
    known = table[table["mask"].notna()]
    return {
        str(row.id): [file_masks.in_file(str(row.mask), placements[str(row.id)])]
        for row in known.itertuples()
    }


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
        total=len(whole),
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
