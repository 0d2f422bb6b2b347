"""Where a collapsed lung ends, and what that says of each pixel around it."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.implant.chest_wall import Side
from features.phantom.collapse import Collapse
from features.phantom.lung_shape import withdrawn
from features.pixels import regions

UNFORMED = 40.0  # mm of air from which on a lung keeps its form

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Maps:
    """What the geometry says of each pixel around the lung, (h, w) arrays of float32."""

    hilum: tuple[float, float]  # row and column
    distance: Image  # from the hilum, mm
    reach: Image  # from the hilum to the chest wall at this angle, mm
    edge: Image  # from the hilum to the lung's edge at this angle, mm
    across: Image  # mm across the lung's edge that 1 mm along the ray is
    turn: Image  # angle from straight up, turning laterally, radians


def edge_of(side: Side, collapse: Collapse) -> NDArray[np.float64]:
    """Distance (mm) of the lung's edge from the hilum at the side's angles.

    The deeper the air, the more a lung keeps its form as it shrinks: then the air is everywhere the
    same share of the way from chest wall to hilum, and not the same number of millimetres.
    """
    at_centre = float(np.interp(collapse.centre, side.angles, side.reach))
    keeps_form = np.clip(collapse.depth / UNFORMED, 0, 1)
    share = np.power(np.maximum(side.reach, 1) / at_centre, keeps_form)
    return withdrawn(side.angles, side.reach, collapse, share)


def maps_of(side: Side, edge: NDArray[np.float64], box: regions.Box) -> Maps:
    """The geometry of one side around its lung; `edge` (mm) is the lung's edge at its angles."""
    rows, columns = box
    turn = side.angles[1] - side.angles[0]
    slope = np.gradient(edge) / turn / np.maximum(edge, 1)
    across = 1 / np.hypot(1, np.clip(slope, -3, 3))
    row, column = side.hilum
    polar = np.stack((side.reach, edge, across)).astype(np.float32)
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    place = (row - rows.start, column - columns.start)
    return Maps(place, *_around(polar, shape, place, side.sign, side.pitch))


@njit(cache=True)
def _around(polar, shape, hilum, sign, pitch):  # type: ignore[no-untyped-def]
    """Distance from the hilum, the values of `polar` at the pixel's angle, and the angle."""
    maps = np.empty((5, *shape), np.float32)
    steps = polar.shape[1] - 1
    for row in range(shape[0]):
        down = (row - hilum[0]) * pitch
        for column in range(shape[1]):
            lateral = sign * (column - hilum[1]) * pitch
            angle = np.arctan2(lateral, -down)
            turn = (angle + np.pi) * steps / (2 * np.pi)
            low = min(int(turn), steps - 1)
            share = turn - low
            maps[0, row, column] = np.sqrt(lateral * lateral + down * down)
            for k in range(3):
                line = polar[k]
                maps[1 + k, row, column] = line[low] + share * (line[low + 1] - line[low])
            maps[4, row, column] = angle
    return maps


def kept_area(side: Side, edge: NDArray[np.float64]) -> float:
    """Share of its area that a lung with this edge keeps."""
    return float(np.square(edge).mean() / np.square(side.reach).mean())
