"""Damaged files of a run, some seeded cases of `tests/benchmarks/fuzz_run.py`: read or refused."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from baseline.explanation import trained_run
from features.run import command, manifest
from features.run.folder import RunFolder
from tests.benchmarks.damage_run import damage
from tests.benchmarks.fuzz_run import files_of

CASES = 2


@dataclass(frozen=True)
class Settings:
    """Settings of a stage that reads a trained run."""

    run: Path


def read(settings: Settings) -> None:
    """Read what the report does, in a process that must survive it."""
    trained = trained_run.read(RunFolder(settings.run).check())
    for name in ("dataset", "features", "boosters", "explanation"):
        getattr(trained, name, None)


@pytest.mark.parametrize("case", range(CASES))
def test_a_damaged_file_is_read_or_refused_in_one_sentence(
    noise_run, tmp_path, monkeypatch, capsys, case
):
    manifest.update(noise_run.root)
    names, refused = files_of(noise_run.root), 0
    for name in names:
        run = tmp_path / "run"
        shutil.copytree(noise_run.root, run)
        rng = np.random.default_rng((case, *name.encode()))
        like = [
            noise_run.root / other for other in names if Path(other).suffix == Path(name).suffix
        ]
        how = damage(run / name, like, rng)
        monkeypatch.setattr(sys, "argv", ["stage", "--run", str(run)])
        try:
            command.run(read, writes=False)
        except SystemExit as end:
            printed = capsys.readouterr().err
            assert end.code == 2, (name, how, printed)
            assert printed.startswith("error: ") and printed.count("\n") == 1, (name, how, printed)
            assert printed[:-1].isprintable() and len(printed) <= 400, (name, how, printed)
            refused += 1
        shutil.rmtree(run)
    assert refused > len(names) / 2
