"""Where the time of the measuring stage goes, on one core, beside scikit-image called naively.

Per image in milliseconds of processor time, which a busy machine stretches less than the clock, and
as a share of the whole stage: decoding, lung fields, zones, each family and the cells. Then, in the
same run on the same images, the GLCM, LBP, first-order and edge measures of every zone by
scikit-image, SciPy and NumPy, and the ratio. The whole stage is timed by the clock as well, and the
features without the cells by themselves.

    .venv/bin/python tests/benchmarks/features_speed.py <folder of DICOMs> [images, default 40]
"""

import os

from arguments import arguments_or_help

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from features.cells import measure as cell_measures
from features.families import glcm, gradients, lbp, registry
from features.families.family import Family
from features.lungs import fields as lung_fields
from features.lungs import zones
from features.lungs.prepared import MARGIN, SIDE, Prepared, grow, prepare, working_size
from features.measuring.one_image import Item, measure_image
from features.reading import images
from features.reading.study import Study

ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
PROPERTIES = ("contrast", "correlation", "ASM", "entropy", "homogeneity")
STAGE, BY_CLOCK, OURS, NAIVE = "whole stage", "whole stage, by the clock", "ours", "naive"
FEATURES_ALONE = "features alone"
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


def ours(image: Prepared) -> None:
    """The same measures, and some more, by our families."""
    for name in COMPARED:
        registry.MEASURED[name].measure_zones(image)


def features_alone(path: Path) -> None:
    """All features of an image from its file, as `features.measure` measures them."""
    study, pixels = images.read(path)
    registry.measure(prepare(pixels), study, registry.DEFAULT)


def _measure_family(family: Family, study: Study, image: Prepared) -> None:
    if family.measure_zones:
        family.measure_zones(image)
    if family.measure_image:
        family.measure_image(image, study)


def measure(paths: list[Path]) -> dict[str, list[float]]:
    """Milliseconds that each step takes, image by image."""
    taken: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, work: Callable, *arguments):
        began = time.process_time()
        result = work(*arguments)
        taken[name].append(1e3 * (time.process_time() - began))
        return result

    for path in paths:
        study, pixels = timed("decode", images.read, path)
        image = timed("working size", working_size, pixels)
        fields = timed("lung fields", lung_fields.segment, image)
        fields = timed("widen the fields", grow, fields, MARGIN * SIDE)
        timed("zones", zones.build, fields)
        ready = prepare(pixels)
        near = ready.near_lungs
        for name in (name for name in registry.DEFAULT if name in registry.MEASURED):
            family = registry.MEASURED[name]
            whole = family.measure_image is not None
            # What families share is counted for the first that asks for it.
            timed(name, _measure_family, family, study, ready if whole else near)
        timed("cells", cell_measures.measure, ready)
        began = time.perf_counter()
        timed(STAGE, measure_image, Item(str(path), pixels.shape))
        taken[BY_CLOCK].append(1e3 * (time.perf_counter() - began))
        timed(FEATURES_ALONE, features_alone, path)
        timed(OURS, ours, prepare(pixels).near_lungs)
        timed(NAIVE, naive, prepare(pixels))
    return taken


def main(folder: Path, count: int = 40) -> None:
    """Measure `count` images spread over a folder and print the table."""
    paths = sorted(folder.glob("*.dcm"))
    paths = paths[:: max(len(paths) // count, 1)][:count]
    measure(paths[:1])  # compiles what is compiled at first use
    taken = {name: np.array(values) for name, values in measure(paths).items()}
    stage, ratio = taken[STAGE], taken[NAIVE] / taken[OURS]
    print(f"{len(paths)} images, one core, milliseconds of processor time an image")
    print("| step | median | least | most | share |\n|---|---|---|---|---|")
    for name, values in taken.items():
        figures = f"{np.median(values):.1f} | {min(values):.1f} | {max(values):.1f}"
        share = "" if name in (OURS, NAIVE, BY_CLOCK) else f"{values.sum() / stage.sum():.0%}"
        print(f"| {name} | {figures} | {share} |")
    print(
        f"{', '.join(COMPARED)}: scikit-image takes {np.median(ratio):.1f} times as long "
        f"({ratio.min():.1f} to {ratio.max():.1f})"
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Applying `local_binary_pattern`")
    folder, *count = arguments_or_help(__doc__)
    main(Path(folder), *map(int, count))
