"""A user's mistake on the command line of a stage ends in one sentence."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.make_tree import PIPELINE

ROOT = Path(__file__).resolve().parents[1]
# Stages that go on with a run folder.
ON_A_RUN = ("features.measure", *PIPELINE[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["features.dataset.read", "--data", "nowhere", "--run", "r"],
            "nowhere: no such folder",
        ),
        (
            ["features.one_pass", "--data", "nowhere", "--run", "r"],
            "nowhere: no such folder",
        ),
        *((([stage, "--run", "nowhere"]), "nowhere: no such run folder") for stage in ON_A_RUN),
        (
            ["features.dataset.read", "--data", ".", "--run", "r", "--seed", "-1"],
            "--seed is -1, but",
        ),
        (
            ["features.measure", "--run", ".", "--jobs", "0"],
            "--jobs is 0; give the number of",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_mistakes_on_the_command_line_end_in_one_sentence(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and message in printed
    assert printed.count("\n") == 1 and "Traceback" not in printed


def test_a_mistake_ends_the_process_with_its_sentence_alone(tmp_path):
    arguments = [
        sys.executable,
        "-m",
        "features.dataset.read",
        "--data",
        "nowhere",
        "--run",
        "r",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere: no such folder")
    assert done.stderr.count("\n") == 1
