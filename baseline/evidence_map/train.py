"""The evidence map: where the air of a pneumothorax lies, cell by cell, by judges that saw neither.

No image of a fold is described by a judge (see `baseline.evidence_map.models`) that saw it or its patient, and
no model of the verdict learns from a judge that saw the fold it is scored on: the verdict of fold k
gets, for images of fold m, a judge that saw neither k nor m, and for all others the judge of fold
k. The U-Net of fold k sees the maps in the same way.
"""

from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import models
from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.training_data import (
    TrainingData,
    by_lung,
    collapsed,
    read_phantoms,
    read_training_data,
)
from baseline.learning import scores
from baseline.learning.scores import Estimate
from baseline.learning.training_table import AT
from features.cells.measure import Cells
from features.families import map_summary
from features.lungs.zones import SIDES
from features.run import command, files, parallel

# Resamples of patients for the cells' AUC: there are a thousand cells an image to be ranked.
CELL_REPLICATES = 200
SCORES = {
    "lung": "collapsed lungs told from others, AUC",
    "cell": "cells of air told from all others, AUC",
    "right": "where the right lung alone has collapsed, it is suspected more than the left in",
    "left": "where the left lung alone has collapsed, it is suspected more than the right in",
}


@dataclass(frozen=True)
class Settings:
    """Learn the evidence map of RUN and describe every image by it, into RUN/evidence/."""

    run: Path
    """Run folder with features.parquet and cells/."""
    phantoms: Path | None = None
    """Run folder with cells/ of phantoms, which help to teach where the air lies."""
    seed: int = 0
    """Seed of the boosters."""
    weak_weight: float = 0.5
    """Weight of a weakly labelled image in training; a truly labelled one has 1."""
    jobs: int = -1
    """Judges trained at once; -1 for one a core."""


def hear(
    without: tuple[int, ...], settings: Settings
) -> tuple[EvidenceModel | None, pd.DataFrame, pd.DataFrame]:
    """Teach the judge that sees neither of the folds in `without`, and ask it.

    Returns
    -------
    judge : Judge or None
        None for a judge of a pair of folds, which is asked here and never again.
    columns : DataFrame
        Evidence by zone: "judge" (the fold whose verdict gets the row), "id" and the columns of
        `evidence.names`.
    cells : DataFrame
        The map of the judge's own folds' images, and for a judge of one fold of images without a
        fold. From the maps of a pair's judge the network of the other fold learns.
    """
    material = read_training_data(settings.run)
    ids = material.rows["id"]
    phantoms = None if settings.phantoms is None else read_phantoms(settings.phantoms, ids)
    judge = models.fit_model(material, without, settings.weak_weight, settings.seed, phantoms)
    fold = material.rows["fold"].to_numpy()
    zones = material.index["zone"].to_numpy()
    single = len(without) == 1
    asked = np.flatnonzero(np.isin(fold, (*without, -1) if single else without))
    lungs, cells = models.describe(judge, material, asked)
    ends = np.cumsum([0, *(np.diff(material.starts)[asked])])
    summary = [
        map_summary.summarise(both, cells[start:stop], zones[material.cells_of(image)])
        for image, both, start, stop in zip(asked, lungs, ends[:-1], ends[1:], strict=True)
    ]
    table = pd.DataFrame(np.array(summary).reshape(len(asked), -1), columns=map_summary.names())
    table.insert(0, "id", material.rows["id"].to_numpy()[asked])
    # The verdict of one fold of a pair learns from the images of the other.
    other = {without[0]: without[-1], without[-1]: without[0]}
    table.insert(0, "judge", [other.get(k, without[0]) for k in fold[asked]])
    places = [material.index.iloc[material.cells_of(image)] for image in asked]
    drawn = pd.concat(places)[["id", "row", "column"]].assign(
        probability=cells.astype(np.float32),
        lung=np.concatenate(
            [both[place["side"]] for both, place in zip(lungs, places, strict=True)] or [[]]
        ).astype(np.float32),
        judge=np.repeat(table["judge"].to_numpy(), np.diff(ends)),
    )
    return judge if single else None, table, drawn


