"""The Makefile by itself: what hangs on what, with stages that only make their files.

A copy of the tree stands in for the project, so that its files can be touched.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.small_disk import small_disk

ROOT = Path(__file__).resolve().parents[1]
# What each stage writes into the run folder, in the order of the pipeline.
FOLDS = range(3)
OUTPUTS = {
    "features.dataset.read": ["dataset.parquet", "quarantine.csv", "sample.csv"],
    "features.measure": [
        "features.parquet",
        "quality.parquet",
        "cells/index.parquet",
        "cells/values.f16",
    ],
    "baseline.evidence_map.train": [
        *("evidence/zones.parquet", "evidence/map.parquet", "evidence/pairs.parquet"),
        *(
            "evidence/metrics.json",
            "evidence/settings.json",
            "evidence/digests.json",
            *(f"evidence/{k}{n}.txt" for k in ("lungs", "cells") for n in FOLDS),
        ),
    ],
    "baseline.classifier.train": [
        *("baseline/metrics.json", "baseline/oof.csv", "baseline/test.csv"),
        *("baseline/calibration.json", "baseline/settings.json", "baseline/digests.json"),
        *(f"baseline/fold{number}.txt" for number in FOLDS),
    ],
    "baseline.explanation.shap_values": ["baseline/shap_by_place.parquet", "baseline/shap.parquet"],
    "baseline.evaluation.shortcuts": ["baseline/shortcuts.json"],
    "baseline.evaluation.faithfulness": ["baseline/faithfulness.json"],
    "cnn.training.train": [
        *(f"cnn/fold{number}/weights.safetensors" for number in FOLDS),
        "cnn/settings.json",
    ],
    "cnn.prediction.predict": ["cnn/maps/index.csv"],
    "cnn.gate.evaluate": [
        *("cnn/outlines.csv", "cnn/gate_figures.json", "metrics.json", "gate.json"),
    ],
    "cnn.submission.write": ["submission.csv"],
    "baseline.report.write": ["report/index.html"],
}
CHECKS = {"baseline.evaluation.shortcuts", "baseline.evaluation.faithfulness"}
MASKS = ["cnn.prediction.predict", "cnn.gate.evaluate", "cnn.submission.write"]
PIPELINE = [stage for stage in OUTPUTS if stage not in CHECKS]
PYTHON = """#!/bin/sh
# Stands in for the interpreter: "-m MODULE ... --run RUN" makes the module's files.
module=$2
while [ $# -gt 0 ]; do
  [ "$1" = --run ] && run=$2
  [ "$1" = --out ] && [ ! -e "$2" ] && mkdir -p "$2" && touch "$2/stage_2_train.csv"
  shift
done
case $module in
%s
esac
for file in $files; do mkdir -p "$(dirname "$run/$file")" && touch "$run/$file"; done
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with a finished run, "runs/first", of the folder "data/real"."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy2(ROOT / "Makefile", tree)
    for package in ("features", "baseline", "cnn"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tree / package, ignore=ignored)
    (tree / "data" / "real").mkdir(parents=True)
    (tree / "data" / "real" / "a.dcm").write_text("a")
    (tree / "patients.csv").touch()
    interpreter = tree / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    cases = [f"{module}) files='{' '.join(files)}' ;;" for module, files in OUTPUTS.items()]
    interpreter.write_text(PYTHON % "\n".join(cases))
    interpreter.chmod(0o755)
    for name in ("requirements.lock", "pyproject.toml"):
        (tree / name).touch()
    (tree / ".venv" / ".installed").touch()
    assert stages(make(tree, "submission", *GIVEN)) == PIPELINE
    return tree


@pytest.fixture
def tree(built: Path, tmp_path: Path) -> Path:
    """A copy of it of the test's own, with the same times."""
    copy = tmp_path / "tree"
    shutil.copytree(built, copy)
    text = (copy / "runs" / "first" / "settings.mk").read_text()
    (copy / "runs" / "first" / "settings.mk").write_text(text.replace(str(built), str(copy)))
    return copy


RUN = "RUN=runs/first"
GIVEN = ("DATA=data/real", RUN, "FOLDS=2", "AUXILIARY=0", "CNN_OPTIONS=--epochs 2 --init a{fold}")


def make(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make there, without the flags that a make above the tests hands down."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=tree, env=kept, capture_output=True, text=True, check=False
    )


def stages(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The modules that make ran, or would run, in order; the one that prints a summary aside."""
    assert done.returncode == 0, done.stderr
    return [module for module in re.findall(r"-m ([a-z_.]+)", done.stdout) if module in OUTPUTS]


def planned(tree: Path, *arguments: str) -> list[str]:
    """What make would run in the finished run."""
    return stages(make(tree, "-n", *arguments, RUN))


def touch(path: Path) -> None:
    """Give a file a later time than anything that a stage has made."""
    later = time.time() + 60
    os.utime(path, (later, later))


def test_a_finished_run_has_nothing_to_do(tree):
    for target in ("dataset", "measure", "evidence", "classifier", "shap", "report", "cnn"):
        assert planned(tree, target) == []
    plan = make(tree, "-n", "submission", RUN)
    assert plan.returncode == 0 and "-m " not in plan.stdout
    done = make(tree, "submission", RUN)
    assert stages(done) == []


@pytest.mark.parametrize(
    ("file", "first", "target"),
    [
        ("features/reading/images.py", "features.dataset.read", "submission"),
        ("features/pixels/filters.py", "features.measure", "submission"),
        ("features/lungs/lungs_model.npz", "features.measure", "submission"),
        ("features/families/glcm.py", "features.measure", "submission"),
        ("features/cells/measure.py", "features.measure", "submission"),
        ("features/quality/gate_model.npz", "features.measure", "submission"),
        ("features/trees.py", "features.measure", "submission"),
        ("baseline/evidence_map/models.py", "baseline.evidence_map.train", "submission"),
        ("baseline/learning/scores.py", "baseline.evidence_map.train", "submission"),
        ("baseline/classifier/train.py", "baseline.classifier.train", "shap"),
        ("baseline/explanation/tree_shap.py", "baseline.explanation.shap_values", "shap"),
        ("baseline/report/templates/page.css", "baseline.report.write", "report"),
        ("cnn/data/geometry.py", "cnn.prediction.predict", "gate"),
        ("cnn/prediction/store.py", "cnn.prediction.predict", "gate"),
        ("baseline/gate/rules.py", "cnn.gate.evaluate", "gate"),
        ("cnn/gate/masks.py", "cnn.gate.evaluate", "gate"),
        ("cnn/submission/check.py", "cnn.submission.write", "submission.csv"),
    ],
)
def test_a_change_of_its_code_makes_a_stage_and_what_hangs_on_it(tree, file, first, target):
    touch(tree / file)
    path = f"runs/first/{target}" if "." in target else target
    modules = planned(tree, path)
    assert modules[0] == first
    # Each once and in order, to the last one that hangs on it.
    last = {"shap": "baseline.explanation.shap_values", "report": "baseline.report.write"}
    last |= {"gate": "cnn.gate.evaluate", "submission": "baseline.report.write"}
    last |= {"submission.csv": "cnn.submission.write"}
    assert modules == [stage for stage in PIPELINE if stage in modules]
    assert modules[-1] == last[target]
    if PIPELINE.index(first) < 3:
        assert modules == PIPELINE[PIPELINE.index(first) :]


def test_training_does_not_hang_on_its_code(tree):
    for room in ("network", "training", "weights", "devices"):
        for file in (tree / "cnn" / room).glob("*.py"):
            touch(file)
    # The maps depend on the network's code, and the report shows the gate's results.
    assert set(planned(tree, "submission")) == {*MASKS, "baseline.report.write"}


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ("SEED=7", "features.dataset.read"),
        ("FOLDS=3", "features.dataset.read"),
        ("PATIENTS=patients.csv", "features.dataset.read"),
        ("MEASURE_OPTIONS=--families glcm", "features.measure"),
        ("CLASSIFIER_OPTIONS=--leaves 4", "baseline.classifier.train"),
        ("CASES=3", "baseline.report.write"),
        ("PROFILE=demo", "cnn.training.train"),
        ("CNN_OPTIONS=", "cnn.training.train"),
    ],
)
def test_other_settings_make_a_stage_anew_and_what_is_left_out_is_remembered(tree, given, first):
    done = make(tree, "-n", "submission", RUN, given)
    modules = stages(done)
    # The network does not hang on the classifier, so only the first of its branch is certain.
    assert first in modules and set(modules) <= set(PIPELINE)
    if first.startswith("cnn"):
        assert not {"features.measure", "baseline.classifier.train"} & set(modules)
    assert planned(tree, "submission") == [], "a plan must not change anything"
    assert stages(make(tree, "submission", RUN, given)) == modules
    assert planned(tree, "submission") == [], "and once made it is as remembered"
    if "CNN_OPTIONS" not in given and "cnn.training.train" in modules:
        assert "--epochs 2 --init a{fold}" in done.stdout


def test_a_replaced_added_or_lost_image_is_noticed(tree):
    image, first = tree / "data" / "real" / "a.dcm", ["features.dataset.read"]
    before = image.stat()
    os.utime(image, (before.st_atime, before.st_mtime - 1000))  # an older one put in its place
    assert planned(tree, "dataset") == first
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert planned(tree, "dataset") == []
    (image.parent / "b.dcm").write_text("b")
    assert planned(tree, "dataset") == first
    (image.parent / "b.dcm").unlink()
    image.unlink()
    assert planned(tree, "dataset") == first


def test_odd_names_in_the_dataset_folder_neither_stop_nor_steer_make(tree):
    real, first = tree / "data" / "real", ["features.dataset.read"]
    odd = ["stage_2_train (1).csv", "a:b.csv", "$(shell touch planted)", "it's", 'a "b".csv', "%.x"]
    for name in [*odd, "`touch planted`", "; touch planted", "#x", "a\nb.csv", "-rf", "ä.csv"]:
        (real / name).write_text("x")
        done = make(tree, "-n", "dataset", RUN)
        assert stages(done) == first and not done.stderr
        assert stages(make(tree, "dataset", RUN)) == first
        assert planned(tree, "dataset") == []
    os.mkfifo(real / "pipe.dcm")
    (real / "loop").symlink_to(real)
    (real / "zero.dcm").symlink_to("/dev/zero")
    assert planned(tree, "dataset") == []
    assert not (tree / "planted").exists()


def test_a_zip_is_a_dataset(tree):
    (tree / "data" / "kaggle.zip").write_text("as if")
    given = ("DATA=data/kaggle.zip", "RUN=runs/zip", "AUXILIARY=0")
    assert stages(make(tree, "dataset", *given)) == ["features.dataset.read"]
    assert stages(make(tree, "-n", "dataset", *given)) == []
    (tree / "data" / "kaggle.zip").write_text("as if another")
    assert stages(make(tree, "-n", "dataset", *given)) == ["features.dataset.read"]


def test_a_lost_output_is_made_again(tree):
    run = tree / "runs" / "first"
    (run / "gate.json").unlink()
    assert planned(tree, "gate") == ["cnn.gate.evaluate"]
    assert stages(make(tree, "gate", RUN)) == ["cnn.gate.evaluate"]
    (run / "cnn" / "fold1" / "weights.safetensors").unlink()
    assert planned(tree, "cnn") == ["cnn.training.train", "cnn.prediction.predict"]


def test_the_report_waits_for_no_network_and_shows_the_checks_once_asked_for(tree):
    run = tree / "runs" / "first"
    assert planned(tree, "shortcuts", "report") == [
        "baseline.evaluation.shortcuts",
        "baseline.report.write",
    ]
    make(tree, "shortcuts", "report", RUN)
    touch(tree / "baseline" / "evaluation" / "subgroups.py")
    assert set(planned(tree, "report")) == {
        "baseline.evaluation.shortcuts",
        "baseline.report.write",
    }
    shutil.rmtree(run / "cnn")
    (run / "gate.json").unlink()
    assert not [stage for stage in planned(tree, "report") if stage.startswith("cnn")]


def test_phantoms_are_drawn_once_and_left_as_they_are_after_a_change_of_their_code(tree):
    few = ("dataset", "TRAIN=8", "TEST=2")
    writes = "features.phantom.write --out data/phantoms-8-2-0 --train 8 --test 2 --seed 0"
    assert writes in make(tree, *few).stdout
    assert make(tree, "-n", *few).stdout.count("-m ") == 0
    # The writer decides whether the folder is of its version; it must be asked once, not always.
    os.utime(tree / "features" / "phantom" / "tissue.py")
    assert writes in make(tree, *few).stdout
    assert make(tree, "-n", *few).stdout.count("-m ") == 0


def test_auxiliary_phantoms_are_drawn_once_and_only_their_cells_are_measured(tree):
    output = make(tree, "-n", "evidence", RUN, "AUXILIARY=10").stdout
    assert (
        "features.phantom.write --out data/auxiliary-10 --train 10 --test 1 --seed 1895" in output
    )
    assert "features.measure --run runs/auxiliary-10 --only-cells" in output
    assert "--auxiliary runs/auxiliary-10" in output


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
