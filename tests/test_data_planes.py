"""The evidence map as a plane of bytes, as each fold's network may see it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cnn.data import planes, training_images
from cnn.prediction import predict
from cnn.prediction.store import stream_maps
from cnn.training import train
from features.run.files import UserError
from tests.helpers.tiny_run import evidence_value


def test_bytes_keep_the_ranking():
    evidence = np.linspace(0, 1, 200, dtype=np.float32)
    levels = planes.to_bytes(evidence)
    assert levels[0] == 0 and levels[-1] == 255
    assert (np.diff(levels.astype(int)) >= 0).all()
    # Odds of 1 to 8 come to be even.
    assert planes.to_bytes(np.float32([1 / 9]))[0] in (127, 128)


def test_a_fold_learns_from_maps_of_models_that_saw_neither_it_nor_the_image(run):
    data = training_images.read(run, 32, evidence=True)
    for fold in range(3):
        drawn = planes.write(run.root / "seen.npy", run, fold, data.table, 32)
        values = planes.to_bytes(np.array([evidence_value(n, fold) for n in range(9)], np.float32))
        # Four cells are a pixel of the square.
        assert_array_equal(drawn[:, 15:17, 15:17], np.repeat(values, 4).reshape(9, 2, 2))
        assert (drawn > 0).sum() == 9 * 4
    inputs = replace(data, evidence=drawn).inputs(np.array([4, 2]))
    assert_array_equal(inputs[..., 0], data.images[[4, 2]])
    assert_array_equal(inputs[..., 1], drawn[[4, 2]])


def test_other_evidence_is_another_training_set(run):
    before = training_images.read(run, 32, evidence=True).digest
    assert training_images.read(run, 32, evidence=True).digest == before
    table = run.evidence_pairs.read()
    run.evidence_pairs.write(table.assign(probability=0.0))
    assert training_images.read(run, 32, evidence=True).digest != before


def test_missing_evidence_is_refused_unless_training_without_it_is_asked_for(run, tiny):
    shutil.rmtree(run.evidence_map.path.parent)
    with pytest.raises(
        UserError, match=r"map\.parquet: no such file; .* train without the evidence"
    ):
        train.main(train.Settings(run.root, "demo"))
    train.main(train.Settings(run.root, "demo", evidence=False, epochs=1, steps=1))
    predict.main(predict.Settings(run.root))
    assert np.stack(list(stream_maps(run, ["i0"]))).shape == (1, 32, 32)
