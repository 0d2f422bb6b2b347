"""Directions of edges in a picture: which way ribs, diaphragm and the outline run, and where.

Histograms of oriented gradients (Dalal and Triggs, CVPR 2005) say more of a picture that was cut
and stretched than its greys do: the slope of ribs changes, and the diaphragm or the shoulders are
missing where they should lie.
"""

import numpy as np
from numpy.typing import NDArray

from features.lungs.frames import area_resize
from features.pixels.sampling import precise_gaussian

CELLS = 8  # squares a side
DIRECTIONS = 8  # in a full turn, so that a dark and a bright side are told apart
COUNT = CELLS**2 * DIRECTIONS


def directions(ranked: NDArray[np.float32]) -> NDArray[np.float64]:
    """Strength of the edges of each direction in each cell.

    Parameters
    ----------
    ranked : (h, w) array of float32
        A picture in ranks.

    Returns
    -------
    (COUNT,) array
        Roots of the mean gradient, by direction (from a rise to the right on, clockwise), then row
        and column.
    """
    down, across = np.gradient(precise_gaussian(ranked, 0.7, "edge"))
    turn = np.mod(np.arctan2(down, across), 2 * np.pi) / (2 * np.pi) * DIRECTIONS
    first = np.floor(turn).astype(int)
    share = turn - first
    strength = np.hypot(down, across)
    maps = np.zeros((DIRECTIONS, *ranked.shape), np.float32)
    rows, columns = np.indices(ranked.shape)
    # An edge between two directions counts in both.
    maps[first % DIRECTIONS, rows, columns] = strength * (1 - share)
    maps[(first + 1) % DIRECTIONS, rows, columns] = strength * share
    cells = [area_resize(part, (CELLS, CELLS)) for part in maps]
    return 3 * np.sqrt(np.stack(cells)).ravel()
