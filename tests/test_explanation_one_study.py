"""`python -m baseline.report.study_page`: which models predict, what is shown, what is refused."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from baseline.classifier import train
from baseline.evaluation import shortcuts, triage
from baseline.explanation import one_study, trained_run
from baseline.explanation.wording import percent
from baseline.learning import scores
from baseline.learning.calibrate import Calibration
from baseline.learning.estimator import load, raw_scores
from baseline.report import study_page
from features.families import registry
from features.lungs.prepared import prepare
from features.reading import images
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.noise_run import make_run


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a trained run, `known.png` of its training images and `new.png`."""
    folder = tmp_path_factory.mktemp("explain")
    run = make_run(folder)
    dataset, table = run.dataset.read(), run.features.read()
    # One image of the run goes by a plain id and its true measures.
    study, pixels = images.read(folder / "3.png")
    values = registry.measure(prepare(pixels), study)
    table.loc[3, table.columns[1:]] = [np.float32(values[name]) for name in table.columns[1:]]
    dataset.loc[3, "id"] = table.loc[3, "id"] = "known"
    run.dataset.write(dataset)
    run.features.write(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))
        train.main(train.Settings(run=run.root, rounds=15, evidence=False))
    shutil.copy(folder / "3.png", folder / "known.png")
    shutil.copy(folder / "5.png", folder / "new.png")
    return folder


def measures(path: Path) -> pd.DataFrame:
    study, pixels = images.read(path)
    return pd.DataFrame([registry.measure(prepare(pixels), study)]).astype(np.float32)


def boosters(run: RunFolder) -> list:
    return [load(run.classifier(k)) for k in range(2)]


def trained_of(world: Path) -> trained_run.TrainedRun:
    return trained_run.read(RunFolder(world / "run"))


def test_a_training_image_is_predicted_by_the_model_of_its_fold(world):
    trained = trained_of(world)
    explained = one_study.explain(world / "known.png", trained)
    fold = int(trained.dataset.loc["known", "fold"])
    assert explained.fold == fold and f"by the model of fold {fold}," in explained.notes[0]
    oof = trained.oof.set_index("id").loc["known"]
    assert explained.raw == pytest.approx(oof["raw"], abs=1e-6)
    assert explained.case.probability() == pytest.approx(oof["probability"], abs=1e-6)
    assert explained.mask == trained.dataset.loc["known", "mask"] and len(explained.notes) == 1


def test_any_other_image_is_predicted_by_all_models(world):
    trained = trained_of(world)
    explained = one_study.explain(world / "new.png", trained)
    row = measures(world / "new.png")
    raw = [raw_scores(booster, row)[0] for booster in boosters(trained.run)]
    assert explained.fold is None and explained.mask is None
    assert triage.error_rate(trained) is None
    assert triage.decide(explained.raw, trained.known(None), None) is None
    deployed = files.read_record(trained.run.calibration, Calibration)
    score = deployed.slope * np.mean(raw) + deployed.intercept
    assert explained.case.score == pytest.approx(score, abs=1e-6)
    assert "mean of all 2 fold models" in explained.notes[0]


def test_another_image_under_a_known_name_is_noticed(world, tmp_path):
    shutil.copy(world / "5.png", tmp_path / "known.png")
    explained = one_study.explain(tmp_path / "known.png", trained_of(world))
    assert "may be another image" in explained.notes[1] and explained.mask is None


def test_terminal_and_page(world, tmp_path, capsys):
    paths = (world / "known.png", world / "new.png")
    study_page.main(study_page.Settings(paths, world / "run", tmp_path))
    out = " ".join(capsys.readouterr().out.split())
    trained = trained_of(world)
    for path in paths:
        explained = one_study.explain(path, trained)
        chance = percent(explained.case.probability())
        assert f"{path.stem}: probability of pneumothorax {chance}" in out
        page = (tmp_path / f"{path.stem}.html").read_text("utf-8").replace("&#39;", "'")
        assert f"Probability of pneumothorax: {chance}" in page and explained.notes[0] in page
        assert ("truth unknown" in page) == (path.stem == "new")
        assert "not a medical device" in page and "http" not in page.replace("http-equiv", "")


