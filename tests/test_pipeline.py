"""The whole road through make, on a tiny phantom set: once undisturbed, once killed at every stage.

The phantom set holds one truncated DICOM, which must not stop anything.
"""

import hashlib
import html
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from baseline.classifier import train as classifier
from baseline.explanation import one_study, shap_values, trained_run
from baseline.gate import rules
from baseline.gate.results import Gate, read_gate
from baseline.gate.rules import SOURCES
from cnn.gate import evaluate, scored_images
from cnn.gate.sources import SourceMaps
from cnn.study import cli, ship, shipped_model
from cnn.study.answer import schema, to_json
from cnn.study.predictor import Predictor
from cnn.submission import write
from features.reading import images, rle
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.make_tree import PIPELINE

ROOT = Path(__file__).resolve().parents[1]
# Seconds into a stage after which it is killed at the latest: a first run on a busy machine, or one
# that had to compile, takes longer than the run that is killed.
LATEST = 2.0


def command(data: Path, run: Path, target: str = "submission") -> list[str]:
    options = [f"DATA={data}", f"RUN={run}", "PROFILE=demo", "FOLDS=3", "CASES=2", "AUXILIARY=0"]
    short = "CNN_OPTIONS=--epochs 2 --steps 5"
    return ["make", "--no-print-directory", target, *options, short]


