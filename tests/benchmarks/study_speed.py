"""One X-ray from file to mask on one core, part by part: ``study_speed.py <run> <images>...``.

As a run's first fold would judge it: the evidence map needs the lung fields, all measures and all
cells; the U-Net sees it beside the X-ray. The first image compiles and is not counted; times are
medians over the others, so give at least two.
"""

import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before any library counts the cores

import resource  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from arguments import given  # noqa: E402

from baseline.evidence_map import maps, models
from baseline.evidence_map.training_data import by_lung  # noqa: E402
from baseline.explanation import one_study
from baseline.learning import feature_table  # noqa: E402
from cnn.data import geometry, planes
from cnn.gate import masks
from cnn.prediction import predict  # noqa: E402
from features.cells import measure
from features.families import registry
from features.lungs.prepared import prepare  # noqa: E402
from features.reading import images  # noqa: E402

FOLD, MASK_LEVEL = 0, 5
PARTS = (
    "decode",
    "lung fields, zones and lung units",
    "measures",
    "cells",
    "evidence map",
    "U-Net",
    "mask",
)


def judge(path: Path, trained: one_study.Trained, networks: predict.Networks) -> list[float]:
    """Milliseconds of each of `PARTS`."""
    stamps = [time.perf_counter()]

    def done() -> None:
        stamps.append(time.perf_counter())

    study, pixels = images.read(path)
    done()
    image = prepare(pixels)
    done()
    found = registry.measure(image, study, one_study.families(trained.measured))
    table = feature_table.one_row(study.id, found, trained.measured)
    done()
    known = measure.measure(image)
    done()
    lungs, air = models.predict(trained.sitting[FOLD], by_lung(table), known)
    halves = (each.astype(np.float32) for each in (air, lungs[known.sides]))
    warm = {study.id: maps.EvidenceMap(known.rows, known.columns, *halves)}
    rows = pd.DataFrame({"id": [study.id], "rows": [study.rows], "columns": [study.columns]})
    plane = next(planes.draw(warm, rows, networks.config.size))
    done()
    square = np.rint(255 * geometry.to_square(pixels, networks.config.size)).astype(np.uint8)
    seen = np.stack([square, plane], axis=-1)[None]
    drawn = predict.probabilities(networks.params[FOLD], seen, networks.config, networks.flip)
    probability = np.asarray(drawn)[0]
    done()
    masks.cut(masks.to_original(probability, (study.rows, study.columns)), MASK_LEVEL)
    done()
    return list(1e3 * np.diff(stamps))


def main(run: Path, paths: list[Path]) -> None:
    """Print a table of the parts, their sum, and what the U-Net by itself needs."""
    trained = one_study.read_trained(run)
    networks = predict.load_networks(run, predict.scored_images(run))
    times = np.array([judge(path, trained, networks) for path in paths])[1:]
    print("| part | ms |\n|---|---|")
    for part, value in zip(PARTS, np.median(times, axis=0), strict=True):
        print(f"| {part} | {value:.0f} |")
    alone = times[:, [PARTS.index(part) for part in ("decode", "U-Net", "mask")]].sum(axis=1)
    print(f"| all, median of {len(times)} X-rays | {np.median(times.sum(axis=1)):.0f} |")
    print(f"| decode, U-Net and mask alone | {np.median(alone):.0f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\npeak memory {peak:.2f} GiB")


if __name__ == "__main__":
    run, *paths = map(Path, given(__doc__, 3))
    main(run, paths)
