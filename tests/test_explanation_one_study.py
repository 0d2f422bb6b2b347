"""`python -m baseline.report.study_page`: whose model judges, what is said, and how mistakes are told."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from baseline.classifier import train
from baseline.explanation import one_study, trained_run
from baseline.explanation.sentences import percent
from baseline.learning import predictions, scores
from baseline.learning.estimator import load, raw_scores
from baseline.report import study_page
from features.families import registry
from features.lungs.prepared import prepare
from features.reading import images
from features.run import files
from features.run.files import UserError
from tests.helpers.noise_run import make_run


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a trained run, `known.png` of its training set and `new.png`."""
    folder = tmp_path_factory.mktemp("explain")
    run = make_run(folder)
    dataset = pd.read_parquet(run / "dataset.parquet")
    table = pd.read_parquet(run / "features.parquet")
    # One image of the run goes by a plain id and its true measures.
    study, pixels = images.read(folder / "3.png")
    found = registry.measure(prepare(pixels), study)
    table.loc[3, table.columns[:-1]] = [np.float32(found[name]) for name in table.columns[:-1]]
    dataset.loc[3, "id"] = table.loc[3, "id"] = "known"
    files.write_table(run / "dataset.parquet", dataset)
    files.write_table(run / "features.parquet", table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))
        train.main(train.Settings(run, rounds=15, evidence=False))
    shutil.copy(folder / "3.png", folder / "known.png")
    shutil.copy(folder / "5.png", folder / "new.png")
    return folder


def measures(path: Path) -> pd.DataFrame:
    study, pixels = images.read(path)
    return pd.DataFrame([registry.measure(prepare(pixels), study)]).astype(np.float32)


def boosters(run: Path) -> list:
    return [load(run / "baseline" / f"fold{k}.txt") for k in range(2)]


def test_a_training_image_is_judged_by_its_own_fold(world):
    trained = one_study.read_trained(world / "run")
    found = one_study.judge(world / "known.png", trained)
    fold = int(trained.dataset.loc["known", "fold"])
    assert found.fold == fold and f"by the model of fold {fold}," in found.notes[0]
    oof = trained.oof.set_index("id").loc["known"]
    assert found.case.probability() == pytest.approx(oof["probability"], abs=1e-6)
    assert found.mask == trained.dataset.loc["known", "mask"] and len(found.notes) == 1


def test_any_other_image_is_judged_by_all_models(world):
    found = one_study.judge(world / "new.png", one_study.read_trained(world / "run"))
    row = measures(world / "new.png")
    each = [raw_scores(booster, row)[0] for booster in boosters(world / "run")]
    assert found.fold == -1 and found.mask is None and found.triage is None
    deployed = files.read_json(world / "run" / "baseline" / "calibration.json")
    score = deployed["slope"] * np.mean(each) + deployed["intercept"]
    assert found.case.score == pytest.approx(score, abs=1e-6)
    assert "mean of all 2 fold models" in found.notes[0]


def test_another_image_under_a_known_name_is_told(world, tmp_path):
    shutil.copy(world / "5.png", tmp_path / "known.png")
    found = one_study.judge(tmp_path / "known.png", one_study.read_trained(world / "run"))
    assert "may be another image" in found.notes[1] and found.mask is None


def test_terminal_and_page(world, tmp_path, capsys):
    run = world / "run"
    paths = (world / "known.png", world / "new.png")
    study_page.main(study_page.Settings(paths, run, tmp_path))
    out = " ".join(capsys.readouterr().out.split())
    trained = one_study.read_trained(run)
    for path in paths:
        found = one_study.judge(path, trained)
        chance = percent(found.case.probability())
        assert f"{path.stem}: probability of pneumothorax {chance}" in out
        page = (tmp_path / f"{path.stem}.html").read_text("utf-8")
        assert f"Probability of pneumothorax: {chance}" in page and found.notes[0] in page.replace(
            "&#39;", "'"
        )
        assert ("truth unknown" in page) == (path.stem == "new")
        assert "not a medical device" in page and "http" not in page.replace("http-equiv", "")


def test_triage_is_told_where_the_run_was_scrutinised(world, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(world / "run", run)
    oof = predictions.read(run / "baseline" / "oof.csv")
    written = {"judged": trained_run.fingerprint(oof), "triage": {"alpha": 0.2}}
    files.write_json(run / "baseline" / "scrutiny.json", written)
    trained = one_study.read_trained(run)
    found = one_study.judge(world / "new.png", trained)
    labels, raw = oof["label"].to_numpy(), oof["raw"].to_numpy()
    score = np.mean([raw_scores(one, measures(world / "new.png"))[0] for one in boosters(run)])
    out = (np.sum(raw[labels == 1] <= score) + 1) / (np.sum(labels == 1) + 1) <= 0.2
    into = (np.sum(raw[labels == 0] >= score) + 1) / (np.sum(labels == 0) + 1) <= 0.2
    word = "refer" if out == into else "rule out" if out else "rule in"
    assert found.triage is not None and found.triage.startswith(word) and "20%" in found.triage
    console = Console(width=200)
    with console.capture() as told:
        study_page.show(found, console)
    assert f"Triage: {found.triage}" in told.get()


def test_what_can_be_read_is_explained_and_the_rest_told(world, tmp_path):
    (tmp_path / "note.txt").write_text("no image")
    paths = (tmp_path / "gone.png", world / "new.png", tmp_path / "note.txt")
    with pytest.raises(UserError, match=r"gone\.png: no such file\.\n.*note\.txt: "):
        study_page.main(study_page.Settings(paths, world / "run", tmp_path))
    assert (tmp_path / "new.html").exists()


def test_mistakes(world, tmp_path):
    run, image = tmp_path / "run", world / "new.png"

    def told(message: str, *paths: Path) -> None:
        with pytest.raises(UserError, match=message):
            study_page.main(study_page.Settings(paths or (image,), run, tmp_path))

    told("no such run folder")
    shutil.copytree(world / "run", run)
    told("new would take the place of another page", image, tmp_path / "new.png")
    told("index would take", tmp_path / "index.png")
    with pytest.raises(UserError, match="name at least one"):
        study_page.main(study_page.Settings((), run))
    table = pd.read_parquet(run / "features.parquet")
    files.write_table(run / "features.parquet", table.drop(columns="shape.image.width"))
    told(r"'shape\.image\.width' is missing, which the model was trained on")
    files.write_table(run / "features.parquet", table.iloc[1:])
    told(r"i000<b> is missing, which taught the verdict")
    mixed = table.assign(**{name: np.float32(0) for name in table.columns[:-1]})
    files.write_table(run / "features.parquet", mixed)
    told("predictions of fold 0 are not those of its model")
    (run / "baseline" / "oof.csv").unlink()
    told("oof.csv: no such file; run `make baseline` first")
    with pytest.raises(UserError, match=r"'texture\.apex\.old', which this version does not"):
        one_study.families(["texture.apex.old"])


def test_a_comparison_needs_what_it_compares():
    names = ["asymmetry.rim.firstorder_mean", "shape.image.width"]
    assert one_study.families(names) == ("firstorder", "shape", "asymmetry")
