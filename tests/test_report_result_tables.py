"""The table each model sees: its own evidence, and nobody else's."""

import numpy as np
import pandas as pd
import pytest

from baseline.learning import training_table
from features.families import map_summary
from features.run import files
from features.run.files import UserError

NAMES = list(map_summary.names())
IDS = ["a", "b", "c"]


def write_columns(run, **changes) -> pd.DataFrame:
    """Evidence whose value is 10 times the judge plus the image's number."""
    rows = [
        {"judge": judge, "id": name, **dict.fromkeys(NAMES, np.float32(10 * judge + number))}
        for judge in (0, 1)
        for number, name in enumerate(IDS)
    ]
    found = pd.DataFrame(rows).assign(**changes)
    files.write_table(run / "evidence" / "columns.parquet", found)
    return found


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"shape.image.width": [1.0, 2.0, 3.0]}, index=IDS).astype(np.float32)


def test_each_model_sees_its_own_evidence(tmp_path, table):
    write_columns(tmp_path)
    wide = training_table.with_evidence(tmp_path, table)
    for fold, expected in ((0, [0, 2]), (1, [10, 12]), (-1, [5, 7])):
        seen = training_table.for_model(wide, pd.Index(["a", "c"]), fold)
        assert list(seen.columns) == ["shape.image.width", *NAMES]
        np.testing.assert_array_equal(seen[NAMES[0]], expected)
        np.testing.assert_array_equal(seen["shape.image.width"], [1, 3])
    mixed = training_table.own(wide, np.array([1, -1, 0]))
    assert list(mixed.index) == IDS
    np.testing.assert_array_equal(mixed[NAMES[-1]], [10, 6, 2])
    # Rows may be left out first.
    np.testing.assert_array_equal(
        training_table.for_model(wide[1:], pd.Index(["b"]), 1)[NAMES[0]], [11]
    )


def test_without_evidence_the_table_is_what_was_measured(table):
    pd.testing.assert_frame_equal(training_table.for_model(table, table.index, 3), table)


def test_evidence_of_other_images_or_versions_is_refused(tmp_path, table):
    with pytest.raises(UserError, match=r"columns\.parquet: no such file"):
        training_table.with_evidence(tmp_path, table)
    write_columns(tmp_path, id=["a", "b", "x", "a", "b", "x"])
    with pytest.raises(UserError, match="c is missing for the model of fold 0"):
        training_table.with_evidence(tmp_path, table)
    write_columns(tmp_path, more=1)
    with pytest.raises(UserError, match="another version"):
        training_table.with_evidence(tmp_path, table)
