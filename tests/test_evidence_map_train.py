"""Judges of lungs: the table lung by lung, shared weak labels, and who is judged by whom."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from baseline.evidence_map import models, train
from baseline.evidence_map.training_data import by_lung, read_phantoms, read_training_data
from features.cells import table as cell_table
from features.cells.measure import MEASURES, Cells
from features.families import map_summary
from features.families.table import read as read_features
from features.lungs.zones import NAMES
from features.run import files

PAIR = ("firstorder.right_rim.mean", "firstorder.left_rim.mean")


def test_the_table_lung_by_lung_by_hand():
    table = pd.DataFrame(
        [[5.0, 3.0, 7.0, 9.0], [1.0, 4.0, 8.0, 9.0]],
        columns=[*PAIR, "shape.image.width", "asymmetry.rim.firstorder_mean"],
    )
    view = by_lung(table)
    assert list(view) == ["firstorder.rim.mean", "less.firstorder.rim.mean", "shape.image.width"]
    np.testing.assert_array_equal(view.to_numpy(), [[5, 2, 7], [1, -3, 8], [3, -2, 7], [4, 3, 8]])


def test_weak_labels_find_their_side():
    """No lung of a weakly labelled image is told, yet the sick one is found in nearly all."""
    rng = np.random.default_rng(0)
    n = 400
    sick = rng.integers(0, 3, n)  # neither, right, left
    truth = np.stack((sick == 1, sick == 2), axis=1).astype(float)
    own = truth + rng.normal(0, 0.2, (n, 2))
    view = pd.DataFrame({"own": own.T.ravel(), "less": np.r_[own @ [1, -1], own @ [-1, 1]]})
    told = truth.copy()
    told[40:] = np.nan
    booster = models.fit_lungs(view, told, truth.max(axis=1), np.ones(n), 0)
    raw = booster.predict(view.to_numpy(np.float32), raw_score=True).reshape(2, -1).T
    weak = np.flatnonzero((sick > 0) & np.isnan(told[:, 0]))
    assert (raw[weak].argmax(axis=1) == truth[weak].argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize("known", [0.0, None])
def test_cells_are_judged_as_lightgbm_would(known):
    """Bit for bit, by a booster that learned nothing too."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(900, 5)).astype(np.float16).astype(np.float32)
    shares = np.full(900, known) if known is not None else rng.random(900).round()
    booster = models.fit_cells(models.Places(values, shares, 9), None, 0)
    found = models.EvidenceModel(booster, booster).place(values[:70])
    np.testing.assert_array_equal(found, expit(booster.predict(values[:70], raw_score=True)))


