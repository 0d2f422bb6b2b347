"""Time our GLCM, run-length and first-order families beside pyradiomics and nyxus.

The same 36 zones of the same images, each peer in its own Python, one core, processor time, the
second of two measurements of each image. Prints milliseconds an image and the ratios.

    python3.9 -m venv peer && peer/bin/pip install 'numpy<1.27' pyradiomics
    .venv/bin/python tests/benchmarks/features_peers.py <folder of DICOMs> \
        pyradiomics=peer/bin/python [nyxus=<its python>] [--images 10]
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from features.families import registry
from features.lungs.prepared import Prepared, prepare
from features.reading import images

FAMILIES = ("firstorder", "glcm", "glrlm")
ONE_CORE = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1"
)


def ours(image: Prepared) -> float:
    """Seconds that our families take on an image."""
    began = time.process_time()
    for name in FAMILIES:
        registry.MEASURED[name].measure_zones(image)
    return time.process_time() - began


def main() -> None:
    """Measure the images by all and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("peers", nargs="+", help="pyradiomics=PYTHON or nyxus=PYTHON")
    parser.add_argument("--images", type=int, default=10)
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*.dcm"))
    paths = paths[:: max(len(paths) // options.images, 1)][: options.images]
    seconds: dict[str, list[float]] = {"ours": []}
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(paths):
            pixels = images.read(path)[1]
            ours(prepare(pixels))
            image = prepare(pixels)
            seconds["ours"].append(ours(image))
            # Peers take 0 for the outside.
            layers = image.zones.labels + np.int8(1)
            np.savez(Path(folder) / f"{number:04d}.npz", grey=image.grey, layers=layers)
        for peer in options.peers:
            name, _, python = peer.partition("=")
            script = Path(__file__).with_name("peers.py")
            measured = subprocess.run(
                [python, script, name, folder],
                env=os.environ | ONE_CORE,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            seconds[name] = [float(line) for line in measured.stdout.split()]
    print(f"{', '.join(FAMILIES)} of 36 zones, {len(paths)} images, one core")
    print("| by | ms an image, median | times ours, median (least to most) |\n|---|---|---|")
    for name, values in seconds.items():
        ratio = np.array(values) / np.array(seconds["ours"])
        spread = f"{np.median(ratio):.1f} ({ratio.min():.1f} to {ratio.max():.1f})"
        print(f"| {name} | {1e3 * np.median(values):.0f} | {spread} |")


if __name__ == "__main__":
    main()
