"""Show that the feature stage's memory does not grow with the number of images.

Measures a run's images once and then twice over (under other ids), and prints each time the peak of
memory over the whole process tree; see memory.py.

    .venv/bin/python tests/benchmarks/features_memory.py <run folder with dataset.parquet>
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from arguments import given
from memory import peak_of


def main(run: Path) -> None:
    """Print time and peak memory of the run's images, once and twice over."""
    dataset = pd.read_parquet(run / "dataset.parquet")
    print("| images | minutes | peak memory, GiB |\n|---|---|---|", flush=True)
    for times in (1, 2):
        copies = [dataset.assign(id=dataset["id"] + f".{copy}") for copy in range(times)]
        with tempfile.TemporaryDirectory() as folder:
            pd.concat(copies).to_parquet(Path(folder) / "dataset.parquet")
            command = [sys.executable, "-m", "features.measure", "--run", folder]
            status, seconds, peak = peak_of(command)
            if status:
                sys.exit(status)
        print(f"| {times * len(dataset)} | {seconds / 60:.1f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main(Path(given(__doc__)[0]))