def clean() -> dict[str, str]:
    """The environment without the flags that a make above the tests would hand down."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}


def start(data: Path, run: Path, target: str = "submission") -> subprocess.Popen:
    """make in a process group of its own, so that it can be killed with all that it started."""
    return subprocess.Popen(
        command(data, run, target),
        cwd=ROOT,
        env=clean(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run_through(data: Path, run: Path, target: str = "submission") -> tuple[str, dict[str, float]]:
    """Output of an undisturbed run and the seconds that each stage took."""
    lines, marks = [], []
    with start(data, run, target) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            marks += [(stage, time.monotonic()) for stage in PIPELINE if f"-m {stage}" in line]
    output = "".join(lines)
    assert process.returncode == 0, output
    moments = [moment for _, moment in marks] + [time.monotonic()]
    return output, {
        stage: end - begin for (stage, begin), end in zip(marks, moments[1:], strict=True)
    }


def kill_in(stage: str, after: float, data: Path, run: Path) -> bool:
    """Run make, and kill everything with SIGKILL some seconds into a stage.

    False if the stage had been finished before, since an earlier kill came late.
    """
    with start(data, run) as process:
        assert process.stdout is not None
        if not any(f"-m {stage}" in line for line in process.stdout):
            return False
        time.sleep(after)
        os.killpg(process.pid, signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


def times_of_change(run: Path) -> dict[str, int]:
    return {
        str(path.relative_to(run)): path.stat().st_mtime_ns
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms") / "set"
    sizes = ["--train", "24", "--test", "6", "--positives", "0.5", "--size", "256"]
    subprocess.run(
        [sys.executable, "-m", "features.phantom.write", "--out", folder, *sizes],
        cwd=ROOT,
        check=True,
    )
    broken = folder / "stage_2_images" / f"{test_ids(folder)[3]}.dcm"
    broken.write_bytes(broken.read_bytes()[:5000])
    return folder


def test_ids(folder: Path) -> list[str]:
    return list(pd.read_csv(folder / "stage_2_sample_submission.csv")["ImageId"])


test_ids.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory) -> tuple[Path, str, dict[str, float]]:
    run = tmp_path_factory.mktemp("run") / "first"
    return (run, *run_through(data, run))


def test_the_submission_fits_the_sample(data, undisturbed):
    run, output, _ = undisturbed
    submission = pd.read_csv(run / "submission.csv", dtype=str)
    assert list(submission.columns) == ["ImageId", "EncodedPixels"]
    assert list(submission["ImageId"]) == test_ids(data)
    assert submission["EncodedPixels"].notna().all()
    assert "checked" in output and "Mean Dice per image" in output


def test_a_truncated_dicom_is_set_aside_and_its_row_is_empty(data, undisturbed):
    run, _, _ = undisturbed
    broken = test_ids(data)[3]
    quarantine = pd.read_csv(run / "quarantine.csv", dtype=str)
    assert list(quarantine["id"]) == [broken]
    assert f"{broken}.dcm" in quarantine["reason"].iloc[0]
    submission = pd.read_csv(run / "submission.csv", dtype=str).set_index("ImageId")
    assert submission.loc[broken, "EncodedPixels"] == "-1"


def test_no_patient_stands_on_both_sides_of_a_split(undisturbed):
    dataset = RunFolder(undisturbed[0]).dataset.read()
    inside, test = dataset[dataset["fold"].notna()], dataset[dataset["split"] == "test"]
    assert inside.groupby("patient")["fold"].nunique().max() == 1
    assert test["fold"].isna().all()
    assert not set(inside["patient"]) & set(test["patient"])


def test_an_image_explained_by_itself_gets_the_prediction_of_the_run(undisturbed):
    """From its file alone, evidence map included: the same log-odds, by the same models."""
    trained = trained_run.read(RunFolder(undisturbed[0]))
    assert trained.evidence_models
    for kind in ("oof", "deployed"):
        row = trained.predicted[trained.predicted["kind"] == kind].iloc[0]
        explained = one_study.explain(Path(trained.dataset.loc[row["id"], "path"]), trained)
        assert (explained.fold is None) == (kind == "deployed")
        assert explained.fold is None or explained.fold == row["fold"]
        scale = trained.calibrations[explained.fold]
        calibrated = scale.slope * row["raw"] + scale.intercept
        assert explained.case.score == pytest.approx(calibrated, abs=1e-6)
        assert explained.case.probability() == pytest.approx(row["probability"], abs=1e-6)


def test_an_answer_on_one_image_is_that_of_the_run(undisturbed):
    """From its file alone: the run's probability and maps, and its row of the submission."""
    run = RunFolder(undisturbed[0])
    predictor = Predictor.load(run.root)
    trained = trained_run.read(run)
    submission = run.submission.read().set_index("ImageId")["EncodedPixels"]
    test = scored_images.sized(run, run.test).set_index("id", drop=False).assign(mask=pd.NA)
    oof = scored_images.sized(run, run.oof).set_index("id", drop=False).assign(mask=pd.NA)
    for rows in (test, oof.iloc[:2]):
        batch = SourceMaps((run,)).measure(rows.reset_index(drop=True))
        for name, (greys, inputs) in zip(rows["id"], batch, strict=True):
            path = Path(trained.dataset.loc[name, "path"])
            study, pixels = images.read(path)
            explained = one_study.explain_picture(study, pixels, trained)
            for source in SOURCES:
                drawn = predictor.grey_map(study, pixels, explained, source)
                np.testing.assert_array_equal(drawn, greys[source])
            answer = predictor(path)
            assert answer.probability == pytest.approx(rows["probability"][name], abs=1e-6)
            low, high = answer.probability_range.low, answer.probability_range.high
            assert 0 <= low <= answer.probability <= high <= 1
            assert len(answer.headline.split()) <= 20
            if rows is test:
                assert answer.mask.code == submission[name]
                assert (answer.mask.code == "-1") != answer.mask.kept
            # Any rule decides alike: the gate sees the same numbers.
            for policy in ("fused", "joint") if name == rows["id"].iloc[0] else ():
                rule = replace(predictor.model.gate.rules[policy], cutoff=0.0, least_area=0.0)
                gate = Gate(policy, (), {policy: rule})
                again = Predictor(replace(predictor.model, gate=gate))(path)
                assert again.mask.kept == rules.keeps(rule, inputs[rules.source(policy)])[0]
            content = json.loads(to_json(answer))
            assert set(content) == set(schema()["$defs"]["Answer"]["properties"])


def test_a_classifier_without_the_map_answers_too(undisturbed, tmp_path):
    """Network and gate use the evidence map all the same."""
    run = RunFolder(Path(shutil.copytree(undisturbed[0], tmp_path / "run")))
    classifier.main(classifier.Settings(run.root, evidence=False, rounds=20))
    shap_values.main(shap_values.Settings(run.root))
    evaluate.main(evaluate.Settings(run.root))
    write.main(write.Settings(run.root, policy="joint"))
    submission = run.submission_of("joint").read().set_index("ImageId")["EncodedPixels"]
    predictor = Predictor.load(run.root)
    joint = Gate("joint", (), predictor.model.gate.rules)
    predictor = Predictor(replace(predictor.model, gate=joint))
    dataset = run.dataset.read().set_index("id")
    for name in run.test.read()["id"]:
        assert predictor(dataset.loc[name, "path"]).mask.code == submission[name]


