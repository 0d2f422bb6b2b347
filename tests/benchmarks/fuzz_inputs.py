"""Damaged DICOMs, PNGs, csv files and run-length codes through the public readers.

    python -m tests.benchmarks.fuzz_inputs --count 20000

Half of the cases are DICOMs (native, RLE, JPEG Baseline and JPEG 2000; tags left out, emptied,
given odd values, wrong sizes and types; fragments and bytes changed), a fifth PNGs (chunks with
right checksums and odd headers), a fifth csv files, a tenth codes alone. Each is read in a worker
that may take 5 seconds and 2 GiB; one that hangs or dies is replaced. Allowed is a finite array of
two dimensions, or one sentence of at most 400 signs without control characters; nothing may be
printed. The same seed makes the same cases; `--keep` writes the faults' files into a folder.
"""

import contextlib
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from features.dataset import layouts
from features.reading import images, rle
from features.run.files import UserError
from features.storage.unreadable import UnreadableImage
from tests.benchmarks.damage_inputs import bases, damaged

PATIENCE = 5.0  # seconds
MEMORY = 2 * 2**30  # bytes
LONGEST = 400
SHARES = {"dicom": 0.5, "png": 0.2, "csv": 0.2, "rle": 0.1}
SIZES = {f"i{number}": (64, 64) for number in range(6)}


@dataclass(frozen=True)
class Settings:
    """Send damaged inputs through the readers."""

    count: int = 20_000
    """Number of inputs."""
    seed: int = 0
    """Seed of the damage."""
    kinds: tuple[str, ...] = tuple(SHARES)
    """Kinds of inputs."""
    keep: Path | None = None
    """Folder for the files that make faults."""


# --- readers ------------------------------------------------------------------------------------
def read(kind: str, path: Path) -> str:
    """What a reader makes of an input: "read" or "refused", or else the fault in words."""
    try:
        if kind in ("dicom", "png"):
            result: Any = images.read(path)[1]
        elif kind == "csv":
            codes = layouts.read_annotations(path, SIZES)
            result = np.stack(
                [rle.decode(c, (64, 64)) for c in codes.values()] or [np.zeros((1, 1))]
            )[0]
        else:
            text = path.read_text("utf-8", "replace")
            result = rle.decode(rle.union([text, "0 3"], (64, 64)), (64, 64))
    except (UnreadableImage, UserError) as error:
        words = str(error)
        if len(words.replace(str(path), path.name)) > LONGEST:
            return f"a sentence of {len(words)} signs"
        return "refused" if words.isprintable() else f"control characters: {words[:150]!r}"
    except BaseException as error:  # decoders in Rust panic with something that is no Exception
        return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    if not isinstance(result, np.ndarray) or result.ndim != 2 or not np.isfinite(result).all():
        return f"an array of {np.shape(result)} that is no picture"
    return "read"


def _work(connection: Connection, output: str) -> None:
    """In a worker: read what is sent, with the standard streams in a file."""
    with Path(output).open("wb") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    before = 0
    while True:
        kind, path = connection.recv()
        outcome = read(kind, path)
        sys.stdout.flush()
        sys.stderr.flush()
        printed = Path(output).read_bytes()[before:]
        before += len(printed)
        if printed:
            outcome = f"prints {printed[:150].decode('utf-8', 'replace')!r} ({outcome})"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        connection.send((outcome, peak))


class Worker:
    """A process that reads inputs one by one; it is replaced if it hangs or dies."""

    def __init__(self, folder: Path) -> None:
        self.output = str(folder / "output")
        self.begin()

    def begin(self) -> None:
        """Start the process."""
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.output), daemon=True)
        self.process.start()
        theirs.close()

    def read(self, kind: str, path: Path) -> tuple[str, int]:
        """What became of an input, and the worker's peak memory in bytes."""
        self.connection.send((kind, path))
        outcome = f"more than {PATIENCE:.0f} s"
        with contextlib.suppress(EOFError, ConnectionResetError):
            if self.connection.poll(PATIENCE):
                return self.connection.recv()  # type: ignore[no-any-return]
        self.process.join(0.2)
        if self.process.exitcode is not None:
            outcome = f"the process died ({self.process.exitcode})"
        self.process.kill()
        self.process.join()
        self.begin()
        return outcome, 0


def cases(settings: Settings, folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """Kind, number and content of each input."""
    whole = bases(folder)
    shares = {kind: SHARES[kind] for kind in settings.kinds}
    for kind, share in shares.items():
        for number in range(round(settings.count * share / sum(shares.values()))):
            rng = np.random.default_rng((settings.seed, *kind.encode(), number))
            base = whole[kind][int(rng.integers(len(whole[kind])))]
            yield kind, number, damaged(kind, base, rng)


def main(settings: Settings, show: Callable[[str], None] = print) -> int:
    """Print the faults as they come, then a table by kind. Returns the number of faults."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in settings.kinds}
    peaks, slowest = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        worker = Worker(folder)
        for kind, number, content in cases(settings, folder):
            suffix = {"dicom": "dcm", "rle": "txt"}.get(kind, kind)
            path = folder / f"{kind}-{number}.{suffix}"
            path.write_bytes(content)
            begin = time.monotonic()
            outcome, peak = worker.read(kind, path)
            slowest[kind] = max(slowest[kind], int(1000 * (time.monotonic() - begin)))
            peaks[kind] = max(peaks[kind], peak)
            counts[kind][outcome if outcome in ("read", "refused") else "fault"] += 1
            if outcome not in ("read", "refused"):
                show(f"{path.name}: {outcome}")
                if settings.keep is not None:
                    settings.keep.mkdir(parents=True, exist_ok=True)
                    (settings.keep / path.name).write_bytes(content)
            path.unlink()
        worker.process.kill()
    show(
        f"{'kind':6} {'cases':>6} {'read':>6} {'refused':>8} {'faults':>7} {'slowest':>8} "
        f"{'peak':>8}"
    )
    for kind, count in counts.items():
        show(
            f"{kind:6} {count.total():6} {count['read']:6} {count['refused']:8} {count['fault']:7} "
            f"{slowest[kind]:5} ms {peaks[kind] / 2**20:4.0f} MiB"
        )
    return sum(count["fault"] for count in counts.values())


if __name__ == "__main__":
    sys.exit(min(main(tyro.cli(Settings)), 1))
