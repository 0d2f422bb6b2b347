"""Fitting evidence models: the table lung by lung, shared weak labels, auxiliary phantoms."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from baseline.evidence_map import fit, training_data
from baseline.evidence_map.models import EvidenceModel
from baseline.evidence_map.training_data import (
    LabelledCells,
    by_lung,
    cells_without_air,
    healthy_lungs,
    labelled_cells,
    read_auxiliary,
    read_training_data,
    weakly_collapsed,
)
from features.run.files import UserError
from tests.helpers.evidence_run import PAIR, make_run


def test_the_table_lung_by_lung_by_hand():
    table = pd.DataFrame(
        [[5.0, 3.0, 7.0, 9.0], [1.0, 4.0, 8.0, 9.0]],
        columns=[*PAIR, "shape.image.width", "asymmetry.rim.firstorder_mean"],
    )
    lungs = by_lung(table)
    assert list(lungs) == ["firstorder.rim.mean", "less.firstorder.rim.mean", "shape.image.width"]
    np.testing.assert_array_equal(lungs.to_numpy(), [[5, 2, 7], [1, -3, 8], [3, -2, 7], [4, 3, 8]])


def test_weak_labels_find_their_side():
    """No lung of a weakly labelled image is labelled, yet the ill one is found in nearly all."""
    rng = np.random.default_rng(0)
    n = 400
    ill = rng.integers(0, 3, n)  # neither, right, left
    truth = np.stack((ill == 1, ill == 2), axis=1).astype(float)
    measure = truth + rng.normal(0, 0.2, (n, 2))
    less = np.r_[measure @ [1, -1], measure @ [-1, 1]]
    features = pd.DataFrame({"measure": measure.T.ravel(), "less": less})
    labelled = truth.copy()
    labelled[40:] = np.nan
    booster = fit.fit_lungs(features, labelled, truth.max(axis=1), np.ones(n), 0)
    raw = booster.predict(features.to_numpy(np.float32), raw_score=True).reshape(2, -1).T
    weak = np.flatnonzero((ill > 0) & np.isnan(labelled[:, 0]))
    assert (raw[weak].argmax(axis=1) == truth[weak].argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize("known", [0.0, None])
def test_cells_are_predicted_as_lightgbm_would(known):
    """Bit for bit, by a booster that learned nothing too."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(900, 5)).astype(np.float16).astype(np.float32)
    shares = np.full(900, known) if known is not None else rng.random(900).round()
    booster = fit.fit_cells([(LabelledCells(values, shares, 9), 1.0)], 0)
    predicted = EvidenceModel(booster, booster).predict_cells(values[:70])
    np.testing.assert_array_equal(predicted, expit(booster.predict(values[:70], raw_score=True)))


def test_auxiliary_phantoms_help_where_masks_are_few(tmp_path):
    few = read_auxiliary(make_run(tmp_path / "few", images=6), ())
    auxiliary = read_auxiliary(make_run(tmp_path / "auxiliary"), ())
    # The right lungs of every other image, and of them alone.
    assert len(few.shares) == 3 * 80 and len(auxiliary.shares) == 45 * 80
    assert (few.images, auxiliary.images) == (3, 45)
    rule = few.values[:, 0] > 0.5
    apart = []
    for further in ([], [(auxiliary, fit.SourceWeights.auxiliary_weight)]):
        booster = fit.fit_cells([(few, 1.0), *further], 0)
        raw = booster.predict(few.values, raw_score=True)
        apart.append(raw[rule].mean() - raw[~rule].mean())
    assert apart[1] > 2 * apart[0] and apart[1] > 2


