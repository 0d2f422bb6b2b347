"""A disk that fills at many moments, and folders that may only be read.

    python -m tests.benchmarks.full_disk

needs the right to mount a tmpfs (as root). It draws phantoms (24 and 6) and runs the pipeline by
make twice, both times in a tmpfs: once with room for everything, noting the most that each stage
takes, and once on a disk of 3 MB that grows as little as possible: before each stage it gets room
for some share of what the stage takes, at which the stage must fail, and only then enough. Last,
each stage works on a finished run that may only be read, and on a dataset that may only be read.

A stage that fails must do so with a status other than 0 and one sentence of one line, less than 400
signs, without a traceback or a word beside what it says in peace; all files that were there must
have the same bytes, and no temporary file may be left. In the end every file must have the bytes of
the run with room. 10 minutes on two cores.
"""

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from tests.benchmarks import stages
from tests.benchmarks.stages import ROOT

PAGE = 4096
LONGEST = 400
# What make calls each stage, in the order of the work; RUN stands for the run folder.
TARGETS = {
    "features.dataset.read": "dataset",
    "features.measure": "measure",
    "baseline.evidence_map.train": "evidence",
    "baseline.classifier.train": "classifier",
    "baseline.explanation.shap_values": "shap",
    "baseline.evaluation.shortcuts": "shortcuts",
    "baseline.evaluation.faithfulness": "faithfulness",
    "cnn.training.train": "RUN/cnn/settings.json",
    "cnn.prediction.predict": "cnn",
    "cnn.gate.evaluate": "gate",
    "cnn.submission.write": "RUN/submission.csv",
    "baseline.report.write": "report",
    "baseline.audit.write": "audit",
}
# The audit ends with 1 where a check fails; its files are written then too.
FINDINGS = re.compile(r"make: \*\*\* \[Makefile:\d+: audit\] Error 1")
# Kept while a fold is trained; gone once it is, though the disk is full at the next.
OF_TRAINING = ("evidence.npy",)


@dataclass(frozen=True)
class Settings:
    """Run a small pipeline on a disk that fills, and on folders that may only be read."""

    moments: int = 5
    """Moments a stage at which the disk is full."""
    smallest: int = 3_000_000
    """Bytes of the disk at first; less, where the first stages would have room."""
    room: int = 400_000_000
    """Bytes of the disk with room for everything."""
    epochs: int = 2
    """Epochs of the network."""
    first: int = len(TARGETS)
    """Only so many of the first stages."""


class Disk:
    """A tmpfs of its own, of a size that can be changed, that may only be read if asked for."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def _mount(self, *options: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *options, "tmpfs", self.place], capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(
                f"{self.place}: no tmpfs can be mounted ({done.stderr.strip()}); run this as root"
            )

    @contextmanager
    def mounted(self, size: int) -> Iterator[Path]:
        """Mount it empty; yields its folder."""
        self.place.mkdir(exist_ok=True)
        self._mount("-o", f"size={size}")
        try:
            yield self.place
        finally:
            subprocess.run(["umount", self.place], check=True)

    def resize(self, size: int) -> None:
        """Give it another size, in bytes, that holds at least what is there."""
        self._mount("-o", f"remount,size={max(size, self.used(), PAGE)}")

    def only_read(self, yes: bool) -> None:
        """Whether it may be written to."""
        self._mount("-o", f"remount,{'ro' if yes else 'rw'}")

    def used(self) -> int:
        """Bytes that are taken."""
        space = os.statvfs(self.place)
        return (space.f_blocks - space.f_bfree) * space.f_frsize


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Parameters
    ----------
    status : int
    lines : list of str
        Of its standard error, without make's own.
    peak : int
        The most bytes of the disk that were taken meanwhile.
    """

    status: int
    lines: list[str]
    peak: int


def call(arguments: list[str], disk: Disk) -> Ended:
    """Run a command while a thread looks at the disk."""
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=stages.environment(), text=True, errors="replace",
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    peak, ended = disk.used(), threading.Event()

    def look() -> None:
        nonlocal peak
        while not ended.wait(0.005):
            peak = max(peak, disk.used())

    watcher = threading.Thread(target=look)
    watcher.start()
    _, printed = process.communicate()
    ended.set()
    watcher.join()
    lines = [line for line in printed.splitlines() if line.strip()]
    status = process.returncode
    if lines and FINDINGS.match(lines[-1]):
        status = 0
    return Ended(status, [line for line in lines if not line.startswith("make")], peak)


def shape(line: str) -> str:
    """A line without its numbers and paths."""
    return re.sub(r"[\d.]+", "0", line)


def faults(ended: Ended, peaceful: list[str]) -> list[str]:
    """What is wrong with a refusal, given what the stage says in peace."""
    found = []
    sentences = [line for line in ended.lines if line.startswith("error: ")]
    known = {shape(line) for line in peaceful}
    more = [line for line in ended.lines if line not in sentences and shape(line) not in known]
    if ended.status == 0:
        found.append("status 0")
    if len(sentences) != 1:
        found.append(f"{len(sentences)} sentences")
    found += [f"{len(line)} signs" for line in sentences if len(line) >= LONGEST]
    if more:
        found.append(f"says more: {' | '.join(more)[-200:]}")
    return found


