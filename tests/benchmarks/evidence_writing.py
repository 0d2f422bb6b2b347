"""Writing, scoring and reading the evidence map of many images, without training any model.

``python tests/benchmarks/evidence_writing.py RUN --images 15252``. The cells of RUN's images are
taken again and again under other ids, four fifths of the images to train, in five folds; what the
models would predict is drawn by chance. Printed are seconds and the process's peak memory so far.
RUN holds a trained evidence map and is only read.
"""

import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from baseline.evidence_map import maps, models, train
from baseline.evidence_map.held_out import FittedModel
from baseline.evidence_map.results import EvidenceSettings
from baseline.evidence_map.training_data import TrainingData, read_training_data
from features.families import map_summary
from features.run.folder import RunFolder

FOLDS, TRAIN_SHARE = 5, 12047 / 15252
IMAGES_A_PATIENT = 3


@dataclass(frozen=True)
class Settings:
    """Time the evidence map's files at any size."""

    run: tyro.conf.Positional[Path]
    """Run folder with cells/ and evidence/."""
    images: int = 15252
    """Number of images."""


def repeated(data: TrainingData, images: int) -> TrainingData:
    """The cells of so many images, whose features nobody needs."""
    source = np.resize(np.arange(len(data.rows)), images)
    counts = np.diff(data.starts)[source]
    number = np.arange(images)
    train_images = number < TRAIN_SHARE * images
    ids = pd.Index([f"i{n:06d}" for n in number])
    cells = pd.concat([data.cells.iloc[data.cells_of(image)] for image in source])
    cells = cells.reset_index(drop=True).assign(
        id=pd.Categorical.from_codes(np.repeat(number, counts), ids),
        image=np.repeat(number, counts),
        share=cells["share"].fillna(cells["weak_share"]).fillna(0).to_numpy(np.float32),
    )
    areas = data.mask_areas[source]
    areas = np.where(np.isnan(areas), np.nan_to_num(data.weak_areas[source]), areas)
    fold = np.where(train_images, number // IMAGES_A_PATIENT % FOLDS, -1)
    rows = pd.DataFrame(
        {
            "id": ids,
            "fold": pd.Series(fold, dtype="Int64").mask(fold < 0),
            "label": np.where(train_images, (areas.sum(axis=1) > 0).astype(float), np.nan),
            "patient": [f"P{n // IMAGES_A_PATIENT}" for n in number],
        }
    )
    starts = np.append(0, np.cumsum(counts))
    return TrainingData(rows, pd.DataFrame(), cells, data.values, starts, areas, areas)


def by_chance(data: TrainingData, model: models.EvidenceModel) -> Iterator[FittedModel]:
    """What the models of all folds and pairs of folds would predict."""
    rng, names = np.random.default_rng(0), map_summary.names()
    fold = data.rows["fold"].to_numpy(float, na_value=np.nan)
    for without in [*((k,) for k in range(FOLDS)), *combinations(range(FOLDS), 2)]:
        single = len(without) == 1
        images = np.flatnonzero(np.isin(fold, without) | (np.isnan(fold) & single))
        other = dict(zip(without, without[::-1], strict=True))
        for_fold = np.array([other.get(fold[image], without[0]) for image in images], np.int64)
        table = pd.DataFrame(rng.random((len(images), len(names)), np.float32), columns=names)
        table.insert(0, "id", data.rows["id"].to_numpy()[images])
        table.insert(0, "for_fold", for_fold)
        cells = int(np.diff(data.starts)[images].sum())
        yield FittedModel(
            model if single else None,
            table,
            images,
            for_fold,
            rng.random((len(images), 2), np.float32),
            rng.random(cells, np.float32),
        )


def main(settings: Settings) -> None:
    """Print a row for each step."""
    run = RunFolder(settings.run).check()
    data = repeated(read_training_data(run), settings.images)
    print(f"{settings.images:,} images, {len(data.cells):,} cells\n")
    print("| step | seconds | peak memory so far, GiB |\n|---|---|---|")
    began = time.monotonic()

    def tell(what: str) -> None:
        nonlocal began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"| {what} | {time.monotonic() - began:.0f} | {peak:.2f} |", flush=True)
        began = time.monotonic()

    tell("its cells in memory")
    with tempfile.TemporaryDirectory() as folder:
        written = RunFolder(Path(folder)).create()
        used = EvidenceSettings("benchmark", 0, 0.5, 0, 0.1, 1.0, 0.3)
        fitted = by_chance(data, models.load(run, 0))
        train._write(written, fitted, FOLDS, used, data)
        tell("maps written and scored")
        del data
        for path in (written.evidence_map.path, written.evidence_pairs.path):
            print(f"| {path.name}: {path.stat().st_size / 1e6:.0f} MB | | |")
        count = len(maps.read(written))
        tell(f"maps of {count:,} images read")
        count = len(maps.read_for_fold(written, 0, pairs=True))
        tell(f"maps of {count:,} images read for one network")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
