"""The training images that an image is compared with: percentiles, and shares of the two lungs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.families import registry
from features.lungs.zones import SIDES

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Features of the training images, each in order.

    Parameters
    ----------
    names : tuple of str
        Features, m of them.
    ordered : (m, t) array
        Values of each feature on the training images, sorted upwards, t > 0.
    """

    names: tuple[str, ...]
    ordered: NDArray[np.floating]

    def percentiles(self, rows: NDArray[np.floating]) -> Floats:
        """Percentiles of values among the training images, column by column.

        Parameters
        ----------
        rows : (n, m) array
            Features of the images that are compared.

        Returns
        -------
        (n, m) array in [0, 100]
            Share of the training values below, equal ones counted by half.
        """
        counts = [self._count(row, np.less) + self._count(row, np.less_equal) for row in rows]
        return 50.0 * np.reshape(counts, rows.shape) / self.ordered.shape[1]

    def _count(self, row: NDArray[np.floating], compare: np.ufunc) -> NDArray[np.intp]:
        """How many training values of each feature are less, or not more, than an image's.

        A binary search in all columns at once; `np.searchsorted` knows one at a time.
        """
        first = np.zeros(len(row), np.intp)
        last = np.full(len(row), self.ordered.shape[1])
        columns = np.arange(len(row))
        while (is_open := first < last).any():
            middle = (first + last) // 2
            # A search that has ended stays where it is.
            value = self.ordered[columns, np.minimum(middle, self.ordered.shape[1] - 1)]
            is_less = compare(value, row) & is_open
            first = np.where(is_less, middle + 1, first)
            last = np.where(is_less | ~is_open, last, middle)
        return first

    def right_shares(self, rows: NDArray[np.floating]) -> Floats:
        """Share of each feature that is due to the right lung; the rest is due to the left.

        A one-sided feature belongs to its side. A comparison of both lungs is divided in proportion
        to how far each side's own value lies from the median of both sides of the training images:
        the more unusual side has the larger share.

        Parameters
        ----------
        rows : (n, m) array
            Features of the images that are compared.

        Returns
        -------
        (n, m) array in [0, 1]
            0.5 for what has no side.
        """
        column_of = {name: column for column, name in enumerate(self.names)}
        shares = np.full(rows.shape, 0.5)
        compared, pairs = [], []
        for column, name in enumerate(self.names):
            feature = registry.describe(name)
            side = feature.zone.split("_")[0]
            if side in SIDES:
                shares[:, column] = side == SIDES[0]
            elif feature.family == "asymmetry":
                family, _, key = feature.measure.partition("_")
                compared.append(column)
                pairs.append([column_of[f"{family}.{side}_{feature.zone}.{key}"] for side in SIDES])
        if compared:
            right, left = np.array(pairs).T
            middle = np.median(
                np.concatenate([self.ordered[right], self.ordered[left]], axis=1), axis=1
            )
            far_right, far_left = (np.abs(rows[:, side] - middle) for side in (right, left))
            total = far_right + far_left
            shares[:, compared] = np.divide(
                far_right, total, out=np.full(total.shape, 0.5), where=total > 0
            )
        return shares


def of_training(training: pd.DataFrame) -> Reference:
    """The reference that a table of training images makes."""
    return Reference(tuple(training.columns), np.sort(training.to_numpy().T, axis=1))
