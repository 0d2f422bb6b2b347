"""Where the lungs lie, in the pictures that are laid over one another: mean X-ray and masks.

Lungs take most of the time that a picture needs, so they are sought on those pictures only.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.lungs.fields import segment
from features.pixels import regions
from features.reading import rle

Box = tuple[float, float, float, float]

# Images that the mean X-ray is made of, at most.
MOST_AVERAGED = 400


def wanted(table: pd.DataFrame) -> NDArray[np.bool_]:
    """The images whose lungs are laid over one another, (n,).

    They are those with a mask, and `MOST_AVERAGED` of the training set, evenly taken.

    Parameters
    ----------
    table : DataFrame
        One row an image, as in dataset.parquet.
    """
    chosen = (table["mask"].notna() & (table["mask"] != rle.EMPTY)).to_numpy(bool)
    chosen[averaged(table)] = True
    return chosen


def averaged(table: pd.DataFrame) -> NDArray[np.intp]:
    """Places of the images that the mean X-ray is made of."""
    train = np.flatnonzero(table["split"] == "train")
    if len(train) <= MOST_AVERAGED:
        return train
    return train[np.linspace(0, len(train) - 1, MOST_AVERAGED).astype(int)]


def find(small: NDArray[np.float32]) -> Box:
    """Box around both lungs: top, bottom, left, right as shares of the image's sides.

    Parameters
    ----------
    small : (side, side) array of float32 in [0, 1]
        The picture as a thumbnail. The lung finder looks no closer.
    """
    fields = segment(small)
    rows, columns = regions.box(fields.right | fields.left)
    height, width = small.shape
    return rows.start / height, rows.stop / height, columns.start / width, columns.stop / width
