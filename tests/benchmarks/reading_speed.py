"""Time to read the same DICOM files by two checkouts, in turns, and whether the arrays are equal.

``python tests/benchmarks/reading_speed.py <folder of files> <other checkout> [count]``: the other
checkout's code runs with its own ``.venv`` if it has one. Each checkout reads all files several
times in processes of its own that take turns; the best time of each counts.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from arguments import arguments_or_help

READ = """
import hashlib, json, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from features.reading import images
paths = [Path(line) for line in sys.stdin.read().splitlines()]
digest, seconds = hashlib.sha256(), 0.0
for path in paths[:5]:
    images.read(path)
for path in paths:
    start = time.process_time()
    study, pixels = images.read(path)
    seconds += time.process_time() - start
    digest.update(pixels.tobytes())
    digest.update(repr((study.id, study.rows, study.columns, study.spacing_mm, study.view,
                        study.age, study.sex, study.patient)).encode())
print(json.dumps([1000 * seconds / len(paths), digest.hexdigest()]))
"""
ROUNDS = 5


def read(checkout: Path, paths: list[Path]) -> tuple[float, str]:
    """Milliseconds a file, and a digest of arrays and tags."""
    own = checkout / ".venv" / "bin" / "python"
    done = subprocess.run(
        [own if own.exists() else sys.executable, "-c", READ],
        input="\n".join(map(str, paths)),
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    milliseconds, digest = json.loads(done.stdout)
    return milliseconds, digest


def main(folder: str, other: str, count: str = "200") -> None:
    """Print times, their ratio, and whether what was read is the same."""
    paths = sorted(Path(folder).resolve().glob("*.dcm"))
    paths = paths[:: max(len(paths) // int(count), 1)][: int(count)]
    checkouts = {"this": Path.cwd(), "other": Path(other)}
    rounds = [{name: read(at, paths) for name, at in checkouts.items()} for _ in range(ROUNDS)]
    best = {name: min(turn[name][0] for turn in rounds) for name in checkouts}
    digests = {name: {turn[name][1] for turn in rounds} for name in checkouts}
    sources = hashlib.sha256("\n".join(path.name for path in paths).encode()).hexdigest()[:8]
    print(f"{len(paths)} files ({sources}): {best['this']:.2f} ms a file, {best['other']:.2f} in")
    print(f"{other}; ratio {best['this'] / best['other']:.3f};", end=" ")
    print("the same arrays and tags" if digests["this"] == digests["other"] else "NOT THE SAME")


if __name__ == "__main__":
    main(*arguments_or_help(__doc__ or "", 2))
