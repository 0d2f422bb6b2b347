"""The features each model sees: the evidence that is for it, and no other."""

import numpy as np
import pandas as pd
import pytest

from baseline.learning import feature_table
from baseline.learning.feature_table import FeatureTable
from features.families import map_summary
from features.run.files import UserError
from features.run.folder import RunFolder

NAMES = list(map_summary.names())
IDS = ["a", "b", "c"]
WIDTH = "shape.image.width"


def write_evidence(run: RunFolder, **changes) -> None:
    """Evidence whose value is 10 times the fold plus the image's number."""
    rows = [
        {"for_fold": fold, "id": name, **dict.fromkeys(NAMES, np.float32(10 * fold + number))}
        for fold in (0, 1)
        for number, name in enumerate(IDS)
    ]
    run.evidence_by_zone.write(pd.DataFrame(rows).assign(**changes))


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """Three images of one feature."""
    run = RunFolder(tmp_path)
    run.create()
    run.features.write(pd.DataFrame({"id": IDS, WIDTH: [1.0, 2.0, 3.0]}))
    return run


def test_each_model_sees_the_evidence_that_is_for_it(run):
    write_evidence(run)
    table = feature_table.read(run, evidence=True)
    for fold, expected in ((0, [0, 2]), (1, [10, 12]), (None, [5, 7])):
        features = table.for_model(["a", "c"], fold)
        assert list(features.columns) == [WIDTH, *NAMES]
        np.testing.assert_array_equal(features[NAMES[0]], expected)
        np.testing.assert_array_equal(features[WIDTH], [1, 3])
        assert (features.dtypes == np.float32).all()
    # Rows may be left out first.
    part = table.subset(["c", "b"])
    assert list(part.index) == ["c", "b"]
    np.testing.assert_array_equal(part.for_model(["b"], 1)[NAMES[0]], [11])


def test_texture_may_be_left_out(run):
    write_evidence(run)
    table = feature_table.read(run, evidence=True).without_texture()
    left = [n for n in NAMES if not n.endswith((".texture", ".top_texture"))]
    assert len(left) < len(NAMES) and list(table.for_model(["a"], 0).columns) == [WIDTH, *left]
    np.testing.assert_array_equal(table.for_model(["c"], 1)[left[-1]], [12])


def test_held_out_images_come_in_the_order_of_their_folds(run):
    write_evidence(run)
    table = feature_table.read(run, evidence=True)
    fold = pd.Series([1, None, 0], ["c", "b", "a"], dtype="Int64")
    features = table.held_out(fold)
    assert list(features.index) == ["c", "b", "a"]
    np.testing.assert_array_equal(features[NAMES[-1]], [12, 6, 0])
    np.testing.assert_array_equal(features[WIDTH], [3, 2, 1])


def test_without_evidence_the_table_is_what_was_measured(run):
    table = feature_table.read(run, evidence=False)
    pd.testing.assert_frame_equal(table.for_model(IDS, 3), table.measured)
    assert table.evidence == () and list(table.index) == IDS


def test_evidence_of_other_images_or_versions_is_refused(run):
    with pytest.raises(UserError, match=r"zones\.parquet: no such file"):
        feature_table.read(run, evidence=True)
    write_evidence(run, id=["a", "b", "x", "a", "b", "x"])
    with pytest.raises(UserError, match=r"zones\.parquet.*c is missing for the model of fold 0"):
        feature_table.read(run, evidence=True)
    write_evidence(run, further=1)
    with pytest.raises(UserError, match=r"zones\.parquet: not a table of this version"):
        feature_table.read(run, evidence=True)


def test_one_image_is_a_row_in_the_order_of_the_columns():
    row = feature_table.one_row("x", {"b": 2.0, "a": 1.0, "c": 3.0}, ["a", "b"])
    expected = pd.DataFrame([[1.0, 2.0]], ["x"], ["a", "b"]).astype(np.float32)
    pd.testing.assert_frame_equal(row, expected)
    assert FeatureTable(row).for_model(["x"], None).equals(row)
