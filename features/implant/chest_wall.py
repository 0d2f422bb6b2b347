"""One side of the chest in polar form about the hilum, as phantoms have it, measured on an X-ray.

The lung finder's outline is smooth, and a few millimetres off the true one. Air lies on the chest
wall itself, so the outline is moved to where the picture gets brighter outwards.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.lungs.fields import LungFields
from features.phantom.lung_shape import TURNS

# Adult rib cages measure 26 to 30 cm across inside (see `features.phantom.anatomy`). The files of
# SIIM-ACR say nothing true about their scale, so both lungs together are taken to be this wide.
ACROSS = 270.0  # mm
HILUM_HEIGHT = 0.5  # share of the lung's height from the apex down
HILUM_INSET = 0.08  # share of the lung's width from its medial border
# How far the chest wall may lie inside and outside the lung finder's outline, mm.
INSIDE, OUTSIDE = 5, 9
STIFFNESS = 0.3  # cost of a step of 1 mm between neighbouring angles, relative to a mean rise
WALL = (-0.4, 2.3)  # angles at which there is chest wall to look for, radians

Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class Side:
    """One side of the chest on the working grid.

    Angles count from straight up, turning laterally, as of `features.phantom.lung_shape.Lung`.

    Parameters
    ----------
    sign : int
        -1: right lung (image left), +1: left lung.
    hilum : (float, float)
        Row and column.
    pitch : float
        mm a working pixel.
    angles, reach : (n,) arrays
        Distance (mm) from the hilum to the border of the lung field at each angle (radians).
    """

    sign: int
    hilum: tuple[float, float]
    pitch: float
    angles: NDArray[np.float64]
    reach: NDArray[np.float64]


def pitch_of(fields: LungFields) -> float:
    """mm a pixel, by the width of both lungs together."""
    columns = np.flatnonzero((fields.right | fields.left).any(axis=0))
    return ACROSS / float(columns[-1] - columns[0] + 1)


def side_of(smooth: Numbers, lung: NDArray[np.bool_], sign: int, pitch: float) -> Side:
    """Measure one side.

    Parameters
    ----------
    smooth : (h, w) array of float32
        The X-ray, smoothed, air dark.
    lung : (h, w) array of bool
        The field of this side's lung, not empty.
    sign : int
        -1 for the right lung (image left), +1 for the left.
    pitch : float
        mm a pixel.
    """
    hilum = _hilum(lung, sign)
    angles = np.linspace(-np.pi, np.pi, TURNS + 1)
    reach = _reach(lung, float(sign), *hilum, angles)
    reach[0] = reach[-1] = max(reach[0], reach[-1])
    offsets = np.arange(-INSIDE, OUTSIDE + 1) / pitch
    rise = _rise(np.asarray(smooth, np.float32), float(sign), *hilum, angles, reach, offsets)
    on_wall = (angles > WALL[0]) & (angles < WALL[1])
    rise[~on_wall] = 0
    rise /= max(float(np.abs(rise[on_wall]).mean()), 1e-9)
    path = _smoothest_path(rise, STIFFNESS)
    moved = np.maximum(reach + np.where(on_wall, offsets[path], 0.0), 2.0)
    return Side(sign, hilum, pitch, angles, _settled(moved) * pitch)


def _settled(reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """The outline without steps from angle to angle."""
    around = np.concatenate((reach[-7:-1], reach, reach[1:7]))
    weights = np.hanning(15)[1:-1]
    return np.convolve(around, weights / weights.sum(), "valid")


def _hilum(lung: NDArray[np.bool_], sign: int) -> tuple[float, float]:
    """Row and column from which the lung is seen."""
    rows = np.flatnonzero(lung.any(axis=1))
    row = rows[0] + HILUM_HEIGHT * (rows[-1] - rows[0])
    middle = lung[int(row) - 3 : int(row) + 4]
    columns = np.flatnonzero(middle.any(axis=0))
    medial, lateral = (columns[-1], columns[0]) if sign < 0 else (columns[0], columns[-1])
    return float(row), float(medial + HILUM_INSET * (lateral - medial))


@njit(cache=True)
def _reach(lung, sign, row, column, angles):  # type: ignore[no-untyped-def]
    """Distance (pixels) to the last pixel of the lung on the ray at each angle."""
    reach = np.zeros(len(angles))
    for k in range(len(angles)):
        down, across = -np.cos(angles[k]), sign * np.sin(angles[k])
        distance = 0.0
        while True:
            y, x = int(row + distance * down + 0.5), int(column + distance * across + 0.5)
            if y < 0 or x < 0 or y >= lung.shape[0] or x >= lung.shape[1]:
                break
            if lung[y, x]:
                reach[k] = distance
            distance += 0.5
    return reach


@njit(cache=True)
def _rise(smooth, sign, row, column, angles, reach, offsets):  # type: ignore[no-untyped-def]
    """How much brighter it gets outwards at each angle (rows) and offset to the outline."""
    rise = np.zeros((len(angles), len(offsets)))
    for k in range(len(angles)):
        down, across = -np.cos(angles[k]), sign * np.sin(angles[k])
        for j in range(len(offsets)):
            distance = reach[k] + offsets[j]
            for way in (-2.0, 2.0):
                y = int(row + (distance + way) * down + 0.5)
                x = int(column + (distance + way) * across + 0.5)
                y, x = min(max(y, 0), smooth.shape[0] - 1), min(max(x, 0), smooth.shape[1] - 1)
                rise[k, j] += smooth[y, x] if way > 0 else -smooth[y, x]
    return rise


@njit(cache=True)
def _smoothest_path(gain, stiffness):  # type: ignore[no-untyped-def]
    """One column a row: most gain, less the squared steps from row to row times `stiffness`."""
    rows, columns = gain.shape
    best, came = gain.copy(), np.zeros((rows, columns), np.int64)
    for row in range(1, rows):
        for column in range(columns):
            top = -np.inf
            for before in range(columns):
                value = best[row - 1, before] - stiffness * (before - column) ** 2
                if value > top:
                    top, came[row, column] = value, before
            best[row, column] += top
    path = np.zeros(rows, np.int64)
    path[-1] = best[-1].argmax()
    for row in range(rows - 1, 0, -1):
        path[row - 1] = came[row, path[row]]
    return path
