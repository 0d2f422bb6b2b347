"""How long an implant takes on one core at 1024x1024, beyond reading the image and its lungs.

Measured is processor time, which a busy machine stretches less than the clock, of implants in
phantoms without pneumothorax. One implant before them compiles what is compiled at first use.

    .venv/bin/python tests/benchmarks/implant_speed.py [implants, default 60]
"""

import os

from arguments import arguments_or_help

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import time

import numpy as np

from features.implant.draw import implant
from features.lungs.fields import segment
from features.lungs.prepared import working_size
from features.phantom.radiograph import phantom

GOAL = 60  # ms
PHANTOMS = 6


def main(count: int = 60) -> None:
    """Draw and print."""
    pictures = [
        phantom(seed, pneumothorax=False).pixels.astype(np.float32) / 255
        for seed in range(PHANTOMS)
    ]
    fields = [segment(working_size(pixels)) for pixels in pictures]
    implant(pictures[0], fields[0], np.random.default_rng(0))
    milliseconds = []
    for number in range(count):
        k = number % PHANTOMS
        began = time.process_time()
        implant(pictures[k], fields[k], np.random.default_rng(number))
        milliseconds.append(1e3 * (time.process_time() - began))
    print(
        f"{count} implants at 1024x1024, one core: median {np.median(milliseconds):.0f} ms, 95% "
        f"within {np.quantile(milliseconds, 0.95):.0f} ms (goal: {GOAL} ms)"
    )


if __name__ == "__main__":
    main(*map(int, arguments_or_help(__doc__, 0)))
