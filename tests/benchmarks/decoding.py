"""What one more decoding of each file costs, and what it would take to do without.

``python tests/benchmarks/decoding.py <folder of DICOMs> [images]``. `make dataset` decodes every
file once to check it, and `make measure` once for features, cells and the U-Net's squares. Medians
of milliseconds an image, on one core in turn:

- check: what `make dataset` does with a file;
- tags: what it would do without looking at the pixels;
- features and cells, and with them the square: what `make measure` does;
- square from the file: a decoding for the U-Net alone.

And what it would take for the check to hand its pixels on: kilobytes an image, and milliseconds to
read them back, compressed without loss, whole and at the size at which features are measured.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from arguments import arguments_or_help

from features.lungs.prepared import working_size
from features.measuring.one_image import Choice, Item, measure_image
from features.reading import dicom_image, images
from features.squares.store import read_square

SIDE = 128
CODEC = "zstd"
# A working image's grey levels are means of stored ones; 16 bits keep them.
LEVELS = {"whole, 8 bits": (255, np.uint8), "working size, 16 bits": (65535, np.uint16)}


def median_times(works: dict[str, Callable[[Path], object]], paths: list[Path]) -> dict[str, float]:
    """Median milliseconds of each work on all files; the first file of all is left out."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for path in paths:
        for name, work in works.items():
            began = time.perf_counter()
            work(path)
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: float(np.median(values[1:])) for name, values in times.items()}


def item_of(path: Path) -> Item:
    """A file as an image to measure, without a mask."""
    study, _ = images.read(path)
    return Item(str(path), (study.rows, study.columns))


def kept(pixels: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Kilobytes of each array, compressed, and milliseconds to read it back."""
    sizes = {}
    for name, values in pixels.items():
        packed = pa.compress(values.tobytes(), codec=CODEC, asbytes=True)
        began = time.perf_counter()
        pa.decompress(packed, values.nbytes, codec=CODEC, asbytes=True)
        sizes[name] = len(packed) / 1e3, 1e3 * (time.perf_counter() - began)
    return sizes


def stored(path: Path) -> dict[str, tuple[float, float]]:
    """What keeping an image's pixels takes, see `kept`."""
    _, pixels = images.read(path)
    arrays = (pixels, working_size(pixels))
    return kept(
        {
            name: np.rint(array * top).astype(kind)
            for (name, (top, kind)), array in zip(LEVELS.items(), arrays, strict=True)
        }
    )


def main() -> None:
    """Print both tables."""
    folder, *count = arguments_or_help(__doc__)
    paths = sorted(Path(folder).rglob("*.dcm"))[: int(count[0]) if count else 40]
    items = {path: item_of(path) for path in paths}
    works: dict[str, Callable[[Path], object]] = {
        "check": images.read,
        "tags": dicom_image.open_dicom,
        "features and cells": lambda path: measure_image(items[path]),
        "features, cells and square": lambda path: measure_image(items[path], Choice(side=SIDE)),
        "square from the file": lambda path: read_square((str(path), items[path].size), SIDE),
    }
    print("| work | ms |", "|---|---|", sep="\n")
    for name, value in median_times(works, paths).items():
        print(f"| {name} | {value:.1f} |")
    print("\n| kept | kB | ms to read back |", "|---|---|---|", sep="\n")
    sizes = [stored(path) for path in paths]
    for name in LEVELS:
        size, back = np.mean([one[name] for one in sizes], axis=0)
        print(f"| {name} | {size:.0f} | {back:.1f} |")


if __name__ == "__main__":
    main()
