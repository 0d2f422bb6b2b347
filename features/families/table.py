"""The feature table: one row an image, one column a feature."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from features.families import registry
from features.run.folder import RunFolder
from features.run.tables import Table


def rows_of(ids: Sequence[str], features: Sequence[dict[str, float]]) -> pd.DataFrame:
    """Rows of the table for some images, in their order.

    Parameters
    ----------
    ids : sequence of str
        Of the images.
    features : sequence of dict
        Features of each image by name, all with the same names in the same order.
    """
    table = pd.DataFrame(list(features)).astype(np.float32)
    table.insert(0, "id", list(ids))
    return table


def join(run: RunFolder, parts: Iterable[list[Table]]) -> None:
    """Join parts into the run's table, group by group; one group is in memory at a time."""
    groups = (pd.concat([part.read() for part in group], ignore_index=True) for group in parts)
    run.features.write_groups(groups)


def read(run: RunFolder) -> pd.DataFrame:
    """The feature table of a run, indexed by image id; float32.

    Raises
    ------
    UserError
        If it is missing, or was measured by another version of the toolkit.
    """
    table = run.features.read().set_index("id")
    for name in table.columns:
        try:
            registry.describe(name)
        except (KeyError, ValueError):
            raise run.features.refused(f"feature {name!r} is unknown") from None
    return table
