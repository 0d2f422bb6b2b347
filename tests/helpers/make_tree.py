"""The Makefile in a copy of the tree, with stages that only make their files.

The copy stands in for the project, so that its files can be touched.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What each stage writes into the run folder, in the order of the pipeline.
FOLDS = range(3)
DATASET = ["dataset.parquet", "quarantine.csv", "sample.csv"]
MEASURES = ["features.parquet", "quality.parquet", "cells/index.parquet", "cells/values.f16"]
OUTPUTS = {
    "features.dataset.read": DATASET,
    "features.one_pass": [*DATASET, *MEASURES],
    "features.measure": MEASURES,
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
# Stages that the whole pipeline does without.
ALONE = {"features.dataset.read", "features.measure"}
CHECKS = {"baseline.evaluation.shortcuts", "baseline.evaluation.faithfulness"}
MASKS = ["cnn.prediction.predict", "cnn.gate.evaluate", "cnn.submission.write"]
PIPELINE = [stage for stage in OUTPUTS if stage not in CHECKS | ALONE]
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
RUN = "RUN=runs/first"
GIVEN = ("DATA=data/real", RUN, "FOLDS=2", "AUXILIARY=0", "CNN_OPTIONS=--epochs 2 --init a{fold}")


def build(tree: Path) -> None:
    """Copy the tree into a folder, with a finished run, "runs/first", of the folder "data/real"."""
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


def copy_tree(built: Path, copy: Path) -> None:
    """Copy what `build` made, with the same times."""
    shutil.copytree(built, copy)
    text = (copy / "runs" / "first" / "settings.mk").read_text()
    (copy / "runs" / "first" / "settings.mk").write_text(text.replace(str(built), str(copy)))


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
