"""Log-odds and probabilities of every measured image of a run, from its saved models.

Two kinds of predictions are kept apart. *Out of fold*: a training image, with a true or a weak
label, is predicted by the one fold model that saw neither it nor its patient. *Deployed*: any other
image is predicted by the mean log-odds of all fold models.
"""

import numpy as np
import pandas as pd

from baseline.learning import calibrate
from baseline.learning.calibrate import Calibration
from baseline.learning.estimator import load, raw_scores
from baseline.learning.feature_table import FeatureTable
from features.run.folder import RunFolder

COLUMNS = ("id", "patient", "split", "fold", "label", "weak")


def predict(run: RunFolder, dataset: pd.DataFrame, table: FeatureTable) -> pd.DataFrame:
    """Log-odds of every measured image.

    Parameters
    ----------
    run : RunFolder
        With a booster for each fold.
    dataset : DataFrame
    table : FeatureTable

    Returns
    -------
    DataFrame
        id, patient, split, fold, label, weak, raw (log-odds) and kind ("oof" or "deployed").
    """
    boosters = [load(run.classifier(fold)) for fold in range(int(dataset["fold"].max()) + 1)]
    rows = dataset.loc[dataset["id"].isin(table.index), list(COLUMNS)].reset_index(drop=True)
    raw = np.stack(
        [
            raw_scores(booster, table.for_model(rows["id"], fold))
            for fold, booster in enumerate(boosters)
        ]
    )
    trained = rows["fold"].notna().to_numpy()
    fold = rows.loc[trained, "fold"].to_numpy(np.int64)
    rows["raw"] = raw.mean(axis=0)
    rows.loc[trained, "raw"] = raw[fold, np.flatnonzero(trained)]
    rows["kind"] = np.where(trained, "oof", "deployed")
    return rows


def add_probabilities(rows: pd.DataFrame) -> tuple[pd.DataFrame, Calibration]:
    """Calibrate: training images by the other folds' images, all others by all of them.

    Parameters
    ----------
    rows : DataFrame
        Of `predict`.

    Returns
    -------
    rows : DataFrame
        With a column `probability` more, as `RunFolder.oof` has them.
    deployed : Calibration
        The calibration for images of no fold.
    """
    trained = rows["fold"].notna()
    known = rows[trained & rows["label"].notna()]
    deployed = calibrate.fit(known["raw"].to_numpy(), known["label"].to_numpy())
    probability = deployed(rows["raw"].to_numpy())
    part = rows[trained]
    probability[trained.to_numpy()] = calibrate.cross_fit(
        part["raw"].to_numpy(), part["label"].to_numpy(), part["fold"].to_numpy(np.int64)
    )
    return rows.assign(probability=probability)[[*COLUMNS, "raw", "probability", "kind"]], deployed
