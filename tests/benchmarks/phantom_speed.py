"""How long a phantom takes on one core, its DICOM written, and how much memory many of them take.

Measured is processor time, which a busy machine stretches less than the clock, of the first images
of a dataset of the default settings. One image before them compiles what is compiled at first use.
Then the largest resident memory after a tenth of them and after all is printed.

    .venv/bin/python tests/benchmarks/phantom_speed.py [images, default 60]
"""

import os

from arguments import arguments_or_help

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from features.phantom import write

GOAL = 150  # ms


def peak() -> float:
    """Largest resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(count: int = 60) -> None:
    """Draw, write and print."""
    with tempfile.TemporaryDirectory() as folder:
        settings = write.Settings(out=Path(folder), train=count + 1, test=1)
        planned = write.plan(settings)[: count + 1]
        (Path(folder) / "stage_2_images").mkdir()
        write.write_image(settings, Path(folder), planned[0])
        milliseconds, memory = [], []
        for image in planned[1:]:
            began = time.process_time()
            write.write_image(settings, Path(folder), image)
            milliseconds.append(1e3 * (time.process_time() - began))
            memory.append(peak())
    print(
        f"{count} phantoms of {settings.size} pixels, one core, DICOM written: "
        f"median {np.median(milliseconds):.0f} ms, 95% within "
        f"{np.quantile(milliseconds, 0.95):.0f} ms (goal: {GOAL} ms)"
    )
    print(
        f"peak memory after {count // 10}: {memory[count // 10]:.0f} MiB; after all: "
        f"{memory[-1]:.0f} MiB"
    )


if __name__ == "__main__":
    main(*map(int, arguments_or_help(__doc__, 0)))
