"""Starting the service: what it is told, and what it refuses in a sentence."""

import logging
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cnn.web import cli, start, uploads
from cnn.web.settings import MEBIBYTE, Limits, Serve
from features.run import command
from features.run.files import UserError


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(start.VARIABLE, raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_token(host):
    assert start.token_of(Serve(host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "ward.example", "127.0.0.1.evil"])
def test_others_need_one(host, monkeypatch):
    with pytest.raises(UserError, match="can be reached from other machines, so a token is needed"):
        start.token_of(Serve(host=host))
    with pytest.raises(UserError, match="has 15 characters, but must have at least 16"):
        start.token_of(Serve(host=host, token="x" * 15))
    given = start.token_of(Serve(host=host, token="x" * 16))
    monkeypatch.setenv(start.VARIABLE, "y" * 16)
    variable = start.token_of(Serve(host=host))
    assert given is not None and given.is_right("x" * 16) and not given.is_right("y" * 16)
    assert variable is not None and variable.is_right("y" * 16)


def test_limits():
    limits = start.limits_of(Serve(largest=3, keep=0.5))
    assert limits == Limits(upload_bytes=3 * MEBIBYTE, keep_seconds=30.0)
    for wrong, words in (
        (Serve(largest=0), "--largest is 0"),
        (Serve(keep=0), "--keep is 0"),
        (Serve(keep=float("nan")), "--keep is nan"),
    ):
        with pytest.raises(UserError, match=words):
            start.limits_of(wrong)


def test_the_service_answers_by_the_model_that_ships_and_ends_in_peace():
    serves = [sys.executable, "-m", "cnn.web.cli", "serve", "--port", "0"]
    with subprocess.Popen(
        serves, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        line = service.stdout.readline()
        address = line.split()[0]
        with urllib.request.urlopen(f"{address}healthz", timeout=60) as health:
            assert health.status == 200
        service.send_signal(signal.SIGINT)
        printed, errors = service.communicate(timeout=60)
    assert "answers by shipped" in line
    assert (service.returncode, printed, errors) == (0, "", "")


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port} of 127.0.0.1 cannot be used .*in use"):
            start.serve(Serve(run=Path("none"), port=port))
    for port in (-1, 65536):
        with pytest.raises(UserError, match=f"--port is {port}, but ports are 0 to 65535"):
            start.listen("127.0.0.1", port)


def test_a_run_that_is_none(tmp_path, monkeypatch, capsys):
    arguments = ["pneumothorax", "serve", "--run", str(tmp_path / "none"), "--port", "0"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        cli.run()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and "none" in said


def test_no_library_logs(monkeypatch, capfd):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler()])
    logging.getLogger("pydicom").warning("Invalid value for VR PN: 'John Doe'")
    assert "John Doe" in capfd.readouterr().err
    start.log_nothing()
    logging.basicConfig()  # as libraries do, whenever they please
    for name in ("pydicom", "python_multipart", "PIL", "asyncio"):
        logging.getLogger(name).error("John Doe")
    assert capfd.readouterr() == ("", "")


def test_the_other_commands_are_there(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["pneumothorax", "schema"])
    command.run(cli.main, writes=False)
    assert '"$schema"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.dcm", "a.dcm"),
        ("C:\\scans\\a b (2).dcm", "a b (2).dcm"),
        ("../../etc/passwd", "passwd"),
        ("..", "upload"),
        ("", "upload"),
        (".hidden.dcm", "hidden.dcm"),
        ("x.zip::", "x.zip__"),
        ("a\x00\n\x1b\u202e\ud800<>.png", "a_______.png"),
        ("Müller-Ö.png", "Müller-Ö.png"),
        ("x" * 500 + ".dcm", "x" * 96 + ".dcm"),
        ("é" * 500 + ".dcm", "é" * 48 + ".dcm"),
        (" . ", "upload"),
    ],
)
def test_names(given, kept):
    assert uploads.plain_name(given) == kept
    assert len(kept.encode()) <= uploads.LONGEST_NAME