def test_of_too_many_cells_every_other_is_learned_from(tmp_path):
    data = read_training_data(make_run(tmp_path, images=6))
    lungs = np.array([[True, False]] * 6)
    everything = labelled_cells(data.cells, data.values, lungs)
    assert len(everything.shares) == 6 * 80
    for most, step in ((480, 1), (479, 2), (240, 2), (100, 5)):
        some = labelled_cells(data.cells, data.values, lungs, most=most)
        np.testing.assert_array_equal(some.values, everything.values[::step])
        np.testing.assert_array_equal(some.shares, everything.shares[::step])
    # The step that is given is the least.
    third = labelled_cells(data.cells, data.values, lungs, step=3, most=479)
    assert len(third.shares) == 160


@pytest.mark.parametrize("block", [1, 7, 80, 10**6])
def test_cells_are_the_same_block_by_block(tmp_path, monkeypatch, block):
    data = read_training_data(make_run(tmp_path, images=6))
    lungs = np.array([[True, False], [True, True], [False, False]] * 2)
    image, side = data.cells["image"].to_numpy(), data.cells["side"].to_numpy()
    inside = np.flatnonzero(lungs[image, side])[::3]
    shares = data.cells["share"].to_numpy(float)
    areas = [[shares[(image == n) & (side == s)].sum() for s in (0, 1)] for n in range(6)]
    monkeypatch.setattr(training_data, "BLOCK", block)
    some = labelled_cells(data.cells, data.values, lungs, step=3)
    np.testing.assert_array_equal(some.values, data.values[inside].astype(np.float32))
    np.testing.assert_array_equal(some.shares, shares[inside])
    np.testing.assert_allclose(training_data.mask_areas_of(data.cells, 6, "share"), areas)


def test_auxiliary_phantoms_without_pneumothorax_are_refused(tmp_path):
    run = make_run(tmp_path)
    cells = run.cells.read()
    run.cells.write(cells.assign(share=np.float32(0)))
    with pytest.raises(UserError, match="no lung has collapsed by a known mask"):
        read_auxiliary(run, ())


def test_cells_of_a_weak_mask_are_learned_from_unless_the_weak_label_contradicts_it(tmp_path):
    run = make_run(tmp_path)
    dataset, cells = run.dataset.read(), run.cells.read()
    image = cells["id"].cat.codes.to_numpy()
    for certain, expected in ((0.9, 39 * 80), (0.1, 0)):
        # Of all images but the first twelve another model drew the mask that is known here.
        weak = np.arange(90) >= 12
        run.dataset.write(
            dataset.assign(
                label=dataset["label"].mask(weak),
                weak=np.where(weak, np.where(dataset["label"] == 1, certain, 0.1), np.nan),
            )
        )
        run.cells.write(
            cells.assign(
                share=cells["share"].mask(weak[image]),
                weak_share=cells["share"].where(weak[image]),
            )
        )
        data = read_training_data(run)
        lungs = weakly_collapsed(data)
        assert not lungs[:12].any() and not lungs[:, 1].any()
        sample = labelled_cells(data.cells, data.values, lungs, "weak_share")
        assert len(sample.shares) == expected


def test_which_lungs_are_healthy_by_masks_and_weak_labels(tmp_path):
    """Six images: two known ones, and four weak ones of other labels and masks."""
    run = make_run(tmp_path, images=6)
    dataset, cells = run.dataset.read(), run.cells.read()
    first_ill = dataset["label"].to_numpy()[0] == 1
    known = np.arange(6) < 2
    drawn = "0 10"
    dataset["label"] = dataset["label"].where(known)
    dataset["weak"] = [np.nan, np.nan, 0.1, 0.9, 0.1, 0.4]
    dataset["weak_mask"] = [pd.NA, pd.NA, "-1", drawn, drawn, pd.NA]
    run.dataset.write(dataset)
    image, side = cells["id"].cat.codes.to_numpy(), cells["side"].to_numpy()
    weak_share = np.where(np.isin(image, (3, 4)) & (side == 0), 1.0, 0.0)
    weak_share[~np.isin(image, (2, 3, 4))] = np.nan
    share = cells["share"].where(known[image])
    run.cells.write(cells.assign(share=share, weak_share=weak_share.astype(np.float32)))
    healthy = healthy_lungs(read_training_data(run))
    # A mask shows one lung ill and so the other healthy; of a contradiction nothing is believed.
    ill, well = [False, True], [True, True]
    assert healthy[:2].tolist() == ([ill, well] if first_ill else [well, ill])
    assert healthy[2:].tolist() == [well, ill, [False, False], [False, False]]


