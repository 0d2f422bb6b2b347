"""Which X-rays of a dataset have no pneumothorax, so that one can be put into them."""

from pathlib import Path

import pandas as pd

from features.dataset import read
from features.reading import rle
from features.run.files import UserError


def without_pneumothorax(table: pd.DataFrame, weak_below: float) -> pd.DataFrame:
    """The rows of a dataset's table that show no pneumothorax.

    Parameters
    ----------
    table : DataFrame
        As of `features.run.folder.RunFolder.dataset`.
    weak_below : float
        An image without a true label counts where its weak probability lies below this, and no
        weak mask contradicts.

    Returns
    -------
    DataFrame
        In the order of the ids.
    """
    weakly = table["label"].isna() & (table["weak"] < weak_below)
    weakly &= table["weak_mask"].isna() | (table["weak_mask"] == rle.EMPTY)
    return table[(table["label"] == 0) | weakly].sort_values("id", ignore_index=True)


def of_folder(data: Path, patients: tuple[Path, ...], weak_below: float, jobs: int) -> pd.DataFrame:
    """The rows of a dataset folder that show no pneumothorax.

    Raises
    ------
    UserError
        If the folder is no dataset, or holds no such image.
    """
    # The folds do not matter; two ask for the fewest images.
    settings = read.Settings(data=data, run=data, folds=2, patients=patients, jobs=jobs)
    table = without_pneumothorax(read.build(settings)[0], weak_below)
    if table.empty:
        raise UserError(
            f"{data}: no image is known to be without pneumothorax; give a dataset with annotated "
            "negatives, or with weak_labels.csv."
        )
    return table
