"""Tables of a dataset with all columns of the schema, of which a test names those it needs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.run.schemas import DATASET

DEFAULTS = {
    "path": "",
    "split": "train",
    "mask": None,
    "weak_mask": None,
    "patient": None,
    "age": np.nan,
    "sex": None,
    "view": None,
    "spacing_mm": np.nan,
    "rows": 64,
    "columns": 64,
    "stored_rows": None,
    "stored_columns": None,
    "square_rows": None,
    "square_columns": None,
    "top": None,
    "left": None,
    "label": np.nan,
    "weak": np.nan,
    "fold": None,
}


def dataset(ids: Sequence[str], **columns: Any) -> pd.DataFrame:
    """Rows as `RunFolder.dataset` has them; an image is a patient of its own unless given."""
    given = {"patient": ids} | columns
    values = {name: given.get(name, default) for name, default in DEFAULTS.items()}
    return pd.DataFrame({"id": list(ids)} | values).astype(dict(DATASET.columns))
