"""The table of cells: what belongs together, and what another version measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cells import table
from features.run.files import UserError
from features.run.folder import RunFolder


def two_cells(folder: Path, names: list[str]) -> RunFolder:
    """A run with two cells of two images, whose index names some measures."""
    run = RunFolder(folder)
    places = {name: [1, 2] for name in ("row", "column", "side", "zone")}
    index = pd.DataFrame(
        {**places, "share": np.nan, "weak_share": np.nan, "id": pd.Categorical(["a", "b"])}
    )
    index.attrs["measures"] = names
    run.cells.write(index)
    return run


@pytest.mark.parametrize(
    ("names", "size", "reason"),
    [
        (table.NAMES, 7, r"values\.f16 beside it does not hold its measures"),
        (table.NAMES[::-1], 4 * len(table.NAMES), "its measures are others"),
    ],
)
def test_measures_of_another_version_are_refused(tmp_path, names, size, reason):
    run = two_cells(tmp_path, names)
    run.cell_values.write_bytes(b"\0" * size)
    with pytest.raises(UserError, match=rf"not a table of this version.*{reason}.*make measure"):
        table.read(run)


def test_a_value_that_is_no_number_is_refused_when_it_is_read(tmp_path):
    run = two_cells(tmp_path, table.NAMES)
    stored = np.zeros((2, len(table.NAMES)), np.float16)
    stored[1, 3] = np.nan
    run.cell_values.write_bytes(stored.tobytes())
    values = table.read(run)[1]
    np.testing.assert_array_equal(values[:1], stored[:1])
    for rows in (slice(1, 2), np.array([1]), slice(None)):
        with pytest.raises(
            UserError, match=r"values\.f16 beside it holds a value that is no number"
        ):
            values[rows]


def test_neighbours_with_equal_keys_stand_together():
    images, folds = np.array([4, 4, 4, 0, 0, 4]), np.array([1, 1, 2, 2, 2, 2])
    spans = [(one.start, one.stop) for one in table.spans(images, folds)]
    assert spans == [(0, 2), (2, 3), (3, 5), (5, 6)]
    assert [(one.start, one.stop) for one in table.spans(images)] == [(0, 3), (3, 5), (5, 6)]
    assert [(one.start, one.stop) for one in table.spans(images[:0])] == []


def test_no_file_stays_open_for_the_values(tmp_path):
    run = two_cells(tmp_path, table.NAMES)
    run.cell_values.write_bytes(b"\0" * 4 * len(table.NAMES))
    values = table.read(run)[1]
    read = values[np.array([1])], values[0:1]
    assert [part.shape for part in read] == [(1, len(table.NAMES))] * 2
    assert str(run.cell_values) not in Path("/proc/self/maps").read_text()
