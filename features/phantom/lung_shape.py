"""The lung fields of a phantom, and how far a lung has come off the chest wall.

Where a lung has collapsed, its edge is withdrawn towards the hilum. Air that lies in front of the
lung (anteromedial, in patients who lie on their back) leaves the edge where it is.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import ndimage

from features.phantom.anatomy import Patient
from features.phantom.collapse import Collapse
from features.phantom.exposure import Exposure
from features.phantom.strokes import PITCH, SIDE, grid
from features.phantom.tissue import dome, heart, medial, rib_cage, sinking, space

TURNS = 240  # steps of the lung's polar form
SMALLEST = 0.38  # distance of a lung's edge from the hilum, share of that of the chest wall
STUMP = 0.2  # the same where the whole lung comes off


@dataclass(frozen=True)
class Lung:
    """One lung field on the drawing grid, and its polar form about the hilum.

    `field` is the lung's coverage of each pixel, 0..1. Angles count from straight up, turning
    laterally. `reach` is the distance (mm) from the hilum to the border of the field at `angles`,
    `edge` the distance to the lung's edge there. Where pleural air lies between the two, `edge` is
    less than `reach`; where it lies in front of the lung (anteromedial), they are equal.
    """

    sign: int  # -1: right lung (image left), +1: left lung
    hilum: tuple[float, float]
    field: np.ndarray
    angles: np.ndarray
    reach: np.ndarray
    edge: np.ndarray
    collapse: Collapse | None = None  # of this lung
    distance: np.ndarray | None = None  # of each pixel from the hilum, mm, if the edge has moved
    reach_map: np.ndarray | None = None  # reach and edge at each pixel's angle, mm
    edge_map: np.ndarray | None = None


def lungs(
    patient: Patient, exposure: Exposure, collapse: Collapse | None
) -> tuple[np.ndarray, tuple[Lung, Lung]]:
    """Chord of the air space of both lungs (mm), and the lung fields (right, left)."""
    push = 0.0 if collapse is None else collapse.shift * (1 if collapse.side == "right" else -1)
    solid = heart(patient, exposure, push)
    chord = space(patient, exposure, collapse) - 0.9 * solid
    x, y = grid()
    outer, inner = rib_cage(patient, y), medial(patient, y)
    free = (solid < 36) & (y > patient.apex)
    fields = []
    for sign in (-1, 1):
        lateral = sign * (x - 0.3 * exposure.twist)
        # Coming from the side, the lung field ends where the mediastinum begins.
        lateral_of_heart = np.logical_and.accumulate((solid < 36)[:, ::-sign], axis=1)[:, ::-sign]
        above = dome(patient, exposure, sign, lateral, sinking(collapse, sign)) - y
        margin = np.minimum(np.minimum(lateral - inner, outer - lateral), above)
        margin = np.where(lateral_of_heart & free, margin, -PITCH)
        field = np.clip(margin / PITCH + 0.5, 0, 1)
        fields.append(_polar(sign, field, collapse))
    return np.maximum(chord, 0), (fields[0], fields[1])


def _polar(sign: int, field: np.ndarray, collapse: Collapse | None) -> Lung:
    """The lung in polar form; its edge comes off the chest wall where it has collapsed."""
    hilum = (36.0 * sign, -12.0 if sign < 0 else -19.0)
    angles = np.linspace(-np.pi, np.pi, TURNS + 1)
    reach = _reach(field, float(sign), *hilum)
    reach[0] = reach[-1] = max(reach[0], reach[-1])
    full = np.flatnonzero(reach)
    reach = np.interp(angles, angles[full], reach[full])
    if collapse is None or collapse.sign != sign:
        return Lung(sign, hilum, field, angles, reach, reach)
    if collapse.kind == "anteromedial":
        return Lung(sign, hilum, field, angles, reach, reach, collapse)
    edge = withdrawn(angles, reach, collapse)
    maps = _around(reach, edge, float(sign), *hilum)
    return Lung(sign, hilum, field, angles, reach, edge, collapse, *maps)


@njit(cache=True)
def _reach(field, sign, hilum_x, hilum_y):  # type: ignore[no-untyped-def]
    """Distance (mm) from the hilum to the border of the field at each step of the angle."""
    side = field.shape[0]
    reach = np.zeros(TURNS + 1)
    for row in range(1, side - 1):
        down = (row - (side - 1) / 2) * PITCH - hilum_y
        for column in range(1, side - 1):
            inner = min(
                min(field[row, column - 1], field[row, column + 1]),
                min(field[row - 1, column], field[row + 1, column]),
            )
            if field[row, column] > 0.5 and inner <= 0.5:
                lateral = sign * ((column - (side - 1) / 2) * PITCH - hilum_x)
                k = int((np.arctan2(lateral, -down) + np.pi) * TURNS / (2 * np.pi) + 0.5)
                reach[k] = max(reach[k], np.sqrt(lateral * lateral + down * down))
    return reach


@njit(cache=True)
def _around(reach, edge, sign, hilum_x, hilum_y):  # type: ignore[no-untyped-def]
    """Distance of each pixel from the hilum, and reach and edge at its angle, (SIDE, SIDE), mm."""
    distance = np.empty((SIDE, SIDE), np.float32)
    reach_map = np.ones((SIDE, SIDE), np.float32)
    edge_map = np.ones((SIDE, SIDE), np.float32)
    for row in range(SIDE):
        down = (row - (SIDE - 1) / 2) * PITCH - hilum_y
        for column in range(SIDE):
            lateral = sign * ((column - (SIDE - 1) / 2) * PITCH - hilum_x)
            distance[row, column] = np.sqrt(lateral * lateral + down * down)
            if lateral < -60:  # far beyond the midline there is none of this lung
                continue
            turn = (np.arctan2(lateral, -down) + np.pi) * TURNS / (2 * np.pi)
            low = min(int(turn), TURNS - 1)
            share = turn - low
            reach_map[row, column] = reach[low] + share * (reach[low + 1] - reach[low])
            edge_map[row, column] = edge[low] + share * (edge[low + 1] - edge[low])
    return distance, reach_map, edge_map


def withdrawn(
    angles: np.ndarray,
    reach: np.ndarray,
    collapse: Collapse,
    share: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Distance (mm) of the collapsed lung's edge from the hilum, at each angle.

    Air covers the lung like a cap. On the mediastinal side the lung keeps its border, except at its
    top. At each angle the depth of the air is multiplied by `share`.
    """
    outward = np.maximum(angles, 0.25)
    t = np.clip((outward - collapse.centre) / collapse.spread, -1, 1)
    gap = collapse.depth * share * np.cos(np.pi / 2 * t)
    gap *= 1 + 0.06 * np.sin(3 * outward + collapse.wiggle)
    gap *= np.clip((np.pi - outward) / 0.7, 0, 1)  # the pulmonary ligament holds it below
    wall = np.interp(outward, angles, reach)
    _keep_whole(gap, angles, wall, collapse.centre)
    # A lung gets rounder the further it collapses, since the sulci no longer shape it.
    rounded = ndimage.gaussian_filter1d(wall, 0.3 / (angles[1] - angles[0]), mode="nearest")
    wall = np.minimum(wall, wall + np.clip(gap / 40, 0, 1) * (rounded - wall))
    least = STUMP if collapse.kind in ("large", "tension") else SMALLEST
    cap = wall - np.minimum(gap, (1 - least) * wall)
    # On the mediastinal side the cap continues as it is at the apex, if it reaches the apex.
    capped = (angles > -np.pi / 2) & ((angles > 0.25) | (gap > 1))
    return np.where(capped, np.minimum(reach, cap), reach)


def _keep_whole(gap: np.ndarray, angles: np.ndarray, wall: np.ndarray, centre: float) -> None:
    """Close the smaller of two separate pockets of air, in place.

    Seen from the hilum, the sulcus lies behind the dome. So air beside the dome and air above it
    are connected only where the gap is wide.
    """
    fall = np.where(angles[:-1] > 1.5, wall[:-1] - wall[1:], 0)
    k = int(fall.argmax())
    if fall[k] > 10 and gap[k] < fall[k]:
        if centre <= angles[k]:
            gap[k + 1 :] = 0
        else:
            gap[: k + 1] = 0


def side_share(lung: Lung) -> np.ndarray:
    """Share of each ray on this lung's side, 0..1, (1, SIDE): a half at the midline."""
    return np.clip(0.5 + lung.sign * grid()[0] / 24, 0, 1)
