"""Studies a second that the U-Nets of a run predict, and that decoding alone would feed them.

``python tests/benchmarks/prediction_speed.py RUN``. RUN holds a dataset and trained networks
(make cnn), of which each study is predicted by one. Measured are the decoding by all cores, the
networks on images in memory, and the whole of `cnn.prediction.predict` in a process of its own;
its maps are made anew.
"""

import argparse
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np

from cnn.devices.mesh import split_processor
from cnn.prediction.networks import load_networks, predict_part
from cnn.prediction.predict import PART, scored_images
from features.run import parallel
from features.run.folder import RunFolder
from features.squares.store import read_square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    run = RunFolder(options.run).check()
    table = scored_images(run)
    table = table[table["fold"].notna()]
    shutil.rmtree(run.maps.path.parent, ignore_errors=True)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "cnn.prediction.predict", "--run", str(run.root)], check=True
    )
    whole = time.perf_counter() - start
    split_processor()
    networks = load_networks(run, table)
    size, count = networks.config.size, len(table)
    read = partial(read_square, size=size)
    items = list(zip(table["path"], zip(table["rows"], table["columns"], strict=True), strict=True))
    list(parallel.stream(read, items[: 2 * parallel.cores()], "start", unit="studies"))
    start = time.perf_counter()
    squares = np.stack(list(parallel.stream(read, items, "decode")))
    decoding = time.perf_counter() - start
    evidence = [np.zeros_like(squares[:PART])] * len(networks.params)
    if not networks.config.evidence:
        evidence = []
    seconds = []
    for _ in range(2):  # the first compiles
        start = time.perf_counter()
        for place in range(0, count, PART):
            part = slice(place, place + PART)
            shown = [planes[: len(squares[part])] for planes in evidence]
            predict_part(networks, squares[part], table["fold"][part], shown)
        seconds.append(time.perf_counter() - start)
    device = jax.devices()[0].device_kind
    print(f"{count} studies, {size}x{size}, {jax.device_count()} x {device}")
    print(f"decoding by {parallel.cores()} cores: {count / decoding:.0f} studies/s")
    print(f"networks: {count / seconds[-1]:.0f} studies/s (compiled in {seconds[0]:.0f} s)")
    print(f"all, process and compilation included: {whole:.1f} s, {count / whole:.0f} studies/s")


if __name__ == "__main__":
    main()
