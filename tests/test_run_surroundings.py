"""Surroundings that a command cannot work in: other encodings, no place to write to."""

import atexit
import os
import shutil
import sys
from pathlib import Path

import pytest

from features.run import interrupts, surroundings


@pytest.fixture
def begun(monkeypatch):
    """As in a command that begins anew: notes what it is, instead of doing so."""
    calls = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.setattr(sys, "argv", ["-m", "--data", "x"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "stage", "--data", "\udcc3\udca4"])
    monkeypatch.setenv(surroundings.MACHINE_CODE, "somewhere")
    return calls


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1"])
def test_a_command_begins_anew_where_names_are_not_taken_for_utf8(monkeypatch, begun, encoding):
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    monkeypatch.setenv("PYTHONUTF8", "0")
    surroundings.mend_for_commands()
    [(program, arguments, environment)] = begun
    assert (program, arguments) == (sys.executable, sys.orig_argv)
    assert environment["PYTHONUTF8"] == "1"
    assert environment["PYTHONIOENCODING"].endswith(":backslashreplace")


@pytest.mark.parametrize("reason", ["utf-8 already", "another program", "switched off by option"])
def test_otherwise_it_does_not(monkeypatch, begun, reason):
    encoding = "utf-8" if reason == "utf-8 already" else "ascii"
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    if reason == "another program":
        monkeypatch.setattr(sys, "argv", ["pytest"])
    if reason == "switched off by option":
        monkeypatch.setattr(sys, "_xoptions", {"utf8": "0"})
    surroundings.mend_for_commands()
    assert begun == []


def test_libraries_have_a_folder_of_the_commands_own_where_nothing_can_be_written(
    monkeypatch, begun, tmp_path
):
    registered = []
    monkeypatch.setattr(atexit, "register", lambda *call, **how: registered.append((call, how)))
    names = (surroundings.MACHINE_CODE, surroundings.MATPLOTLIB)
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    surroundings.mend_for_commands()
    assert not [name for name in names if name in os.environ]
    monkeypatch.setattr(os, "access", lambda folder, how: False)
    surroundings.mend_for_commands()
    [folder] = {os.environ.pop(name) for name in names}
    assert list(Path(folder).iterdir()) == [] and folder in interrupts.temporaries
    assert registered == [((shutil.rmtree, folder), {"ignore_errors": True})]
    shutil.rmtree(folder)
    interrupts.temporaries.discard(folder)
