"""How often the calibration error's 95% interval holds the true error, where that is known.

    .venv/bin/python tests/benchmarks/calibration_coverage.py [SAMPLES]

Log-odds are normal with mean -0.5 and deviation 1.5, as wide as a classifier's; two images a
patient.
"""

from functools import partial

import numpy as np
from arguments import arguments_or_help
from scipy.special import expit

from baseline.learning import calibrate, scores


def main(samples: int = 1000) -> None:
    """Print one row a number of images and kind of error."""
    scores.resamples = partial(scores.resamples, replicates=300)
    population = np.sort(np.random.default_rng(0).normal(-0.5, 1.5, 400_000))
    print("| images | log-odds lack | true error | mean estimate | held | mean width |")
    print("|---|---|---|---|---|---|")
    for n in (150, 500):
        bins = int(np.clip(n // calibrate.BIN, 1, calibrate.MOST_BINS))
        for slope, intercept in ((1.0, 0.0), (1.0, -0.8), (0.4, 0.0)):
            gaps = np.array_split(expit(population) - expit(slope * population + intercept), bins)
            true_error = np.sqrt(np.mean([part.mean() ** 2 for part in gaps]))
            estimates = []
            for seed in range(samples):
                rng = np.random.default_rng([n, seed])
                log_odds = rng.normal(-0.5, 1.5, n)
                labels = (rng.random(n) < expit(slope * log_odds + intercept)).astype(float)
                patients = (np.arange(n) // 2).astype(object)
                estimates.append(calibrate.calibration_error(labels, expit(log_odds), patients))
            held = np.mean([error.low <= true_error <= error.high for error in estimates])
            value = np.mean([error.value for error in estimates])
            width = np.mean([error.high - error.low for error in estimates])
            print(f"| {n} | slope {slope}, intercept {intercept} | {true_error:.3f} | {value:.3f} "
                  f"| {held:.3f} | {width:.3f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*map(int, arguments_or_help(__doc__, 0)))