def test_triage_where_the_run_has_shortcut_checks(world, tmp_path, monkeypatch):
    run = RunFolder(Path(shutil.copytree(world / "run", tmp_path / "run")))
    monkeypatch.setattr(shortcuts, "PERMUTATIONS", 2)
    monkeypatch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))
    shortcuts.main(shortcuts.Settings(run.root))
    trained = trained_run.read(run)
    explained = one_study.explain(world / "new.png", trained)
    labels, raw = trained.oof["label"].to_numpy(), trained.oof["raw"].to_numpy()
    new = measures(world / "new.png")
    score = np.mean([raw_scores(booster, new)[0] for booster in boosters(run)])
    out = (np.sum(raw[labels == 1] <= score) + 1) / (np.sum(labels == 1) + 1) <= 0.1
    into = (np.sum(raw[labels == 0] >= score) + 1) / (np.sum(labels == 0) + 1) <= 0.1
    word = "refer" if out == into else "rule out" if out else "rule in"
    decision = triage.decide(
        explained.raw, trained.known(explained.fold), triage.error_rate(trained)
    )
    assert decision is not None and decision.startswith(word) and "10%" in decision
    console = Console(width=200)
    with console.capture() as captured:
        study_page.show(explained, decision, console)
    assert f"Triage: {decision}" in captured.get()


def test_a_flagged_image_is_referred_with_the_reason_first(world, tmp_path, capsys):
    """Noise is no chest; whatever its probability, triage refers it."""
    explained = one_study.explain(world / "new.png", trained_of(world))
    assert explained.quality.flagged
    decision = triage.decide(-100.0, trained_of(world).known(None), None, explained.quality)
    assert decision == f"{explained.quality.words}: refer to a reader"
    study_page.main(study_page.Settings((world / "new.png",), world / "run", tmp_path))
    out = " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "new.html").read_text("utf-8")
    for shown in (out, page):
        assert f"Triage: {decision}" in shown and explained.quality.sentence in shown


def test_what_can_be_read_is_explained_and_the_rest_is_listed(world, tmp_path):
    (tmp_path / "note.txt").write_text("no image")
    paths = (tmp_path / "gone.png", world / "new.png", tmp_path / "note.txt")
    with pytest.raises(UserError, match=r"gone\.png: no such file\.\n.*note\.txt: "):
        study_page.main(study_page.Settings(paths, world / "run", tmp_path))
    assert (tmp_path / "new.html").exists()


def test_mistakes(world, tmp_path):
    run, image = RunFolder(tmp_path / "run"), world / "new.png"

    def refused(message: str, *paths: Path) -> None:
        with pytest.raises(UserError, match=message):
            study_page.main(study_page.Settings(paths or (image,), run.root, tmp_path))

    refused("no such run folder")
    shutil.copytree(world / "run", run.root)
    refused("new would take the place of another page", image, tmp_path / "new.png")
    refused("new would take the place of another page", image, tmp_path / "NEW.png")
    refused("index would take", tmp_path / "index.png")
    refused(r"xx\.\.\. \(251 characters\) is too long a name", tmp_path / f"{'x' * 251}.png")
    with pytest.raises(UserError, match="name at least one"):
        study_page.main(study_page.Settings((), run.root))
    table = run.features.read()
    run.features.write(table.drop(columns="shape.image.width"))
    refused(r"'shape\.image\.width' is missing, which the model was trained on")
    run.features.write(table.iloc[1:])
    refused(r"i000<b> is predicted, but missing here")
    run.features.write(table.assign(**{name: np.float32(0) for name in table.columns[1:]}))
    refused(r"fold0\.txt: the predictions in oof\.csv are not those of this model")
    run.oof.path.unlink()
    refused(r"oof\.csv: no such file; run `make classifier` first")
    with pytest.raises(UserError, match=r"'texture\.apex\.old', which this version does not"):
        one_study.families(["texture.apex.old"])


def test_a_comparison_needs_what_it_compares():
    names = ["asymmetry.rim.firstorder_mean", "shape.image.width"]
    assert one_study.families(names) == ("firstorder", "shape", "asymmetry")
