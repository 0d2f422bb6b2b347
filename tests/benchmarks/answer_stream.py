"""Many X-rays in one go: ``python -m tests.benchmarks.answer_stream FOLDER``.

`pneumothorax predict FOLDER --json` answers on links to the X-rays of a folder and on a few files
that are none. Printed are answers a second, the process's memory as they come, and whether each
file has its one line. Linux only.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from features.storage import listing

# Memory is printed after so many more lines.
EVERY = 100


@dataclass(frozen=True)
class Settings:
    """Answer on many X-rays in one go."""

    folder: tyro.conf.Positional[Path]
    """X-rays; if there are fewer than COUNT, each is answered more than once."""
    run: Path | None = None
    """Run folder that has come as far as its gate; without it the model that ships."""
    count: int = 1000
    """How many files, without the bad ones."""
    bad: int = 10
    """How many files among them that are no X-rays."""


def lay_out(settings: Settings, folder: Path) -> int:
    """Fill a folder with links and bad files; the number of files."""
    paths = listing.expanded([settings.folder])
    for number in range(settings.count):
        path = paths[number % len(paths)].resolve()
        (folder / f"{number:05d}-{path.name}").symlink_to(path)
    for number in range(settings.bad):
        place = number * settings.count // settings.bad
        (folder / f"{place:05d}-bad.dcm").write_text("Dear radiologist, " * 40)
    return settings.count + settings.bad


def memory(pid: int) -> float:
    """Memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def main(settings: Settings) -> int:
    """Stream, and count; 1 if a file has not its line."""
    command = [sys.executable, "-m", "cnn.study.cli", "predict", "--json"]
    command += [] if settings.run is None else ["--run", str(settings.run)]
    answers = refusals = 0
    with tempfile.TemporaryDirectory() as folder:
        files = lay_out(settings, Path(folder))
        start = time.monotonic()
        with subprocess.Popen(
            [*command, folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                refused = "error" in json.loads(line)
                refusals, answers = refusals + refused, answers + (not refused)
                if (answers + refusals) % EVERY == 0:
                    seconds = time.monotonic() - start
                    print(
                        f"{answers + refusals} lines, {seconds:.0f} s, "
                        f"{memory(process.pid):.0f} MiB",
                        flush=True,
                    )
            seconds = time.monotonic() - start
        status = process.returncode
    print(
        f"{answers} answers, {refusals} refusals of {files} files in {seconds:.0f} s "
        f"({1000 * seconds / files:.0f} ms a file), exit status {status}"
    )
    return int(
        (answers, refusals, bool(status)) != (settings.count, settings.bad, settings.bad > 0)
    )


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings)))
