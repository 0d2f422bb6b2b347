"""The evidence map: it points at the air, and no model predicts what it has seen."""

import numpy as np
import pandas as pd
import pytest

from baseline.evidence_map import by_zone, fit, held_out, models, results, train
from baseline.evidence_map.fit import SourceWeights
from baseline.evidence_map.held_out import Training
from baseline.evidence_map.results import EvidenceScores, EvidenceSettings
from baseline.learning import scores
from features.cells import table as cell_table
from features.cells.measure import MEASURES, Cells
from features.families import map_summary
from features.families.table import read as read_features
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from features.run.version import VERSION
from tests.helpers.evidence_run import make_run


def train_map(run: RunFolder, **options) -> None:
    train.main(train.Settings(run.root, jobs=1, **options))


def cells_of(run: RunFolder, name: str) -> Cells:
    """The cells of one image of a run."""
    index, values = cell_table.read(run)
    rows = (index["id"] == name).to_numpy()
    parts = [index[column].to_numpy()[rows] for column in ("row", "column", "side", "zone")]
    return Cells(*parts, values[rows].astype(np.float32))


def test_the_map_is_learned_from_auxiliary_phantoms_too(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    auxiliary = make_run(tmp_path / "auxiliary", images=30, name="p")
    original, sizes = fit.fit_cells, []

    def watched(weighted, seed):
        sizes.append([len(cells.shares) for cells, _ in weighted])
        return original(weighted, seed)

    monkeypatch.setattr(fit, "fit_cells", watched)
    held_out.fit_and_predict(
        (0,), Training(run.root, auxiliary.root, SourceWeights(), 0, "watched")
    )
    # One lung of 80 cells in every other image: of 60 outside fold 0, and of 30 phantoms. The other
    # lungs of the 60 are healthy.
    assert sizes == [[30 * 80, 0, 15 * 80, 90 * 80]]


def test_auxiliary_phantoms_that_are_the_runs_own_images_are_refused(tmp_path):
    run = make_run(tmp_path)
    with pytest.raises(UserError, match="90 of its images are the run's own, such as i00"):
        train_map(run, auxiliary=run.root)
    assert not run.evidence_map.path.parent.exists()


def test_the_map_points_at_the_air_and_every_classifier_gets_every_image(tmp_path, capsys):
    run = make_run(tmp_path)
    train_map(run)
    cells, dataset = run.evidence_map.read(), run.dataset.read().set_index("id")
    assert (cells["for_fold"] == dataset["fold"].loc[cells["id"].astype(str)].to_numpy()).all()
    ill = dataset["label"].loc[cells["id"].astype(str)].to_numpy() == 1
    right, apex = cells["column"] == 0, cells["row"] % 4 == 0
    hit = cells["probability"][ill & right & apex].mean()
    assert hit > 5 * cells["probability"][ill & right & ~apex].mean()
    assert hit > 5 * cells["probability"][~ill].mean()
    assert (cells["probability"] <= cells["lung"]).all()
    assert cells["lung"][ill & right].mean() > 0.5 > 5 * cells["lung"][~right].mean()
    table = run.evidence_by_zone.read()
    assert table.groupby("for_fold")["id"].nunique().to_dict() == {0: 90, 1: 90, 2: 90}
    assert len(table) == 270
    assert np.isfinite(table[list(map_summary.names())].to_numpy()).all()
    scored = files.read_record(run.evidence_metrics, EvidenceScores)
    assert min(scored.lung.value, scored.cell.value) > 0.95
    assert scored.right.value > 0.9 and scored.left is None  # none is ill on the left
    printed = capsys.readouterr().out
    assert "6 models; out of fold" in printed and f"AUC {scored.cell}" in printed
    assert "only the left lung" not in printed
    assert results.read_settings(run) == EvidenceSettings(VERSION, 0, 0.5, 0, 0.1, 1.0, 0.3)


def test_an_image_by_itself_has_the_evidence_of_its_run(tmp_path):
    run = make_run(tmp_path)
    train_map(run)
    evidence_models = [models.load(run, fold) for fold in range(3)]
    row = read_features(run).loc[["i07"]]
    tables = by_zone.of_one_image(evidence_models, row, cells_of(run, "i07"))
    fold = run.dataset.read().set_index("id")["fold"]["i07"]
    stored = run.evidence_by_zone.read()
    expected = stored[(stored["for_fold"] == fold) & (stored["id"] == "i07")]
    names = list(map_summary.names())
    assert len(tables) == 3 and list(tables[fold]) == names and list(tables[fold].index) == ["i07"]
    np.testing.assert_array_equal(tables[fold].to_numpy(), expected[names].to_numpy())


def test_test_images_are_predicted_by_every_fold(tmp_path):
    run = make_run(tmp_path / "run")
    auxiliary = make_run(tmp_path / "auxiliary", images=30, name="p")
    dataset = run.dataset.read()
    test = dataset["id"] == "i89"
    run.dataset.write(
        dataset.assign(fold=dataset["fold"].mask(test), split=np.where(test, "test", "train"))
    )
    train_map(run, auxiliary=auxiliary.root)
    assert results.read_settings(run).auxiliary == 15
    cells, table = run.evidence_map.read(), run.evidence_by_zone.read()
    assert sorted(cells["for_fold"][cells["id"] == "i89"].unique()) == [0, 1, 2]
    assert sorted(table["for_fold"][table["id"] == "i89"]) == [0, 1, 2]
    assert "i89" not in set(run.evidence_pairs.read()["id"].astype(str))


def test_models_of_other_measures_or_folds_are_not_used(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    files.write_text(run.cell_model(3), "of another number of folds")
    train_map(run)
    written = set(run.cell_model(0).parent.glob("*.txt"))
    assert written == {path(fold) for path in (run.lung_model, run.cell_model) for fold in range(3)}
    with monkeypatch.context() as patch:
        patch.setattr(models, "MEASURES", (*MEASURES, MEASURES[0]))
        with pytest.raises(UserError, match=r"cells1\.txt: it needs \d+ measures of a cell"):
            models.load(run, 1)

    def killed(*arguments):
        raise KeyboardInterrupt

    # New models beside an old table would predict otherwise than the classifier learned.
    monkeypatch.setattr(models, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train_map(run)
    assert not run.evidence_by_zone.exists()


def test_no_model_has_seen_what_it_predicts(tmp_path):
    """Fold 1's masks contradict the others': who predicts it must not have learned from it.

    And the classifier of fold 1 must learn from predictions that do not know its masks either.
    """
    tables = {}
    for name, marker in (("plain", None), ("odd", 1)):
        run = make_run(tmp_path / name, marker=marker)
        train_map(run)
        tables[name] = [run.evidence_by_zone.read(), run.evidence_pairs.read()]
    for plain, odd in zip(*tables.values(), strict=True):
        same = plain["for_fold"] == 1
        pd.testing.assert_frame_equal(plain[same], odd[same])
        # The others do learn from it, so this test can fail.
        assert not plain.equals(odd)
    # A network learns from all images outside its fold; the models of other folds know it.
    pairs, dataset = tables["plain"][1], run.dataset.read().set_index("id")
    fold = dataset["fold"].loc[pairs["id"].astype(str)].to_numpy()
    assert (fold != pairs["for_fold"]).all()
    by_fold = pairs.groupby("for_fold")["id"].agg(lambda ids: set(ids.astype(str)))
    for number, ids in by_fold.items():
        assert ids == set(dataset.index[dataset["fold"] != number])


def test_two_folds_leave_nothing_to_learn_from(tmp_path):
    with pytest.raises(UserError, match="outside folds 0 and 1 no image has a mask"):
        train_map(make_run(tmp_path, images=40, folds=2))


def test_a_negative_weight_is_refused(tmp_path):
    with pytest.raises(UserError, match="--weak-weight is -1, but must be at least 0"):
        train_map(make_run(tmp_path, images=6), weak_weight=-1)


def test_the_auc_of_sorted_cells_is_that_of_a_resample():
    """With ties, and images that a resample lacks or has more than once."""
    rng = np.random.default_rng(0)
    image, value = rng.integers(0, 12, 400).astype(np.int32), rng.integers(0, 30, 400)
    air = rng.random(400) < value / 60
    order = np.argsort(value, kind="stable")
    is_last = np.append(np.diff(value[order]) > 0, True)
    for rows in scores.resamples(np.arange(12).astype(str), 20):
        cells = np.concatenate([np.flatnonzero(image == row) for row in rows])
        times = np.bincount(rows, minlength=12)
        ours = results._auc_of_sorted(image[order], air[order], is_last, times)
        assert ours == scores.auc(air[cells].astype(float), value[cells].astype(float))
    none = results._auc_of_sorted(image, np.zeros(400, bool), is_last, np.ones(12, np.int64))
    assert np.isnan(none)
