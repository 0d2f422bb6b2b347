"""Where the time of the feature stage goes, on one core, beside scikit-image called naively.

Per image in milliseconds of processor time: decoding, lung fields, zones and each family; then the
same GLCM, LBP, first-order and edge measures of every zone by scikit-image, SciPy and NumPy, in the
same run on the same images, and the ratio.

    .venv/bin/python tests/benchmarks/features_speed.py <folder of DICOMs> [images, default 40]
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from features import glcm, gradients, images, lbp, lungs, registry, table
from features.prepared import MARGIN, SIDE, Prepared, assemble, grow, prepare, working_size

ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
PROPERTIES = ("contrast", "correlation", "ASM", "entropy", "homogeneity")
COMPARED = ("firstorder", "glcm", "lbp", "gradients")


def naive(image: Prepared) -> None:
    """GLCM, LBP, first-order and edge measures, each zone by itself, as one would write them."""
    bins = (glcm.quantise(image.grey) + 1).astype(np.uint8)
    codes = [
        local_binary_pattern(
            ndimage.gaussian_filter(image.grey, s) if s else image.grey, 8, r, "uniform"
        )
        for r, s in lbp.SCALES.items()
    ]
    smooth = [ndimage.gaussian_filter(image.grey, sigma) for sigma in (1.5, *gradients.SIGMAS)]
    strength = np.hypot(*np.gradient(smooth[0]))
    for number in np.unique(image.zones.stand_in):
        zone = (image.zones.labels == number).any(axis=0)
        box = ndimage.find_objects(zone.astype(np.int8))[0]
        # Level 0 stands for the outside and is cut off.
        matrix = graycomatrix(np.where(zone, bins, 0)[box], glcm.DISTANCES, ANGLES, 17, True)
        for name in PROPERTIES:
            graycoprops(matrix[1:, 1:].astype(float), name)
        for code in codes:
            np.bincount(code[zone].astype(int), minlength=10)
        values = image.grey[zone]
        stats.describe(values)
        np.percentile(values, (10, 25, 75, 90))
        np.percentile(strength[zone], 95)
        for fine, coarse in pairwise(smooth[1:]):
            np.abs(fine - coarse)[zone].mean()


def main(folder: Path, count: int) -> None:
    """Measure `count` images spread over a folder and print the table."""
    paths = sorted(folder.glob("*.dcm"))
    paths = paths[:: max(len(paths) // count, 1)][:count]
    taken: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, work: Callable, *arguments):
        began = time.process_time()
        result = work(*arguments)
        taken[name].append(1e3 * (time.process_time() - began))
        return result

    study, pixels = images.read(paths[0])
    registry.measure(prepare(pixels), study)  # compiles what is compiled at first use
    for path in paths:
        study, pixels = timed("decode", images.read, path)
        image = timed("working size", working_size, pixels)
        fields = timed("lung fields", lungs.segment, image)
        fields = timed("widen the fields", grow, fields, MARGIN * SIDE)
        timed("zones and lung units", assemble, image, fields)
        ready, near = prepare(pixels), prepare(pixels).near_lungs
        for name, family in registry.ZONED.items():
            timed(name, family.measure, ready if hasattr(family, "measure_image") else near)
        timed("whole stage", table.row, str(path))
        fresh = prepare(pixels).near_lungs
        timed("ours", lambda i: [registry.ZONED[name].measure(i) for name in COMPARED], fresh)
        timed("naive", naive, prepare(pixels))
    print(f"{len(paths)} images, one core, milliseconds an image")
    print("| step | median | least | most |\n|---|---|---|---|")
    for name, values in taken.items():
        print(f"| {name} | {np.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")
    ratio = np.array(taken["naive"]) / np.array(taken["ours"])
    print(
        f"{', '.join(COMPARED)}: scikit-image takes {np.median(ratio):.1f} times as long "
        f"({ratio.min():.1f} to {ratio.max():.1f})"
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Applying `local_binary_pattern`")
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40)
