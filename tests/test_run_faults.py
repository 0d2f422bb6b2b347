"""Faults from outside: damaged run files, signals, a folder that two write into, odd sentences."""

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from features.run import files, interrupts, lock, manifest, processes
from features.run.files import UserError

ENDED = "interrupted: run the same command again to go on.\n"
# A stage of which the signal meets the imports, or the work.
WRITER = ["-m", "features.phantom.write", "--train", "40", "--test", "2", "--size", "256", "--out"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("delay", [0.6, 4.0])
def test_a_signal_ends_a_stage_with_one_line_and_leaves_nothing(tmp_path, number, status, delay):
    stage = subprocess.Popen(
        [sys.executable, *WRITER, tmp_path / "data"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(delay)
    os.killpg(stage.pid, number) if number == signal.SIGINT else stage.send_signal(number)
    _, printed = stage.communicate(timeout=30)
    assert (stage.returncode, printed) == (status, ENDED)
    assert list(tmp_path.iterdir()) == []
    assert [path for path in Path("/dev/shm").glob("*") if f"_{stage.pid}_" in path.name] == []
    with pytest.raises(ProcessLookupError, match="No such process"):
        os.killpg(stage.pid, 0)


def test_no_worker_sees_the_interrupt_of_a_terminal():
    asks = (
        "import signal; from features.run import parallel\n"
        "def mask(item): return signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        "masks = list(parallel.stream(mask, range(5), 'asking', jobs=2))\n"
        "assert masks[0] == set() and all(signal.SIGINT in mask for mask in masks[1:]), masks\n"
    )
    # A process in which nothing was started before.
    subprocess.run([sys.executable, "-c", asks], check=True, stderr=subprocess.DEVNULL)


def test_importing_the_packages_changes_no_handling_of_signals():
    before = signal.getsignal(signal.SIGINT)
    interrupts.install_for_commands()  # the test's own process is no stage
    assert signal.getsignal(signal.SIGINT) is before


def test_of_a_killed_writer_nothing_stays_and_of_a_living_one_everything(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    place = processes.here()
    dead, living, foreign = (
        tmp_path / f".a-{name}.txt"
        for name in (
            f"{place}-{ended.pid}-01234567",
            f"{place}-{os.getppid()}-01234567",
            f"00000000-{ended.pid}-01234567",
        )
    )
    for path in (dead, living, foreign):
        path.write_text("half")
    files.write_text(tmp_path / "a.txt", "whole")
    assert not dead.exists() and living.exists() and foreign.exists()


def test_a_run_folder_has_one_writer(tmp_path, monkeypatch, capsys):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr(lock, "PAUSE", 0.01)
    begun = processes.started(other.pid)
    held = tmp_path / ".lock"
    held.write_text(f"{processes.here()} {other.pid} {begun} make\n")
    with pytest.raises(UserError, match=f"a make \\(process {other.pid}\\) is writing"):
        lock.held(tmp_path).__enter__()
    held.write_text(f"{processes.here()} {other.pid} {begun} stage\n")

    def end(seconds: float) -> None:
        other.communicate(b"\n")

    monkeypatch.setattr(time, "sleep", end)
    with lock.held(tmp_path):
        assert held.read_text().split()[1] == str(os.getpid())
    assert f"waiting for process {other.pid}" in capsys.readouterr().err
    assert not held.exists()


def test_a_run_folder_that_is_begun_is_held_from_the_start_and_goes_if_it_stays_empty(tmp_path):
    root = tmp_path / "runs" / "new"
    with lock.held(root):
        assert not root.exists()
    with pytest.raises(UserError, match="no data"), lock.held(root, create=True):
        assert (root / ".lock").read_text().split()[1] == str(os.getpid())
        raise UserError("no data")
    assert not root.exists()
    with lock.held(root, create=True):
        files.write_text(root / "a.txt", "whole")
    assert [path.name for path in root.iterdir()] == ["a.txt"]


def test_a_lock_that_was_removed_while_another_waited_for_it_is_taken_anew(tmp_path, monkeypatch):
    path, calls = tmp_path / ".lock", []

    def wait(file, how) -> None:
        if not calls:
            path.unlink()  # the holder has ended
        calls.append(file)

    monkeypatch.setattr(lock.fcntl, "flock", wait)
    with lock.held(tmp_path):
        assert len(calls) == 2 and path.read_text().split()[1] == str(os.getpid())


def test_stages_of_one_make_do_not_wait_for_one_another(tmp_path, monkeypatch):
    monkeypatch.setenv(lock.MAKE, f"{os.getppid()} {tmp_path}")
    with lock.held(tmp_path), lock.held(tmp_path):
        assert (tmp_path / ".lock").read_text().split()[-1] == "make"
    # An odd file holds nothing.
    (tmp_path / ".lock").write_bytes(b"\xff\0 x")
    with lock.held(tmp_path):
        pass


def test_a_file_that_was_changed_is_told_from_a_fault_of_ours(tmp_path):
    path = tmp_path / "a" / "t.csv"
    files.write_text(path, "1")
    manifest.update(tmp_path)
    assert manifest.changed(tmp_path) is None
    files.write_text(path, "2")  # by this process, so it is noted anew
    manifest.update(tmp_path)
    assert manifest.changed(tmp_path) is None
    path.write_text("3")
    assert "t.csv: is not as it was written" in str(manifest.changed(tmp_path))
    path.unlink()
    assert "t.csv: is gone" in str(manifest.changed(tmp_path))
    (tmp_path / manifest.NAME).write_text("[")
    assert manifest.changed(tmp_path) is None


def test_a_sentence_is_short_and_steers_no_terminal():
    error = UserError("a\x1b[31m\x00\ud800: " + "x" * 100_000 + " the end")
    assert str(error).isprintable() and str(error).startswith("a\\x1b[31m\\x00\\ud800: x")
    assert str(error).endswith("x the end") and len(str(error)) <= 390
    assert str(UserError("one\ntwo\r\x85\u2028")) == "one\\ntwo\\r\\x85\\u2028"


def test_several_sentences_are_a_line_each_also_from_another_process():
    error = UserError("one\nof a file", "two")
    assert str(error) == "one\\nof a file\ntwo"
    again = copy.copy(error)  # by way of its arguments, as between processes
    assert str(again) == str(error)


@pytest.mark.parametrize("text", ["[" * 100_000, "\xff", '{"a": 1e', "{'a': 1}"])
def test_json_of_any_kind_is_read_or_refused(tmp_path: Path, text):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"x\.json: not valid JSON"):
        files.read_json(path)


def test_folds_without_end_are_refused(noise_run):
    table = noise_run.oof.read()
    wrong = table.assign(fold=np.where(table.index == 3, 2**40, 0))
    path = noise_run.root / "many.csv"
    wrong.to_csv(path, index=False)
    with pytest.raises(UserError, match=r"column 'fold' goes from 0 to 1099511627776"):
        type(noise_run.oof)(path, noise_run.oof.schema, "classifier").read()