def test_cells_of_healthy_lungs_weigh_less_than_those_of_collapsed_ones(tmp_path, monkeypatch):
    data = read_training_data(make_run(tmp_path))
    healthy = healthy_lungs(data)
    assert healthy[data.rows["label"] == 0].all() and not healthy[data.rows["label"] == 1, 0].any()
    sample = cells_without_air(data, healthy, 100)
    assert len(sample.shares) <= 100 and not sample.shares.any()
    totals: list[list[float]] = []
    monkeypatch.setattr(fit, "fit_lungs", lambda *rest: None)
    monkeypatch.setattr(
        fit, "fit_cells", lambda kinds, seed: totals.append([w * len(c.shares) for c, w in kinds])
    )
    fit.fit_model(data, (9,), fit.SourceWeights(), 0)
    fit.fit_model(data, (9,), fit.SourceWeights(healthy_weight=0), 0)
    # All images are learned from: 45 right lungs of 80 cells have collapsed.
    assert totals == [[3600, 0, pytest.approx(0.3 * 3600)], [3600, 0]]


def test_a_collapsed_lung_by_a_weak_mask_is_as_likely_as_the_weak_label_says(tmp_path, monkeypatch):
    run, targets = make_run(tmp_path), []
    dataset, cells = run.dataset.read(), run.cells.read()
    ill = np.flatnonzero(dataset["label"] == 1)[[3, 4]]
    share = cells["share"].mask(np.isin(cells["id"].cat.codes, ill))
    run.cells.write(cells.assign(share=share, weak_share=cells["share"].where(share.isna())))
    weak = np.full(90, np.nan)
    weak[ill] = 0.7
    run.dataset.write(dataset.assign(label=dataset["label"].mask(~np.isnan(weak)), weak=weak))
    monkeypatch.setattr(fit, "fit_lungs", lambda features, truth, *rest: targets.append(truth))
    monkeypatch.setattr(fit, "fit_cells", lambda weighted, seed: None)
    fit.fit_model(read_training_data(run), (9,), fit.SourceWeights(), 0)
    np.testing.assert_allclose(targets[0][ill], [[0.7, 0], [0.7, 0]])
    assert set(np.delete(targets[0], ill, axis=0).ravel()) == {0, 1}


def test_cells_of_other_images_are_refused(tmp_path):
    run = make_run(tmp_path, images=40)
    run.features.write(run.features.read()[1:])
    with pytest.raises(UserError, match="i00 is not measured both there and in features"):
        read_training_data(run)


def test_where_no_mask_is_known_the_phantoms_are_all_there_is(tmp_path):
    """Labels say who is ill, phantoms where air lies; without them there is nothing to learn."""
    run = make_run(tmp_path / "labels")
    cells, dataset = run.cells.read(), run.dataset.read()
    run.cells.write(cells.assign(share=np.float32(np.nan)))
    run.dataset.write(dataset.assign(mask=dataset["mask"].where(dataset["label"] == 0)))
    data = read_training_data(run)
    with pytest.raises(UserError, match="or phantoms to learn from"):
        fit.fit_model(data, (0,), fit.SourceWeights(), 0)
    auxiliary = read_auxiliary(make_run(tmp_path / "auxiliary"), ())
    model = fit.fit_model(data, (0,), fit.SourceWeights(), 0, auxiliary)
    # In the phantoms, as in this run, air is where the first measure is high.
    first = auxiliary.values[:, 0]
    clear = np.abs(first - 0.5) > 0.3
    probability = model.predict_cells(auxiliary.values)[clear]
    has_air = first[clear] > 0.5
    assert np.median(probability[has_air]) > 0.7 > 0.1 > np.median(probability[~has_air])
