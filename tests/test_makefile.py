"""The Makefile by itself: what hangs on what."""

import os
import shutil

import pytest

from tests.helpers.make_tree import MASKS, OUTPUTS, PIPELINE, RUN, make, planned, stages, touch


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
        ("features/reading/images.py", "features.one_pass", "submission"),
        ("features/dataset/folds.py", "features.dataset.read", "dataset"),
        ("features/pixels/filters.py", "features.measure", "submission"),
        ("features/lungs/lungs_model.npz", "features.measure", "submission"),
        ("features/families/glcm.py", "features.measure", "submission"),
        ("features/cells/measure.py", "features.measure", "submission"),
        ("features/quality/gate_model.npz", "features.measure", "submission"),
        ("features/squares/geometry.py", "features.measure", "submission"),
        ("features/trees.py", "features.measure", "submission"),
        ("baseline/evidence_map/models.py", "baseline.evidence_map.train", "submission"),
        ("baseline/learning/scores.py", "baseline.evidence_map.train", "submission"),
        ("baseline/classifier/train.py", "baseline.classifier.train", "shap"),
        ("baseline/explanation/tree_shap.py", "baseline.explanation.shap_values", "shap"),
        ("baseline/report/templates/page.css", "baseline.report.write", "report"),
        ("cnn/data/planes.py", "cnn.prediction.predict", "gate"),
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
    assert modules == [stage for stage in OUTPUTS if stage in modules]
    assert modules[-1] == last.get(target, first)
    if first == "features.measure":
        assert modules == [first, *PIPELINE[1:]]
    elif first in PIPELINE[:2]:
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
        ("SEED=7", "features.one_pass"),
        ("FOLDS=3", "features.one_pass"),
        ("PATIENTS=patients.csv", "features.one_pass"),
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
    assert first in modules and set(modules) <= {*PIPELINE, "features.measure"}
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


@pytest.mark.parametrize(
    "target", ["measure", "evidence", "tune", "cnn", "runs/new/submission.csv"]
)
def test_what_leads_to_measures_reads_and_measures_in_one_pass(tree, target):
    given = ("DATA=data/real", "RUN=runs/new", "AUXILIARY=0", "FOLDS=3")
    done = stages(make(tree, target, *given))
    assert done[0] == "features.one_pass"
    assert not {"features.dataset.read", "features.measure"} & set(done)
    assert stages(make(tree, "-n", target, *given)) == []


def test_measures_of_a_pass_have_their_settings_noted_whatever_fails_beside_it(tree):
    given = ("DATA=data/real", "RUN=runs/new", "FOLDS=3")
    glcm = "MEASURE_OPTIONS=--families glcm"
    interpreter = tree / ".venv" / "bin" / "python"
    whole = interpreter.read_text()
    fails = '[ "$2" = features.phantom.write ] && exit 1\n[ "$2" = features.one_pass ] && sleep 1\n'
    interpreter.write_text(whole.replace("module=$2\n", "module=$2\n" + fails))
    assert make(tree, "-j2", "evidence", *given, glcm, "AUXILIARY=10").returncode
    interpreter.write_text(whole)
    assert stages(make(tree, "-n", "measure", *given, glcm)) == []
    assert stages(make(tree, "-n", "measure", *given, "MEASURE_OPTIONS=")) == ["features.measure"]


@pytest.mark.parametrize("target", ["dataset", "audit"])
def test_what_needs_no_measures_reads_alone_and_later_measures_follow(tree, target):
    given = ("DATA=data/real", "RUN=runs/new", "AUXILIARY=0", "FOLDS=3")
    assert stages(make(tree, target, *given)) == ["features.dataset.read"]
    assert stages(make(tree, "measure", *given)) == ["features.measure"]
    assert stages(make(tree, "-n", target, "measure", *given)) == []


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
    assert "features.one_pass --data data/auxiliary-10 --run runs/auxiliary-10" in output
    assert "--folds 2 --only-cells" in output
    assert "--auxiliary runs/auxiliary-10" in output
