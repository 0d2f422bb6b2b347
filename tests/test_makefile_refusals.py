"""What the Makefile refuses, before anything is made."""

import os
import subprocess

import pytest

from tests.helpers.make_tree import RUN, make, stages
from tests.helpers.small_disk import small_disk


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("PROFILE=ful", "PROFILE=ful: no such profile; give demo, lite or full"),
        ("PATIENTS=/nowhere.csv", "PATIENTS=/nowhere.csv: no such file"),
        ("AUXILIARY=3", "AUXILIARY=3: so few phantoms do not help"),
        ("DATA=data/other", "runs/first was made from"),
        ("DATA=a b", "DATA and RUN: a space in the name of a folder"),
        ("DATA=a;b", "DATA: the character ; cannot be passed on to a shell"),
        ("DATA=it's", "DATA: the character ' cannot be passed on to a shell"),
        ("CNN_OPTIONS=--init `a`", "CNN_OPTIONS: the character ` cannot be passed on to a shell"),
        ("RUN=a$$b", "RUN: the character $ cannot be passed on to a shell"),
        ("DATA=a[b]", "DATA: the character [ cannot be used in the name of a folder"),
        ("DATA=a{b,c}", "DATA: the character { cannot be used in the name of a folder"),
        ("RUN=a:b", "RUN: the character : cannot be used in the name of a folder"),
        ("RUN=a%b", "RUN: the character % cannot be used in the name of a folder"),
    ],
)
def test_wrong_variables_end_before_anything_is_made(tree, given, sentence):
    done = make(tree, "submission", *([] if given.startswith("RUN") else [RUN]), given)
    assert done.returncode == 2 and sentence in done.stderr and not done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "training.CNN_OPTIONS := $(shell touch planted)",
        "$(shell touch planted)",
        "training.CNN_OPTIONS := ; touch planted",
        "training.CNN_OPTIONS := `touch planted`",
        "training.CNN_OPTIONS := & touch planted",
        "PYTHON := ./planted",
        "include planted",
        "training.SEED != touch planted",
        "training.SEED := 0 \\",
        "define x",
        "  training.SEED := 0",
        "\ttraining.SEED := 0",
    ],
)
@pytest.mark.parametrize("stage", ["first", "last"])
def test_a_run_folder_executes_nothing(tree, line, stage):
    memory = tree / "runs" / "first" / "settings.mk"
    lines = [line, memory.read_text()] if stage == "first" else [memory.read_text() + line]
    memory.write_text("\n".join(lines))
    for arguments in (["-n", "help"], ["submission"]):
        done = make(tree, *arguments, RUN)
        assert done.returncode == 2
        assert "settings.mk: a line is not as make writes it; delete the file" in done.stderr
    assert not (tree / "planted").exists()


def test_settings_that_cannot_be_noted_are_a_sentence_and_what_was_noted_stays(tree):
    memory = tree / "runs" / "first" / "settings.mk"
    memory.write_text(memory.read_text() + "gate.ALSO := \n" * 100)
    noted = memory.read_text()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    with small_disk(len(noted) + 10):  # half a line more
        done = subprocess.run(
            ["make", "report", RUN, "CASES=5"], cwd=tree, env=kept, capture_output=True, text=True,
            restore_signals=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "error: runs/first/settings.mk: could not be written; free some space" in done.stderr
    assert memory.read_text() == noted and not (memory.parent / ".settings.mk").exists()
    assert stages(make(tree, "report", RUN, "CASES=5")) == ["baseline.report.write"]
    assert memory.read_text().endswith("report.CASES := 5\n")
