"""The lungs of a phantom: their fields, their vessels, and the pleural air of a pneumothorax.

Where a lung has collapsed its edge comes off the chest wall, its vessels are drawn back with it and
it gets denser. Air that lies before the lung instead, as in those who lie on their back, leaves
lung and vessels where they are and makes them darker.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import ndimage

from features.phantom.patient import Collapse, Exposure, Patient, Rng
from features.phantom.strokes import PITCH, SIDE, grid, sample, stroke, tree
from features.phantom.tissue import MU_MUSCLE, dome, heart, medial, rib_cage, sinking, space

TURNS = 240  # steps of the lung's polar form
SMALLEST = 0.38  # distance of a lung's edge from the hilum, share of that of the chest wall
STUMP = 0.2  # the same where the whole lung comes off
THINNEST = 3.0  # mm of air between chest wall and lung, below which no reader outlines it
DENSEST = 2.2  # how many times denser a lung gets at most that loses its air
BEFORE = 0.75  # share of the lung's depth that anteromedial air may take


@dataclass(frozen=True)
class Lung:
    """One lung field on the drawing grid, and its polar form about the hilum.

    `field` is the lung's coverage of each pixel, 0..1. Angles count from straight up, turning
    laterally; `reach` is the distance (mm) from hilum to the border of the field at `angles`, and
    `edge` the distance to the lung's edge there: less than `reach` where pleural air lies between,
    but not where it lies before the lung (anteromedial).
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
        seen = np.logical_and.accumulate((solid < 36)[:, ::-sign], axis=1)[:, ::-sign]
        above = dome(patient, exposure, sign, lateral, sinking(collapse, sign)) - y
        margin = np.minimum(np.minimum(lateral - inner, outer - lateral), above)
        margin = np.where(seen & free, margin, -PITCH)
        field = np.clip(margin / PITCH + 0.5, 0, 1)
        fields.append(_polar(sign, field, collapse))
    return np.maximum(chord, 0), (fields[0], fields[1])


def _polar(sign: int, field: np.ndarray, collapse: Collapse | None) -> Lung:
    """The lung about its hilum; its edge withdrawn from the chest wall where it has collapsed."""
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
    edge = _withdrawn(angles, reach, collapse)
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
            if lateral < -60:  # beyond the midline nothing is asked
                continue
            turn = (np.arctan2(lateral, -down) + np.pi) * TURNS / (2 * np.pi)
            low = min(int(turn), TURNS - 1)
            share = turn - low
            reach_map[row, column] = reach[low] + share * (reach[low + 1] - reach[low])
            edge_map[row, column] = edge[low] + share * (edge[low + 1] - edge[low])
    return distance, reach_map, edge_map


def _withdrawn(angles: np.ndarray, reach: np.ndarray, collapse: Collapse) -> np.ndarray:
    """Distance of the collapsed lung's edge from the hilum: a cap that comes off the chest wall.

    On the mediastinal side the lung keeps its border; there the cap only cuts off its top.
    """
    outward = np.maximum(angles, 0.25)
    t = np.clip((outward - collapse.centre) / collapse.spread, -1, 1)
    gap = collapse.depth * np.cos(np.pi / 2 * t)
    gap *= 1 + 0.06 * np.sin(3 * outward + collapse.wiggle)
    gap *= np.clip((np.pi - outward) / 0.7, 0, 1)  # the pulmonary ligament holds it below
    wall = np.interp(outward, angles, reach)
    _keep_whole(gap, angles, wall, collapse.centre)
    # The further it collapses, the rounder a lung gets: the sulci no longer mould it.
    rounded = ndimage.gaussian_filter1d(wall, 0.3 / (angles[1] - angles[0]), mode="nearest")
    wall = np.minimum(wall, wall + np.clip(gap / 40, 0, 1) * (rounded - wall))
    least = STUMP if collapse.kind in ("large", "tension") else SMALLEST
    cap = wall - np.minimum(gap, (1 - least) * wall)
    # On the mediastinal side the cap goes on as it is at the apex, if it comes that far.
    cut = (angles > -np.pi / 2) & ((angles > 0.25) | (gap > 1))
    return np.where(cut, np.minimum(reach, cap), reach)


def _keep_whole(gap: np.ndarray, angles: np.ndarray, wall: np.ndarray, centre: float) -> None:
    """Leave no second, separate pocket, in place: the sulcus lies behind the dome as the hilum sees
    it, so that air beside the dome and air above it are one only where the gap is wide."""
    fall = np.where(angles[:-1] > 1.5, wall[:-1] - wall[1:], 0)
    k = int(fall.argmax())
    if fall[k] > 10 and gap[k] < fall[k]:
        if centre <= angles[k]:
            gap[k + 1 :] = 0
        else:
            gap[: k + 1] = 0


def share_of(lung: Lung) -> np.ndarray:
    """How much of what a ray crosses is this lung's side, 0..1, (1, SIDE): half at the midline."""
    return np.clip(0.5 + lung.sign * grid()[0] / 24, 0, 1)


def pleural_air(lung: Lung) -> np.ndarray:
    """Coverage (0..1) of each pixel by pleural air, (SIDE, SIDE).

    It is the lung field beyond the lung's edge or, of anteromedial air, beside the mediastinum.
    """
    assert lung.collapse is not None
    if lung.collapse.kind == "anteromedial":
        start, width = _recess(lung)
        lateral = lung.sign * grid()[0]
        return np.clip((start + width - lateral) / PITCH + 0.5, 0, 1) * (width > 1) * lung.field
    assert lung.distance is not None and lung.reach_map is not None and lung.edge_map is not None
    beyond = np.clip((lung.distance - lung.edge_map) / PITCH + 0.5, 0, 1)
    return np.where(lung.reach_map - lung.edge_map > THINNEST, beyond, 0) * lung.field


