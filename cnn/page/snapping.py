"""Moves a line that a reader drew roughly to where the evidence map falls most steeply.

An active contour in a band along the line: each point may move along its normal, so that the map
falls from inside to outside, not far and not much farther than its neighbours. The best of all
such moves by dynamic programming (Amini, Weymouth and Jain, IEEE PAMI 12, 1990). Where the map does
not fall, the line stays as it was drawn.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from features.run.files import UserError

Points = NDArray[np.float64]

# Farthest move, as a share of the picture's longer side: about a rib's width.
REACH = 0.025
# Points are so far apart, and move in such steps, in pixels of the map.
STEP = 2.0
# The map is compared so far inside and outside of a point, in pixels of the map.
APART = 6.0
# What a move to the farthest place costs, and a step that a neighbour does not take, in units of
# the map's fall.
FAR, UNLIKE = 0.15, 0.1
# Shorter lines have no inside, in points.
FEWEST = 8
# Longest line, in widths of the picture: one that nobody draws would take minutes.
LONGEST = 30
# Falls that are less speak of no edge.
LEAST = 0.05


def snap(points: Points, evidence: NDArray[np.float32]) -> Points:
    """A closed line, moved to the map's edge.

    Parameters
    ----------
    points : (n, 2) array of float
        Column and row of each point, as shares of the picture's width and height.
    evidence : (rows, columns) array of float in [0, 1]
        Probability of air.

    Returns
    -------
    (m, 2) array of float
        The line, its points evenly spread; the same points where it is too short to have an inside.

    Raises
    ------
    UserError
        If the line is longer than anyone draws.
    """
    size = np.array(evidence.shape[::-1])
    if len(points) < 3:
        return points
    line = _evenly_spread(points * size, size.max())
    if len(line) < FEWEST:
        return points
    normals = _outward(line)
    reach = REACH * size.max()
    moves = np.linspace(-reach, reach, 2 * round(reach / STEP) + 1)

    def at(distance: NDArray[np.float64]) -> NDArray[np.float32]:
        places = line[:, None] + distance[:, None] * normals[:, None]
        return ndimage.map_coordinates(evidence, places.T[::-1] - 0.5, order=1, mode="nearest").T

    fall = at(moves - APART) - at(moves + APART)
    cost = FAR * np.abs(moves) / reach - np.where(fall > LEAST, fall, 0)
    chosen = moves[_cheapest(cost)]
    return np.clip((line + chosen[:, None] * normals) / size, 0, 1)


def _evenly_spread(points: Points, longest: float) -> Points:
    """The closed line with points `STEP` apart."""
    closed = np.vstack([points, points[:1]])
    length = np.concatenate([[0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
    if length[-1] > LONGEST * longest:
        raise UserError(
            f"The line is {length[-1] / longest:.0f} pictures long, and at most {LONGEST} can be "
            "snapped; draw a simpler one."
        )
    places = np.arange(round(length[-1] / STEP)) * STEP
    return np.column_stack([np.interp(places, length, axis) for axis in closed.T])


def _outward(line: Points) -> Points:
    """Unit normals that point out of a closed line, steadied against a trembling hand."""
    smooth = ndimage.gaussian_filter1d(line, 3, axis=0, mode="wrap")
    along = np.roll(smooth, -1, axis=0) - np.roll(smooth, 1, axis=0)
    normals = np.column_stack([along[:, 1], -along[:, 0]])
    normals /= np.maximum(np.hypot(*normals.T), 1e-9)[:, None]
    x, y = line.T
    area = np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
    return normals if area > 0 else -normals


def _cheapest(cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """The move of each point, by total cost; the line is gone round twice, so that it closes."""
    points, moves = cost.shape
    steps = np.arange(moves)
    unlike = UNLIKE * np.abs(steps[:, None] - steps)
    total = np.zeros(moves)
    came_from = np.empty((2 * points, moves), np.intp)
    for k, here in enumerate(np.vstack([cost, cost])):
        way = total[:, None] + unlike
        came_from[k] = way.argmin(axis=0)
        total = way[came_from[k], steps] + here
    chosen = np.empty(2 * points, np.intp)
    chosen[-1] = total.argmin()
    for k in range(2 * points - 1, 0, -1):
        chosen[k - 1] = came_from[k][chosen[k]]
    half = points // 2  # of each round the part that is far from both ends
    return np.roll(chosen[half : half + points], half)