def write_run(
    run: Path, images: int = 90, folds: int = 3, marker: int | None = None, name: str = "i"
) -> None:
    """A run whose right lungs collapse: the rim is bright and so is one cell in four.

    With `marker` that fold's masks lie elsewhere: only its own judges can know.
    """
    rng = np.random.default_rng(0)
    ids = [f"{name}{number:02d}" for number in range(images)]
    label = (np.arange(images) % 2).astype(float)
    fold = np.arange(images) // 2 % folds
    dataset = pd.DataFrame(
        {"id": ids, "split": "train", "fold": fold, "label": label, "weak": np.nan, "patient": ids}
    )
    dataset["mask"] = np.where(np.arange(images) == 7, None, "-1")  # what it is plays no part here
    files.write_table(run / "dataset.parquet", dataset)
    rims = rng.normal(0, 0.3, (images, 2)).astype(np.float32)
    rims[:, 0] += label
    table = pd.DataFrame(rims, columns=PAIR)
    table.insert(0, "id", ids)
    files.write_table(run / "features.parquet", table)
    n = 160  # eighty cells a lung
    apex = np.arange(n) % 4 == 0
    side = np.repeat([0, 1], n // 2)
    index = pd.DataFrame(
        {
            "id": pd.Categorical.from_codes(np.repeat(np.arange(images), n), ids),
            "row": np.tile(np.arange(n) % 80, images).astype(np.int16),
            "column": np.tile(side, images).astype(np.int16),
            "side": np.tile(side, images).astype(np.int8),
            "zone": np.tile(
                np.where(side == 0, NAMES.index("right_apex_rim"), NAMES.index("left_apex_rim")),
                images,
            ).astype(np.int8),
        }
    )
    where = np.tile(apex & (side == 0), (images, 1))
    if marker is not None:
        where[fold == marker] = ~apex & (side == 0)
    index["share"] = (where * label[:, None]).ravel().astype(np.float32)
    values = rng.normal(0, 0.3, (images * n, len(MEASURES))).astype(np.float16)
    values[:, 0] += np.tile(apex, images)
    index.attrs["measures"] = cell_table.NAMES
    files.write_table(run / "cells" / "index.parquet", index)
    values.tofile(run / "cells" / "values.f16")


def map_of(run: Path) -> pd.DataFrame:
    found = pd.read_parquet(run / "evidence" / "map.parquet")
    return found.assign(apex=found["row"] % 4 == 0)


def test_phantoms_help_where_masks_are_few(tmp_path):
    write_run(tmp_path / "few", images=6)
    write_run(tmp_path / "phantoms")
    few, phantoms = (read_phantoms(tmp_path / name, ()) for name in ("few", "phantoms"))
    # The right lungs of every other image, and of them alone.
    assert len(few.shares) == 3 * 80 and len(phantoms.shares) == 45 * 80
    assert (few.images, phantoms.images) == (3, 45)
    rule = few.values[:, 0] > 0.5
    apart = []
    for taught in (None, phantoms):
        raw = models.fit_cells(few, taught, 0).predict(few.values, raw_score=True)
        apart.append(raw[rule].mean() - raw[~rule].mean())
    assert apart[1] > 2 * apart[0] and apart[1] > 2


def test_the_map_is_learned_from_phantoms_too(tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    write_run(tmp_path / "phantoms", images=30, name="p")
    fit, taught = models.fit_cells, []

    def watched(own, phantoms, seed):
        taught.append((len(own.shares), len(phantoms.shares)))
        return fit(own, phantoms, seed)

    monkeypatch.setattr(models, "fit_cells", watched)
    settings = train.Settings(tmp_path / "run", phantoms=tmp_path / "phantoms", jobs=1)
    train.hear((0,), settings)
    # One lung of 80 cells in every other image: of 60 outside fold 0, and of 30 phantoms.
    assert taught == [(30 * 80, 15 * 80)]


def test_phantoms_that_are_the_runs_own_images_are_refused(tmp_path):
    write_run(tmp_path)
    with pytest.raises(files.UserError, match="90 of its images are the run's own, such as i00"):
        train.main(train.Settings(tmp_path, phantoms=tmp_path, jobs=1))
    assert not (tmp_path / "evidence").exists()


def test_phantoms_without_pneumothorax_are_refused(tmp_path):
    write_run(tmp_path)
    index = files.read_table(tmp_path / "cells" / "index.parquet").assign(share=np.float32(0))
    files.write_table(tmp_path / "cells" / "index.parquet", index)
    with pytest.raises(files.UserError, match="no lung has collapsed by a known mask"):
        read_phantoms(tmp_path, ())


def test_the_map_points_at_the_air_and_every_verdict_gets_every_image(tmp_path):
    write_run(tmp_path)
    train.main(train.Settings(tmp_path, jobs=1))
    drawn = map_of(tmp_path)
    dataset = pd.read_parquet(tmp_path / "dataset.parquet").set_index("id")
    fold = dataset["fold"].loc[drawn["id"].astype(str)].to_numpy()
    assert (drawn["judge"].to_numpy() == fold).all()
    sick = dataset["label"].loc[drawn["id"].astype(str)].to_numpy() == 1
    right = drawn["column"] == 0
    hit = drawn["probability"][sick & right & drawn["apex"]].mean()
    assert hit > 5 * drawn["probability"][sick & right & ~drawn["apex"]].mean()
    assert hit > 5 * drawn["probability"][~sick].mean()
    assert (drawn["probability"] <= drawn["lung"]).all()
    assert drawn["lung"][sick & right].mean() > 0.5 > 5 * drawn["lung"][~right].mean()
    columns = pd.read_parquet(tmp_path / "evidence" / "columns.parquet")
    assert columns.groupby("judge")["id"].nunique().to_dict() == {0: 90, 1: 90, 2: 90}
    assert len(columns) == 270
    assert np.isfinite(columns[list(map_summary.names())].to_numpy()).all()
    metrics = files.read_json(tmp_path / "evidence" / "metrics.json")
    assert metrics["lung"]["value"] > 0.95
    assert metrics["right"]["value"] > 0.9 and "left" not in metrics  # none is ill on the left
    assert metrics["cell"]["value"] > 0.95
    # Asked of one image by itself, its fold's judge says the same.
    index, values = cell_table.read(tmp_path)
    own = (index["id"] == "i07").to_numpy()
    parts = [index[name].to_numpy()[own] for name in ("row", "column", "side", "zone")]
    cells = Cells(*parts, values[own].astype(np.float32))
    sitting = [models.load(tmp_path, fold) for fold in range(3)]
    row = read_features(tmp_path).loc[["i07"]]
    found = train.of_image(sitting, row, cells)
    k = dataset.loc["i07", "fold"]
    expected = columns[(columns["judge"] == k) & (columns["id"] == "i07")]
    names = list(map_summary.names())
    found = found[[f"{name}@{k}" for name in names]]
    np.testing.assert_array_equal(found.to_numpy(), expected[names].to_numpy())


def test_judges_of_other_measures_or_folds_are_not_asked(tmp_path, monkeypatch):
    write_run(tmp_path)
    folder = tmp_path / "evidence"
    files.write_text(folder / "cells3.txt", "of another number of folds")
    train.main(train.Settings(tmp_path, jobs=1))
    names = {path.name for path in folder.glob("*.txt")}
    assert names == {f"{what}{fold}.txt" for what in models.PARTS for fold in range(3)}
    with monkeypatch.context() as patch:
        patch.setattr(models, "MEASURES", (*MEASURES, MEASURES[0]))
        with pytest.raises(
            files.UserError, match=r"cells1\.txt: it asks for \d+ measures of a cell"
        ):
            models.load(tmp_path, 1)

    def killed(*arguments):
        raise KeyboardInterrupt

    # New judges beside old columns would say other things than the verdict learned from.
    monkeypatch.setattr(models, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train.main(train.Settings(tmp_path, jobs=1))
    assert not (folder / "columns.parquet").exists()


def test_no_judge_has_seen_what_it_describes(tmp_path):
    """Fold 1's masks contradict the others': who describes it must not have learned from it.

    And the verdict of fold 1 must learn from descriptions that do not know its masks either.
    """
    runs = {}
    for name, marker in (("plain", None), ("odd", 1)):
        write_run(tmp_path / name, marker=marker)
        train.main(train.Settings(tmp_path / name, jobs=1))
        folder = tmp_path / name / "evidence"
        runs[name] = [pd.read_parquet(folder / f"{n}.parquet") for n in ("columns", "pairs")]
    for plain, odd in zip(*runs.values(), strict=True):
        same = plain["judge"] == 1
        pd.testing.assert_frame_equal(plain[same], odd[same])
        # The others do learn from it, so this test can fail.
        assert not plain.equals(odd)
    # A network learns from all images outside its fold; the judges of other folds know it.
    pairs = runs["plain"][1]
    dataset = pd.read_parquet(tmp_path / "plain" / "dataset.parquet").set_index("id")
    fold = dataset["fold"].loc[pairs["id"].astype(str)].to_numpy()
    assert (fold != pairs["judge"]).all()
    seen = pairs.groupby("judge")["id"].agg(lambda ids: set(ids.astype(str)))
    for judge, ids in seen.items():
        assert ids == set(dataset.index[dataset["fold"] != judge])


def test_two_folds_leave_nothing_to_learn_from(tmp_path):
    write_run(tmp_path, images=40, folds=2)
    with pytest.raises(files.UserError, match="outside folds 0 and 1 no image has a mask"):
        train.main(train.Settings(tmp_path, jobs=1))


def test_cells_of_other_images_are_refused(tmp_path):
    write_run(tmp_path, images=40)
    table = pd.read_parquet(tmp_path / "features.parquet")
    files.write_table(tmp_path / "features.parquet", table[1:])
    with pytest.raises(files.UserError, match="i00 is not measured both there and in features"):
        read_training_data(tmp_path)