def _recess(lung: Lung) -> tuple[np.ndarray, np.ndarray]:
    """Where anteromedial air begins (mm from the midline) and how wide it is, (SIDE, 1) each."""
    assert lung.collapse is not None
    x, y = grid()
    inside = lung.field > 0.5
    lateral = np.where(inside, lung.sign * x, np.inf)
    start = lateral.min(axis=1, keepdims=True)
    rows = np.flatnonzero(inside.any(axis=1))
    top, bottom = float(y[rows[0], 0]), float(y[rows[-1], 0])
    share = (y - top) / max(bottom - top, 1.0)
    swell = np.clip((share - lung.collapse.centre) / lung.collapse.spread, 0, 1)
    width = lung.collapse.depth * np.sin(np.pi / 2 * swell)
    width *= 1 + 0.1 * np.sin(9 * share + lung.collapse.wiggle)
    # Where only the sulcus is left of the lung, its border is no longer the mediastinum's.
    across = inside.sum(axis=1)
    last = np.flatnonzero(across >= 0.5 * across.max())[-1]
    start[last:] = start[last]
    start = ndimage.gaussian_filter1d(np.where(np.isfinite(start), start, 0.0), 6, axis=0)
    return start, np.where((share > 0) & (share <= 1), width, 0.0)


def aerated(lung: Lung, density: np.ndarray) -> np.ndarray:
    """The lung's density along the rays (g/cm3) once pleural air has taken its place."""
    collapse = lung.collapse
    if collapse is None:
        return density
    if collapse.kind == "anteromedial":  # the lung behind it stays
        return (density + collapse.injury) * (1 - BEFORE * collapse.air * pleural_air(lung))
    assert lung.distance is not None and lung.reach_map is not None and lung.edge_map is not None
    gap = lung.reach_map - lung.edge_map
    share = lung.distance / np.maximum(lung.edge_map, 1)
    inner = 1 - np.square(np.square(np.square(np.minimum(share, 1))))
    mix = np.clip(gap / 6, 0, 1)
    filled = 1 - mix * collapse.air * (1 - np.sqrt(inner))
    left = float(np.square(lung.edge).mean() / np.square(lung.reach).mean())
    mean = float(np.average(density, weights=lung.field))
    squeezed = min(left**-collapse.blood, DENSEST)
    # Denser, but no coarser; also where the lung lies before and behind heart and diaphragm.
    held = density + mean * (squeezed - 1) + collapse.injury
    rest = filled * (held + (share > 1) * mix * (mean - held))
    return held + lung.field * (rest - held)  # air is drawn where the truth has it


def vessels(
    lung: Lung, rng: Rng, patient: Patient, chord: np.ndarray, pose: str
) -> list[np.ndarray]:
    """The lung's vessels as strokes, drawn back with the lung's edge where it has collapsed.

    They fade where `chord`, that of the lungs (mm), ends. Standing makes the lower ones wider than
    the upper ones.
    """
    strokes = []
    weight = 0.25 if pose == "erect" else 0.0
    for xy, radius in tree(rng, patient.vascularity, float(np.median(lung.reach)), weight):
        angle = np.arctan2(xy[..., 0], -xy[..., 1])
        reach = np.interp(angle, lung.angles, lung.reach)
        edge = np.interp(angle, lung.angles, lung.edge)
        share = np.hypot(xy[..., 0], xy[..., 1]) / reach
        scale = edge / reach
        x = lung.hilum[0] + lung.sign * xy[..., 0] * scale
        y = lung.hilum[1] + xy[..., 1] * scale
        thin = np.clip(1.12 - share, 0, 1) ** 0.8
        spacing = np.hypot(*(np.diff(xy, axis=1)[:, :1, :]).transpose(2, 0, 1))
        keep = share < 0.985
        calibre = np.maximum(radius * (0.35 + 0.65 * thin), 0.5)
        peak = 7.0 * radius**0.8 * thin * MU_MUSCLE * sample(np.minimum(chord / 50, 1), x, y)
        spacing = np.broadcast_to(spacing, share.shape) * scale
        strokes.append(stroke(x[keep], y[keep], 0.7 * calibre[keep], peak[keep], spacing[keep]))
    return strokes


def pleural_line(lung: Lung) -> np.ndarray:
    """The edge of the collapsed lung as a stroke: the visceral pleura seen along its surface."""
    assert lung.collapse is not None
    if lung.collapse.kind == "anteromedial":
        start, width = _recess(lung)
        x, y = (lung.sign * (start + width)).ravel(), grid()[1].ravel()
        gap = width.ravel()
    else:
        angle = np.linspace(-np.pi, np.pi, 1800)
        reach, edge = (np.interp(angle, lung.angles, r) for r in (lung.reach, lung.edge))
        x = lung.hilum[0] + lung.sign * edge * np.sin(angle)
        y = lung.hilum[1] - edge * np.cos(angle)
        gap = reach - edge
    peak = lung.collapse.line * MU_MUSCLE * np.clip((gap - 2) / 4, 0, 1) * sample(lung.field, x, y)
    spacing = np.hypot(np.gradient(x), np.gradient(y))
    spacing[spacing > 3 * np.median(spacing)] = 0  # where the lung's edge is seen to jump
    return stroke(x, y, np.full(x.size, 0.45), peak, spacing)
