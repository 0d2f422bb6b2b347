"""What the verdict said of each image: oof.csv and test.csv as `baseline.train` writes them."""

from pathlib import Path

import pandas as pd

from features.files import UserError


def read(path: Path) -> pd.DataFrame:
    """Read oof.csv or test.csv back.

    Raises
    ------
    UserError
        If it is missing or has other columns.
    """
    try:
        # An id may be called "NA" or "007": only numbers may be missing.
        rows = pd.read_csv(
            path,
            dtype={"id": str, "patient": str},
            keep_default_na=False,
            na_values={"label": [""], "weak": [""]},
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `make baseline` first.") from None
    except ValueError as error:
        raise UserError(f"{path}: not a csv ({error}); delete it and run make again.") from None
    missing = {"id", "patient", "fold", "label", "raw", "probability", "kind"} - set(rows.columns)
    if missing:
        raise UserError(f"{path}: column {min(missing)!r} is missing; run `make baseline` again.")
    return rows
