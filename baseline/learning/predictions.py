"""Which predictions may be scored: those of patients from whom no predicting model learned."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


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
