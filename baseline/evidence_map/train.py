"""The evidence map: where the air of a pneumothorax lies, cell by cell.

No image of a fold is predicted by an evidence model (see `baseline.evidence_map.models`) that saw
it or its patient. And no fold model of the classifier learns from an evidence model that saw the
fold it is scored on: the classifier of fold k gets, for images of fold m, the evidence model that
saw neither k nor m, and for all others the one that did not see fold k. The U-Net of fold k sees
the maps in the same way.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import combinations, islice
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd

from baseline.evidence_map import held_out, models, results
from baseline.evidence_map.fit import SourceWeights
from baseline.evidence_map.held_out import FittedModel, Training
from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.results import EvidenceScores, EvidenceSettings
from baseline.evidence_map.training_data import TrainingData
from baseline.learning.training_rows import training_rows
from features.run import command, files, parallel
from features.run.files import UserError
from features.run.folder import RunFolder
from features.run.version import VERSION


@dataclass(frozen=True)
class Settings(SourceWeights):
    """Learn the evidence map of RUN and draw it for every image, into RUN/evidence/."""

    run: Path
    """Run folder with features.parquet and cells/."""
    auxiliary: Path | None = None
    """Run folder with cells/ of auxiliary phantoms, which help to learn where the air lies."""
    seed: int = 0
    """Seed of the boosters."""
    jobs: int = -1
    """Models trained at once; -1 for one a core."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers train the models;
    they must find the run folders under the same paths."""


def main(settings: Settings) -> None:
    """Write the maps, their summaries by zone, the folds' models, metrics.json, settings.json."""
    run = RunFolder(settings.run).check()
    dataset = run.images()
    weights = _source_weights(settings)
    if settings.auxiliary is not None:
        RunFolder(settings.auxiliary).check()
    training = Training(settings.run, settings.auxiliary, weights, settings.seed, uuid4().hex)
    data, auxiliary = held_out.read(training)  # errors come before any training
    folds = range(int(training_rows(dataset)["fold"].max()) + 1)
    left_out = [*((fold,) for fold in folds), *combinations(folds, 2)]
    work = partial(held_out.fit_and_predict, training=training)
    what = "learning the evidence map"
    fitted = parallel.stream(work, left_out, what, settings.jobs, settings.scheduler, "models")
    phantoms = 0 if auxiliary is None else auxiliary.images
    used_settings = EvidenceSettings(
        VERSION,
        settings.seed,
        weights.weak_weight,
        phantoms,
        weights.auxiliary_weight,
        weights.weak_mask_weight,
        weights.healthy_weight,
    )
    scores = _write(run, fitted, len(folds), used_settings, data)
    held_out.read.cache_clear()
    print(f"{len(left_out)} models; out of fold, where masks are known:")
    for name, estimate in asdict(scores).items():
        if estimate is not None:
            print(f"  {results.IN_WORDS[name]} {getattr(scores, name)}")


def _source_weights(settings: Settings) -> SourceWeights:
    """The weights among the settings.

    Raises
    ------
    UserError
        If one is out of range.
    """
    weights = {field.name: getattr(settings, field.name) for field in fields(SourceWeights)}
    for name, weight in weights.items():
        if not 0 <= weight < np.inf:
            raise UserError(
                f"--{name.replace('_', '-')} is {weight}, but must be at least 0; 0 leaves this "
                "source out."
            )
    return SourceWeights(**weights)


def _write(
    run: RunFolder,
    fitted: Iterator[FittedModel],
    folds: int,
    settings: EvidenceSettings,
    data: TrainingData,
) -> EvidenceScores:
    """Write all files as the models come, those of single folds first.

    The table by zone comes last and marks that the others are complete.
    """
    tables: list[pd.DataFrame] = []
    single: list[EvidenceModel] = []
    # Of each cell, by the model that did not see its fold.
    probability = np.full(len(data.cells), np.nan, np.float32)
    fold = data.rows["fold"].to_numpy(float, na_value=np.nan)

    def rows_of(count: int | None) -> Iterator[pd.DataFrame]:
        for part in islice(fitted, count):
            tables.append(part.by_zone)
            if part.model is not None:
                single.append(part.model)
                counts = np.diff(data.starts)[part.images]
                own = np.repeat(fold[part.images] == part.for_fold, counts)
                cells = held_out.ranges(data.starts[part.images], counts)
                probability[cells[own]] = part.probability[own]
            yield from held_out.rows_of_map(data, part)

    run.evidence_by_zone.path.unlink(missing_ok=True)
    run.evidence_map.write_groups(rows_of(folds), noted=("for_fold",))
    run.evidence_pairs.write_groups(rows_of(None), noted=("for_fold",))
    models.save(run, single)
    table = pd.concat(tables, ignore_index=True)
    scores = results.score(data, table, probability)
    files.write_record(run.evidence_metrics, scores)
    files.write_record(run.evidence_settings, settings)
    run.evidence_by_zone.write(table)
    return scores


if __name__ == "__main__":
    command.run(main)
