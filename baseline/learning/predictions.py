"""What the verdict said of each image: oof.csv and test.csv as `baseline.classifier.train` writes them."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.run.files import UserError

# A file of no image at all says nothing of its own about them.
KINDS = {
    "id": str,
    "patient": str,
    "split": str,
    "fold": int,
    "label": float,
    "weak": float,
    "raw": float,
    "probability": float,
    "kind": str,
}


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
            dtype=KINDS,
            keep_default_na=False,
            na_values={"label": [""], "weak": [""]},
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `make baseline` first.") from None
    except ValueError as error:
        raise UserError(f"{path}: not a csv ({error}); delete it and run make again.") from None
    missing = set(KINDS) - set(rows.columns)
    if missing:
        raise UserError(f"{path}: column {min(missing)!r} is missing; run `make baseline` again.")
    return rows


def unseen_patients(rows: pd.DataFrame, taught: pd.Series) -> NDArray[np.bool_]:
    """Which images are of patients that no model judging them has learned from.

    Deployed images are judged by all models, and two thirds of Kaggle's test images are of patients
    who have training images too: to score those would flatter.

    Parameters
    ----------
    rows : (n, ...) DataFrame
        kind and patient.
    taught : Series of str
        Patients of all images that belong to a fold.

    Returns
    -------
    (n,) array of bool
    """
    return ((rows["kind"] == "oof") | ~rows["patient"].isin(taught)).to_numpy(bool)