class Attack:
    """The run in its disk, its dataset, and what is known of the stages in peace."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.disk = Disk(folder / "disk")
        self.run = folder / "disk" / "run"
        self.data = folder / "data"
        self.whole = folder / "whole"
        self.needs: dict[str, tuple[int, int]] = {}
        self.says: dict[str, list[str]] = {}
        self.targets = list(TARGETS)[: settings.first]
        self.failures = 0
        self.wrong: list[str] = []

    def make(self, stage: str) -> Ended:
        """Have make do a stage."""
        target = TARGETS[stage].replace("RUN", str(self.run))
        arguments = stages.make(self.run, self.data, target, epochs=self.settings.epochs)
        return call(arguments, self.disk)

    def tell(self, stage: str, where: str, wrong: list[str]) -> None:
        """Note and print what is wrong with a case."""
        self.failures += 1
        for words in wrong:
            self.wrong.append(f"{stage}, {where}: {words}")
            print(f"FAULT {self.wrong[-1]}", flush=True)

    def in_peace(self) -> None:
        """Run everything with room; keep the files and note what each stage takes and says."""
        with self.disk.mounted(self.settings.room):
            for stage in self.targets:
                before, ended = self.disk.used(), self.make(stage)
                if ended.status:
                    raise SystemExit(f"{stage} fails with room: {ended.lines[-1:]}")
                self.needs[stage] = before, ended.peak
                self.says[stage] = ended.lines
            shutil.copytree(self.run, self.whole)

    def growing(self) -> None:
        """Run everything on a disk that grows as little as possible."""
        with self.disk.mounted(self.settings.smallest):
            for stage in self.targets:
                self._fill(stage)
            names = stages.different(self.whole, self.run)
            print(f"files that differ from the run with room: {', '.join(names) or 'none'}")
            self.wrong += names

    def _fill(self, stage: str) -> None:
        before, peak = self.needs[stage]
        shares = (np.arange(self.settings.moments) + 0.5) / self.settings.moments
        rooms = [*(shares * (peak - before)).astype(int), self.settings.smallest - before]
        took = 0
        for room in sorted(room for room in rooms if 0 < room < peak - before):
            size = before + int(room) // PAGE * PAGE
            self.disk.resize(size)
            known = stages.digests(self.run) if self.run.exists() else {}
            ended = self.make(stage)
            if ended.status == 0:
                break
            took += 1
            wrong = faults(ended, self.says[stage]) + self._changed(known)
            self.tell(stage, f"disk of {size / 1e6:.2f} MB", wrong)
        self.disk.resize(self.settings.room)
        ended = self.make(stage)
        if ended.status:
            self.tell(stage, "with room again", [f"fails: {ended.lines[-1:]}"])
        print(
            f"{stage:34} takes {(peak - before) / 1e6:6.2f} MB; full at {took} moments", flush=True
        )

    def _changed(self, known: dict[str, str]) -> list[str]:
        """What became of the files that were there before."""
        now = stages.digests(self.run) if self.run.exists() else {}
        changed = [
            name
            for name, digest in known.items()
            if now.get(name) != digest and Path(name).name not in OF_TRAINING
        ]
        left = stages.temporaries(self.run) if self.run.exists() else []
        return [f"changed: {name}" for name in changed] + [f"left: {name}" for name in left]

    def only_read(self) -> None:
        """Each stage on a finished run, and phantoms into a folder, that may only be read."""
        with self.disk.mounted(self.settings.room):
            shutil.copytree(self.whole, self.run)
            known = stages.digests(self.run)
            self.disk.only_read(True)
            for stage in ("features.phantom.write", *self.targets):
                out = self.disk.place / "phantoms"
                places = {"RUN": self.run, "DATA": self.data, "PHANTOMS": out}
                ended = call(stages.command(stage, **places), self.disk)
                wrong = faults(ended, self.says.get(stage, []))
                self.tell(stage, "run that may only be read", wrong + self._changed(known))
            print(f"run that may only be read: {len(self.targets) + 1} stages", flush=True)

    def dataset_only_read(self) -> None:
        """A dataset that may only be read gives the same run."""
        kept = self.data.with_name("kept")
        self.data.rename(kept)
        self.data.mkdir()
        with Disk(self.data).mounted(self.settings.room):
            shutil.copytree(kept, self.data, dirs_exist_ok=True)
            Disk(self.data).only_read(True)
            with self.disk.mounted(self.settings.room):
                for stage in self.targets[:2]:
                    ended = self.make(stage)
                    wrong = [f"fails: {ended.lines[-1:]}"] * (ended.status != 0)
                    made = stages.digests(self.run)
                    whole = stages.digests(self.whole)
                    # settings.mk names the times of the files too.
                    wrong += [
                        f"differs: {name}"
                        for name, digest in made.items()
                        if whole.get(name) != digest and name != "settings.mk"
                    ]
                    self.tell(stage, "dataset that may only be read", wrong)


def main(settings: Settings) -> None:
    """Print the faults as they come, and what each stage was put through."""
    with tempfile.TemporaryDirectory(prefix="full-disk-") as name:
        attack = Attack(settings, Path(name))
        with attack.disk.mounted(PAGE):
            pass  # or say at once that it cannot be
        stages.draw_phantoms(attack.data)
        attack.in_peace()
        attack.growing()
        attack.only_read()
        attack.dataset_only_read()
        print(f"{attack.failures} cases, {len(attack.wrong)} faults")
    raise SystemExit(bool(attack.wrong))


if __name__ == "__main__":
    main(tyro.cli(Settings))
