"""The command line of a stage: errors in one sentence, faults with a traceback, the version."""

import errno
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from features.run import command
from features.run.files import UserError
from features.run.version import VERSION


@dataclass(frozen=True)
class Nothing:
    """Settings of a stage that has none."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "cnn/log"),
            "error: cnn/log: could not be written (No space left on device); free some space",
        ),
        (
            ValueError("writing chunk: [OS error 122: EDQUOT Disk quota exceeded]"),
            "error: a file: could not be written (Disk quota exceeded); free some space",
        ),
    ],
)
def test_a_full_disk_ends_a_stage_with_a_sentence_whoever_wrote(
    monkeypatch, capsys, error, sentence
):
    def main(settings: Nothing) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit, match="2"):
        command.run(main)
    printed = capsys.readouterr().err
    assert printed.startswith(sentence) and printed.count("\n") == 1


@pytest.mark.parametrize("error", [OSError(errno.ENOTTY, "no file named"), KeyError("a bug")])
def test_a_fault_of_ours_keeps_its_traceback(monkeypatch, error):
    def main(settings: Nothing) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(type(error), match=r"no file named|a bug"):
        command.run(main)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.EISDIR, errno.EIO])
def test_a_file_that_the_system_withholds_is_one_sentence(monkeypatch, capsys, number):
    def main(settings: Nothing) -> None:
        raise OSError(number, os.strerror(number), "x/y.png")

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit, match="2"):
        command.run(main)
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: x/y.png: cannot be used ({os.strerror(number)})")
    assert printed.count("\n") == 1


def test_a_mistake_of_the_user_is_one_sentence(monkeypatch, capsys):
    def main(settings: Nothing) -> None:
        raise UserError("x.csv: a sentence.")

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit, match="2"):
        command.run(main)
    assert capsys.readouterr().err == "error: x.csv: a sentence.\n"


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def main(settings: Nothing) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit, match="130"):
        command.run(main)
    assert "run the same command again" in capsys.readouterr().err


@dataclass(frozen=True)
class Seeded:
    """Settings of a stage that draws numbers."""

    seed: int = 0
    jobs: int = -1


@pytest.mark.parametrize(
    ("options", "message"), [(["--seed", "-1"], "--seed is -1"), (["--jobs", "0"], "--jobs is 0")]
)
def test_settings_that_no_stage_can_take(monkeypatch, capsys, options, message):
    def main(settings: Seeded) -> None:
        raise AssertionError("not reached")

    monkeypatch.setattr(sys, "argv", ["stage", *options])
    with pytest.raises(SystemExit, match="2"):
        command.run(main)
    assert message in capsys.readouterr().err


def test_the_version_is_printed_without_any_other_setting(monkeypatch, capsys):
    def main(settings: Seeded) -> None:
        raise AssertionError("not reached")

    monkeypatch.setattr(sys, "argv", ["stage", "--version"])
    command.run(main)
    assert capsys.readouterr().out == f"pneumothorax-reasons {VERSION}\n"
    monkeypatch.setattr(sys, "argv", ["stage", "--help"])
    with pytest.raises(SystemExit, match="0"):
        command.run(main)
    assert "--version" in capsys.readouterr().out


def test_a_stage_prints_its_version():
    call = [sys.executable, "-m", "features.dataset.read", "--version"]
    printed = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    assert printed == f"pneumothorax-reasons {VERSION}\n"