def test_a_run_packed_as_the_model_that_ships_answers_as_the_run(data, undisturbed, tmp_path):
    """It has no images and no network, but the classifier's side is the run's."""
    run = RunFolder(undisturbed[0])
    trained = trained_run.read(run)
    out = tmp_path / "shipped"
    rule = read_gate(run).rules["handcrafted"]
    size = shipped_model.pack(trained, rule, "It has learned nothing.", out)
    assert size == sum(path.stat().st_size for path in out.iterdir())
    predictor, of_run = Predictor(shipped_model.read(out)), Predictor.load(run.root)
    deployed = run.test.read().set_index("id")
    for name in deployed.index[deployed["kind"] == "deployed"][:3]:
        path = trained.dataset.loc[name, "path"]
        ours, theirs = predictor.examine(path), of_run.examine(path)
        assert ours.answer.probability == pytest.approx(deployed["probability"][name], abs=1e-9)
        assert ours.answer.probability_range.high == pytest.approx(
            theirs.answer.probability_range.high, abs=1e-6
        )
        np.testing.assert_array_equal(
            ours.explained.evidence_map.probability, theirs.explained.evidence_map.probability
        )
        np.testing.assert_array_equal(ours.explained.case.shap, theirs.explained.case.shap)
        # Quantiles stand for the training images.
        gap = np.abs(ours.explained.case.percentiles - theirs.explained.case.percentiles)
        assert gap.max() < 0.5 and ours.answer.model.name == "shipped"
        assert "learned nothing" in ours.answer.model.about
    # A training image is no known one: it is answered by the mean of all models.
    assert predictor(trained.dataset.loc[trained.oof["id"][0], "path"]).model.fold is None
    damaged = {
        "model.json": ("not as this version writes it", b"{"),
        "known.csv": ("its digest differs", b"label,raw\n1,2\n"),
        "classifier0.txt.xz": ("its digest differs", b""),
        "reference.safetensors.xz": ("no such file", None),
    }
    for file, (sentence, content) in damaged.items():
        folder = Path(shutil.copytree(out, tmp_path / file))
        (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            shipped_model.read(folder)
    record = json.loads((out / "model.json").read_text())
    (out / "model.json").write_text(json.dumps(record | {"format": 0}))
    with pytest.raises(UserError, match="a model of format 0"):
        shipped_model.read(out)


def test_what_ships_has_learned_from_phantoms(undisturbed, tmp_path):
    """A run on other images is refused; masks are cut where it is best for the positives."""
    run = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    ship.main(ship.Settings(run, tmp_path / "out"))
    model = shipped_model.read(tmp_path / "out")
    assert "phantoms alone" in model.about and "no patient" in model.about
    rows = scored_images.labelled(RunFolder(run))
    inputs = [i["evidence"] for _, i in SourceMaps((RunFolder(run),)).measure(rows, ("evidence",))]
    dice = np.array([i.dice[0] for i in inputs if i.positive[0] == 1]).mean(axis=0)
    (rule,) = model.gate.rules.values()
    assert dice[rule.mask_share] == dice.max()
    dataset = RunFolder(run).dataset
    rows = dataset.read()
    dataset.write(rows.assign(path="/elsewhere/" + rows["id"]))
    with pytest.raises(UserError, match="not made from phantoms"):
        ship.main(ship.Settings(run, tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_the_model_that_ships_is_whole_and_small():
    model = shipped_model.read()
    assert sum(path.stat().st_size for path in shipped_model.FOLDER.iterdir()) <= 10_000_000
    assert "phantoms alone" in model.about and not model.drawing


def test_a_folder_is_answered_line_by_line(data, undisturbed, tmp_path, capsys):
    """One line of JSON a file, also for the one that cannot be read; the exit status says so."""
    broken, *good = (data / "stage_2_images" / f"{test_ids(data)[k]}.dcm" for k in (3, 0, 1))
    folder = tmp_path / "x-rays"
    folder.mkdir()
    for path in (broken, *good):
        shutil.copy(path, folder)
    answers = tmp_path / "answers"
    settings = cli.Predict((folder,), undisturbed[0], json=True, out=answers, pictures=True)
    with pytest.raises(UserError, match="1 of 3 images have no answer"):
        cli.main(settings)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    errors = [line for line in lines if "error" in line]
    assert [Path(line["file"]).name for line in errors] == [broken.name]
    assert broken.name in errors[0]["error"]
    endings = (".json", ".html", ".mask.png")
    assert {path.name for path in answers.iterdir()} == {
        path.stem + ending for path in good for ending in endings
    }
    for path in good:
        answer = json.loads((answers / f"{path.stem}.json").read_text())
        mask = np.asarray(Image.open(answers / f"{path.stem}.mask.png")) > 0
        assert (rle.encode(mask) if mask.any() else rle.EMPTY) == answer["mask"]["code"]
        page = html.unescape((answers / f"{path.stem}.html").read_text("utf-8"))
        sentences = [*answer["reasons"], *answer["details"]]
        assert sentences and all(sentence["text"] in page for sentence in sentences)
    cli.main(cli.Predict((good[0],), undisturbed[0]))
    words = capsys.readouterr().out
    assert words.startswith(f"{good[0].stem}: Pneumothorax") and "Venn-Abers" in words
    with pytest.raises(UserError, match=broken.name):
        cli.main(cli.Predict((broken,), undisturbed[0]))
    with pytest.raises(UserError, match="say where to write them"):
        cli.main(cli.Predict((good[0],), undisturbed[0], pictures=True))
    with pytest.raises(UserError, match=broken.name):
        cli.main(cli.Rank((folder,), undisturbed[0], out=tmp_path / "next.csv"))
    printed = capsys.readouterr().out
    assert "2 of 3 X-rays ranked, 0 outlined already." in printed
    annotations = pd.DataFrame({"ImageId": [path.name for path in good], "EncodedPixels": "-1"})
    annotations.to_csv(tmp_path / "outlined.csv", index=False)
    cli.main(cli.Rank((good[0], good[1]), undisturbed[0], outlined=tmp_path / "outlined.csv"))
    assert "0 of 0 X-rays ranked, 2 outlined already." in capsys.readouterr().out
    with pytest.raises(UserError, match="name of two images"):
        cli.main(cli.Predict((good[0], good[0]), undisturbed[0], out=tmp_path))


def test_a_second_run_does_nothing_and_a_deleted_output_rebuilds_what_hangs_on_it(
    data, undisturbed
):
    run, _, _ = undisturbed

    def made(target: str = "submission") -> tuple[set[str], str]:
        """The stages that make went through, and its output."""
        output, times = run_through(data, run, target)
        return set(times), output

    before = times_of_change(run)
    assert made()[0] == set()
    assert times_of_change(run) == before
    (run / "gate.json").unlink()
    assert made("gate")[0] == {"cnn.gate.evaluate"}
    (run / "baseline" / "fold1.txt").unlink()
    assert made("classifier")[0] == {"baseline.classifier.train"}
    # Weights are trained again only where they are missing, and come out the same.
    weights = run / "cnn" / "fold1" / "weights.safetensors"
    before_loss = digest(weights)
    weights.unlink()
    stages, output = made()
    assert stages == set(PIPELINE[3:])  # the classifier was made anew, so its SHAP values are too
    assert "U-Net, fold 1" in output and "U-Net, fold 0" not in output
    assert digest(weights) == before_loss
    assert made()[0] == set()


def test_killed_in_every_stage_it_ends_with_the_same_submission(data, undisturbed, tmp_path):
    first, _, times = undisturbed
    assert set(times) == set(PIPELINE)
    # What JAX compiled does not hang on the run, and compiling it again takes longer than the rest.
    shutil.copytree(first / "cnn" / ".jax_cache", tmp_path / "run" / "cnn" / ".jax_cache")
    # In the order in which make went through them.
    kills = [
        kill_in(stage, min(0.6 * took, LATEST), data, tmp_path / "run")
        for stage, took in times.items()
    ]
    assert sum(kills) >= len(PIPELINE) - 2
    run_through(data, tmp_path / "run")
    for name in ("submission.csv", "features.parquet", "baseline/oof.csv", "gate.json"):
        assert digest(tmp_path / "run" / name) == digest(first / name), name
