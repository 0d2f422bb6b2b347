"""Show that the memory of the measuring stage does not grow with the number of images.

Measures features and cells of a run's images once and then twice over (under other ids), and prints
each time the peak of memory over the whole process tree; see memory.py.

    .venv/bin/python tests/benchmarks/features_memory.py <run folder with dataset.parquet>
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from arguments import arguments_or_help
from memory import peak_of

from features.run.folder import RunFolder


def main(run: RunFolder) -> None:
    """Print time and peak memory of the run's images, once and twice over."""
    dataset = run.check().dataset.read()
    print("| images | minutes | peak memory, GiB |\n|---|---|---|", flush=True)
    for times in (1, 2):
        copies = [dataset.assign(id=dataset["id"] + f".{copy}") for copy in range(times)]
        with tempfile.TemporaryDirectory() as folder:
            copied = RunFolder(Path(folder))
            copied.create()
            copied.dataset.write(pd.concat(copies))
            command = [sys.executable, "-m", "features.measure", "--run", folder]
            status, seconds, peak = peak_of(command)
            if status:
                sys.exit(status)
        print(f"| {times * len(dataset)} | {seconds / 60:.1f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main(RunFolder(Path(arguments_or_help(__doc__)[0])))
