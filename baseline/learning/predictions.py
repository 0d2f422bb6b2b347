"""Which predictions may be scored: those of patients from whom no predicting model learned."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.reading import rle


def unseen_patients(rows: pd.DataFrame, training_patients: pd.Series) -> NDArray[np.bool_]:
    """Which images are of patients from whom no model that predicts them has learned.

    Deployed images are predicted by all models, and two thirds of Kaggle's test images are of
    patients who have training images too: scores on those would be too high.

    Parameters
    ----------
    rows : (n, ...) DataFrame
        kind and patient.
    training_patients : Series of str
        Patients of all images that belong to a fold.

    Returns
    -------
    (n,) array of bool
    """
    unknown = ~rows["patient"].isin(training_patients)
    return ((rows["kind"] == "oof") | unknown).to_numpy(bool)


def with_truth(
    rows: pd.DataFrame, truth: pd.DataFrame, training_patients: pd.Series
) -> pd.DataFrame:
    """The images of known truth that may be scored.

    Parameters
    ----------
    rows : (n, ...) DataFrame
        id, kind and patient; no label, or one that says nothing.
    truth : DataFrame
        id and mask.
    training_patients : Series of str
        See `unseen_patients`.

    Returns
    -------
    (m, ...) DataFrame
        With the mask and, as label, 1.0 where it is not empty.
    """
    scored = rows[unseen_patients(rows, training_patients)].merge(truth, on="id")
    return scored.assign(label=(scored["mask"] != rle.EMPTY).astype(float))