def score(
    material: TrainingData, columns: pd.DataFrame, drawn: pd.DataFrame
) -> dict[str, Estimate]:
    """How well the judges find lungs and places they have not seen, where masks tell.

    Parameters
    ----------
    material : Material
    columns, drawn : DataFrame
        As written to columns.parquet and map.parquet.

    Returns
    -------
    dict of str to Estimate
        "lung": AUC of telling collapsed lungs from others; "right" and "left": of the images in
        which that lung alone has collapsed, the share in which it looks worse than the other;
        "cell": AUC of telling cells that are mostly air from all others. 95% intervals by bootstrap
        over patients.
    """
    fold = material.rows["fold"].to_numpy()
    truth = collapsed(material)
    asked = np.flatnonzero((fold >= 0) & ~np.isnan(truth[:, 0]))
    patients = material.rows["patient"].to_numpy(object)[asked]
    own = columns.set_index(["id", "judge"])[[f"evidence.{side}_whole.lung" for side in SIDES]]
    keys = pd.MultiIndex.from_arrays((material.rows["id"].to_numpy()[asked], fold[asked]))
    odds, sick = own.loc[keys].to_numpy(float), truth[asked]
    one = sick.sum(axis=1) == 1
    found_out = (odds.argmax(axis=1) == sick.argmax(axis=1)).astype(float)
    probability = dict(iter(drawn.groupby("id", observed=True)["probability"]))
    share = material.index["share"].to_numpy(float)
    cells = [material.cells_of(image) for image in asked]
    found = [probability[material.rows["id"].iloc[image]].to_numpy(float) for image in asked]
    air = [(share[place] > 0.5).astype(float) for place in cells]

    def cell_auc(rows: NDArray[np.intp]) -> float:
        return scores.auc(
            np.concatenate([air[row] for row in rows]), np.concatenate([found[row] for row in rows])
        )

    estimates = {
        "lung": scores.bootstrap(
            lambda rows: scores.auc(sick[rows].ravel(), odds[rows].ravel()), patients
        ),
        "cell": scores.bootstrap(cell_auc, patients, CELL_REPLICATES),
    }
    for number, side in enumerate(SIDES):
        alone = one & (sick[:, number] == 1)
        if alone.any():
            estimates[side] = scores.mean(found_out[alone], patients[alone])
    # Where no mask fills half a cell there is nothing to tell apart.
    return {name: one for name, one in estimates.items() if np.isfinite(one.value)}


def of_image(sitting: list[EvidenceModel], row: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """What the judges of single folds say of one image, as `tables.with_evidence` has it.

    Parameters
    ----------
    sitting : list of Judge
        One a fold.
    row : (1, m) DataFrame
        Its features, all that the judges were taught from and in their order.
    cells : Cells
        Its cells.

    Returns
    -------
    (1, folds k) DataFrame
    """
    parts = []
    for fold, judge in enumerate(sitting):
        lungs, air = models.predict(judge, by_lung(row), cells)
        names = [f"{name}{AT}{fold}" for name in map_summary.names()]
        found = map_summary.summarise(lungs, air, cells.zones)
        parts.append(pd.DataFrame([found], row.index, names))
    return pd.concat(parts, axis=1)


def main(settings: Settings) -> None:
    """Write the maps, what they say of zones, the folds' judges, metrics.json and settings.json."""
    out = settings.run / "evidence"
    dataset = files.read_table(settings.run / "dataset.parquet")
    if not 0 <= settings.weak_weight < np.inf:
        raise files.UserError(
            f"--weak-weight is {settings.weak_weight}, but must be at least 0; 0 leaves the weak "
            "labels out."
        )
    phantoms = 0
    if settings.phantoms is not None:  # complaints come before any training
        phantoms = read_phantoms(settings.phantoms, dataset["id"]).images
    folds = range(dataset["fold"].max() + 1)
    sittings = [*((k,) for k in folds), *combinations(folds, 2)]
    tables: list[pd.DataFrame] = []
    maps: list[pd.DataFrame] = []
    pairs: list[pd.DataFrame] = []
    bench: list[EvidenceModel] = []
    work = partial(hear, settings=settings)
    heard = parallel.stream(
        work, sittings, "learning the evidence map", settings.jobs, unit="judges"
    )
    for judge, table, drawn in heard:
        tables.append(table)
        (pairs if judge is None else maps).append(drawn)
        bench += [] if judge is None else [judge]
    columns, drawn, taught = (
        pd.concat(parts, ignore_index=True) for parts in (tables, maps, pairs)
    )
    metrics = score(read_training_data(settings.run), columns, drawn)
    # The mark that all is there and of one making: gone first, written last.
    (out / "columns.parquet").unlink(missing_ok=True)
    models.save(out, bench)
    files.write_json(out / "metrics.json", {name: asdict(one) for name, one in metrics.items()})
    taught_by = {"phantoms": phantoms, "phantom_weight": models.PHANTOM_WEIGHT}
    files.write_json(
        out / "settings.json",
        taught_by | {"weak_weight": settings.weak_weight, "seed": settings.seed},
    )
    files.write_table(out / "pairs.parquet", taught)
    files.write_table(out / "map.parquet", drawn)
    files.write_table(out / "columns.parquet", columns)
    print(f"{len(sittings)} judges; out of fold, where masks tell:")
    for name, estimate in metrics.items():
        print(f"  {SCORES[name]} {estimate}")


if __name__ == "__main__":
    command.run(main)
