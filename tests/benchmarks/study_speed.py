"""One X-ray from file to mask on one core, part by part: ``study_speed.py <run> <images>...``.

As a run's first fold would predict it: the evidence map needs the lung fields, all measures and all
cells; the U-Net sees it beside the X-ray. The first image compiles and is not counted; times are
medians over the others, so give at least two.
"""

# ruff: noqa: E402

import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before any library counts the cores

import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
from arguments import arguments_or_help

from baseline.evidence_map import models
from baseline.evidence_map.maps import EvidenceMap
from baseline.evidence_map.training_data import by_lung
from baseline.explanation import one_study, trained_run
from baseline.explanation.trained_run import TrainedRun
from baseline.learning import feature_table
from cnn.data import planes
from cnn.gate import masks
from cnn.prediction.networks import Networks, load_networks, probabilities
from cnn.prediction.predict import scored_images
from features.cells import measure as cell_measures
from features.families import registry
from features.lungs.prepared import prepare
from features.reading import images
from features.run.folder import RunFolder
from features.squares.geometry import square_bytes

FOLD, MASK_SHARE = 0, 4
PARTS = (
    "decode",
    "lung fields, zones and lung units",
    "measures",
    "cells",
    "evidence map",
    "U-Net",
    "mask",
)


def timed(path: Path, trained: TrainedRun, networks: Networks) -> list[float]:
    """Milliseconds of each of `PARTS`."""
    measured = list(trained.features.measured.columns)
    stamps = [time.perf_counter()]

    def done() -> None:
        stamps.append(time.perf_counter())

    study, pixels = images.read(path)
    done()
    image = prepare(pixels)
    done()
    values = registry.measure(image, study, one_study.families(measured))
    table = feature_table.one_row(study.id, values, measured)
    done()
    cells = cell_measures.measure(image)
    done()
    lungs, air = models.predict(trained.evidence_models[FOLD], by_lung(table), cells)
    halves = (part.astype(np.float32) for part in (air, lungs[cells.sides]))
    evidence_maps = {study.id: EvidenceMap(cells.rows, cells.columns, *halves)}
    rows = pd.DataFrame({"id": [study.id], "rows": [study.rows], "columns": [study.columns]})
    plane = next(planes.draw(evidence_maps, rows, networks.config.size))
    done()
    square = square_bytes(pixels, networks.config.size)
    inputs = np.stack([square, plane], axis=-1)[None]
    drawn = probabilities(networks.params[FOLD], inputs, networks.config, networks.flip)
    probability = np.asarray(drawn)[0]
    done()
    masks.cut(masks.to_original(probability, (study.rows, study.columns)), MASK_SHARE)
    done()
    return list(1e3 * np.diff(stamps))


def main(run: RunFolder, paths: list[Path]) -> None:
    """Print a table of the parts, their sum, and what the U-Net by itself needs."""
    trained = trained_run.read(run.check())
    networks = load_networks(run, scored_images(run))
    times = np.array([timed(path, trained, networks) for path in paths])[1:]
    print("| part | ms |\n|---|---|")
    for part, value in zip(PARTS, np.median(times, axis=0), strict=True):
        print(f"| {part} | {value:.0f} |")
    alone = times[:, [PARTS.index(part) for part in ("decode", "U-Net", "mask")]].sum(axis=1)
    print(f"| all, median of {len(times)} X-rays | {np.median(times.sum(axis=1)):.0f} |")
    print(f"| decode, U-Net and mask alone | {np.median(alone):.0f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak memory {peak:.2f} GiB")


if __name__ == "__main__":
    folder, *paths = map(Path, arguments_or_help(__doc__, 3))
    main(RunFolder(folder), paths)
