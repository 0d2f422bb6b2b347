"""The table of cells: what belongs together, and what another version measured."""

import numpy as np
import pandas as pd
import pytest

from features.cells import table
from features.run.files import UserError
from features.run.folder import RunFolder


@pytest.mark.parametrize(
    ("names", "size", "reason"),
    [
        (table.NAMES, 7, r"values\.f16 beside it does not hold its measures"),
        (table.NAMES[::-1], 4 * len(table.NAMES), "its measures are others"),
    ],
)
def test_measures_of_another_version_are_refused(tmp_path, names, size, reason):
    run = RunFolder(tmp_path)
    places = {name: [1, 2] for name in ("row", "column", "side", "zone")}
    index = pd.DataFrame(
        {**places, "share": np.nan, "weak_share": np.nan, "id": pd.Categorical(["a", "b"])}
    )
    index.attrs["measures"] = names
    run.cells.write(index)
    run.cell_values.write_bytes(b"\0" * size)
    with pytest.raises(UserError, match=rf"not a table of this version.*{reason}.*make measure"):
        table.read(run)
