"""Tissue maps of a phantom: how much of each tissue a ray crosses on its way to the detector.

Solids (trunk, lungs, heart, great vessels, diaphragm, breasts, vertebrae) are closed formulas for
the chord of a ray through them, in mm; thin things (vessels, pleural line) are strokes. Both are
turned into attenuation with tabulated coefficients. Nothing here is random but the course of the
vessels: the numbers come from `phantom_patient`.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import ndimage

from features.phantom_patient import Collapse, Exposure, Patient, Rng
from features.phantom_strokes import PITCH, SIDE, grid, sample, stroke, tree, widen

# Mass attenuation (cm2/g, ICRU-44 tissues at 60 keV, Hubbell & Seltzer, NIST IR 5632) times density
# (g/cm3), per mm. 60 keV is about the mean energy of a 110 kV beam behind the patient's front.
MU_MUSCLE = 0.2048 * 1.05 / 10
MU_FAT = 0.1974 * 0.95 / 10
MU_BONE = 0.3148 * 1.92 / 10
MU_WATER = 0.2059 * 1.00 / 10  # also lung tissue, per g/cm3

TURNS = 240  # steps of the lung's polar form


@dataclass(frozen=True)
class Lung:
    """One lung field on the drawing grid, and its polar form about the hilum.

    `field` is the lung's coverage of each pixel, 0..1. Angles count from straight up, turning
    laterally; `reach` is the distance (mm) from hilum to the border of the field at `angles`, and
    `edge` the distance to the lung's edge there: less than `reach` where pleural air lies between.
    """

    sign: int  # -1: right lung (image left), +1: left lung
    hilum: tuple[float, float]
    field: np.ndarray
    angles: np.ndarray
    reach: np.ndarray
    edge: np.ndarray
    distance: np.ndarray | None  # of each pixel from the hilum, mm; None for a whole lung
    reach_map: np.ndarray | None  # reach and edge at each pixel's angle, mm
    edge_map: np.ndarray | None


def _root(value: np.ndarray) -> np.ndarray:
    """Square root, 0 for what is negative: where a ray misses a solid."""
    return np.sqrt(np.maximum(value, 0))


def _section(
    x: np.ndarray,
    y: np.ndarray,
    centre: tuple[float, float],
    axes: tuple[float, float],
    tilt: float = 0.0,
) -> np.ndarray:
    """Square of the chord through an ellipsoid, as a share of its longest; 0 outside.

    `axes` are the half axes in the plane (mm), `tilt` its rotation from +x towards +y (radians).
    """
    u, v = x - centre[0], y - centre[1]
    cos, sin = np.cos(tilt), np.sin(tilt)
    along = (cos / axes[0]) * u + (sin / axes[0]) * v
    across = (cos / axes[1]) * v - (sin / axes[1]) * u
    along *= along
    across *= across
    along += across
    return np.maximum(1 - along, 0, out=along)


def rib_cage(patient: Patient, y: np.ndarray) -> np.ndarray:
    """Distance (mm) from the midline to the inside of the ribs at height y."""
    start = 0.36 * patient.half_width
    t = np.clip((y - patient.apex) / (62 - patient.apex), 0, 1)
    swell = (1 - (1 - t) ** 2.3) ** (1 / 2.1)
    return start + (patient.half_width - start) * swell - 6e-4 * np.maximum(y - 62, 0) ** 2


def _medial(patient: Patient, y: np.ndarray) -> np.ndarray:
    """Distance (mm) from the midline to the mediastinal border of the lung at height y."""
    start = 0.36 * patient.half_width
    t = np.clip((y - patient.apex) / 40, 0, 1)
    return start - (start - 12) * (1 - (1 - t) ** 2) ** 0.5


def _dome(patient: Patient, exposure: Exposure, sign: int, lateral: np.ndarray) -> np.ndarray:
    """Height y (mm) of the diaphragm at a distance from the midline."""
    # Behind the heart one dome passes into the other.
    step = sign * (patient.dome_left - patient.dome_right) / 2
    top = (patient.dome_right + patient.dome_left) / 2 + step * np.tanh(lateral / 15)
    peak, wide = 0.5 * patient.half_width, 0.5 * patient.half_width
    out = np.maximum(lateral - peak, 0) / wide
    back = np.maximum(peak - lateral, 0) / wide
    curved = 1 - 0.6 * patient.emphysema
    fall = patient.sulcus * out * out * np.sqrt(out) + 7 * np.square(back)
    return top - exposure.inspiration + 14 * patient.emphysema + curved * fall


def heart(patient: Patient, exposure: Exposure, push: float) -> np.ndarray:
    """Chord (mm) through heart, great vessels and the rest of the mediastinum, (SIDE, SIDE).

    Drawn on every other pixel: a beating heart has no sharper edge. `push` is how far (mm) a
    pneumothorax moves it towards the patient's left.
    """
    x, y = grid(2)
    half = patient.heart * exposure.magnification
    low = min(patient.dome_right, patient.dome_left) - exposure.inspiration
    x = x - exposure.twist - push
    pedicle = 19 + 0.6 * (patient.aorta - 14) + 10 * np.clip(np.abs(y + 60) / 90, 0, 1)
    solid = np.square(np.square(104 * np.maximum(1 - np.square(x / pedicle), 0)))
    for centre, axes, deep, tilt in (
        ((0.38 * half, low - 0.42 * half), (1.02 * half, 0.66 * half), 100, 0.6),  # left ventricle
        ((-0.2 * half, low - 0.55 * half), (0.5 * half, 0.72 * half), 88, 0.0),  # right atrium
        ((0.14 * half, low - 1.15 * half), (0.5 * half, 0.95 * half), 80, -0.35),  # outflow, trunk
        ((12.0, -68.0), (patient.aorta + 7, patient.aorta + 5), 62, 0.0),  # aortic arch
        ((-9.0, -80.0), (14.0, 75.0), 52, 0.0),  # superior vena cava
        ((6.0, -118.0), (17.0, 50.0), 46, 0.2),  # subclavian vessels
    ):
        # The fourth power of each chord: their 4-norm is a union without creases.
        solid += np.square(_section(x, y, centre, axes, tilt) * deep**2)
    return widen(np.minimum(np.sqrt(np.sqrt(solid)), 112))


def _polar(sign: int, field: np.ndarray, collapse: Collapse | None) -> Lung:
    """The lung about its hilum; its edge withdrawn from the chest wall where it has collapsed."""
    hilum = (36.0 * sign, -12.0 if sign < 0 else -19.0)
    angles = np.linspace(-np.pi, np.pi, TURNS + 1)
    reach = _reach(field, float(sign), *hilum)
    reach[0] = reach[-1] = max(reach[0], reach[-1])
    full = np.flatnonzero(reach)
    reach = np.interp(angles, angles[full], reach[full])
    if collapse is None or (collapse.side == "left") != (sign > 0):
        return Lung(sign, hilum, field, angles, reach, reach, None, None, None)
    edge = _withdrawn(angles, reach, collapse)
    maps = _around(reach, edge, float(sign), *hilum)
    return Lung(sign, hilum, field, angles, reach, edge, *maps)


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
    # The further it collapses, the rounder a lung gets: the sulci no longer mould it.
    rounded = ndimage.gaussian_filter1d(wall, 0.3 / (angles[1] - angles[0]), mode="nearest")
    wall = np.minimum(wall, wall + np.clip(gap / 40, 0, 1) * (rounded - wall))
    cap = wall - np.minimum(gap, 0.62 * wall)
    return np.where(angles > -np.pi / 2, np.minimum(reach, cap), reach)


def rim(lung: Lung) -> np.ndarray:
    """Coverage (0..1) of each pixel by pleural air: in the lung field, beyond the lung's edge."""
    assert lung.distance is not None and lung.reach_map is not None and lung.edge_map is not None
    beyond = np.clip((lung.distance - lung.edge_map) / PITCH + 0.5, 0, 1)
    return np.where(lung.reach_map - lung.edge_map > 3, beyond, 0) * lung.field


def lungs(
    patient: Patient, exposure: Exposure, collapse: Collapse | None
) -> tuple[np.ndarray, tuple[Lung, Lung]]:
    """Chord of the air space of both lungs (mm), and the lung fields (right, left)."""
    push = 0.0 if collapse is None else collapse.shift * (1 if collapse.side == "right" else -1)
    solid = heart(patient, exposure, push)
    space = widen(_space(patient, exposure)) - 0.9 * solid
    x, y = grid()
    outer, inner = rib_cage(patient, y), _medial(patient, y)
    free = (solid < 36) & (y > patient.apex)
    fields = []
    for sign in (-1, 1):
        lateral = sign * (x - 0.3 * exposure.twist)
        # Coming from the side, the lung field ends where the mediastinum begins.
        seen = np.logical_and.accumulate((solid < 36)[:, ::-sign], axis=1)[:, ::-sign]
        above = _dome(patient, exposure, sign, lateral) - y
        margin = np.minimum(np.minimum(lateral - inner, outer - lateral), above)
        margin = np.where(seen & free, margin, -PITCH)
        field = np.clip(margin / PITCH + 0.5, 0, 1)
        fields.append(_polar(sign, field, collapse))
    return np.maximum(space, 0), (fields[0], fields[1])


def _space(patient: Patient, exposure: Exposure) -> np.ndarray:
    """Chord of both lungs (mm) as if there were no heart, on every other pixel."""
    x, y = grid(2)
    outer, inner = rib_cage(patient, y), _medial(patient, y)
    reach = np.clip((y - patient.apex) / 135, 0, 1)
    deep = patient.depth * (0.1 + 0.9 * (1 - (1 - reach) ** 2) ** 0.5)
    deep *= np.minimum(0.55 + 1.5 * reach, 1) * (y > patient.apex)
    # Round outside; inside, the lungs lie before and behind the mediastinum too, but for the
    # apices, which are domes.
    down = np.clip((y - patient.apex) / 60, 0, 1)
    beside, inward = 0.86 * down, 0.5 - 0.2 * down
    space = np.zeros((y.size, x.size), np.float32)
    for sign in (-1, 1):
        lateral = sign * (x - 0.3 * exposure.twist)
        across = (lateral - inner) / np.maximum(outer - inner, 1)
        chord = deep * _root(1 - np.clip(across, 0, 1) ** patient.roundness)
        chord *= beside + (1 - beside) * _root(1 - np.square(1 - np.clip(across / inward, 0, 1)))
        below = y - _dome(patient, exposure, sign, lateral)
        chord = np.where(across < 0, beside * deep, chord) * (lateral >= 0)
        space += np.maximum(chord - 2 * _root(150 * np.maximum(below, 0)), 0)
    return space


def trunk(patient: Patient, exposure: Exposure) -> np.ndarray:
    """Chord (mm) through head, neck, shoulders, arms and trunk, breasts included, (SIDE, SIDE).

    Drawn on every other pixel, as the heart.
    """
    x, y = grid(2)
    # A turned patient is wider on the side that turns towards the rays.
    side = np.abs(x) * (1 + exposure.twist / 250 * np.sign(x))
    chest = rib_cage(patient, np.maximum(y, -20)) + patient.wall
    top = patient.apex - 52  # where the neck meets the shoulders
    slope = np.clip((y - top) / 95, 0, 1)
    shoulder = 50 + 0.15 * patient.wall + (140 + 0.4 * patient.wall) * slope**0.75
    axilla = 1 / (1 + np.exp(-(y + 48) / 11))
    outline = shoulder * (1 - axilla) + chest * axilla
    full = patient.depth + 1.5 * patient.wall
    grown = np.clip((y - top) / 170, 0, 1)
    deep = (84 + 0.4 * patient.wall) * (1 - grown) + full * grown
    deep = deep + patient.belly * np.clip((y + 30) / 150, 0, 1)
    across = np.minimum(side / outline, 1)
    solid = deep * _root(1 - across * across * across)
    start = chest + exposure.arms + 36
    axis = start + exposure.spread * (y + 70)
    arm = 2 * _root(36**2 - (side - axis) ** 2) * np.clip((y + 115) / 30, 0, 1)
    droop = np.clip((y - 10 + 60 * (patient.sex == "M")) / 55, 0, 1)
    middle = (0.6 * patient.half_width, 44 + 0.35 * patient.breast)
    axes = (64 + 0.25 * patient.breast, 48 + 0.45 * patient.breast)
    breasts = patient.breast * np.sqrt(_section(side, y, middle, axes))
    head = 150 * np.sqrt(_section(x - exposure.chin[0], y, (0, top - exposure.chin[1]), (78, 105)))
    return widen(np.maximum(np.maximum(solid, 0.9 * arm), head) + droop * breasts)


def vessels(lung: Lung, rng: Rng, patient: Patient, space: np.ndarray) -> list[np.ndarray]:
    """The lung's vessels as strokes, drawn back with the lung's edge where it has collapsed.

    They fade where `space`, the chord of the lungs (mm), ends.
    """
    strokes = []
    for xy, radius in tree(rng, patient.vascularity, float(np.median(lung.reach))):
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
        peak = 6.0 * radius**0.8 * thin * MU_MUSCLE * sample(np.minimum(space / 50, 1), x, y)
        spacing = np.broadcast_to(spacing, share.shape) * scale
        strokes.append(stroke(x[keep], y[keep], 0.7 * calibre[keep], peak[keep], spacing[keep]))
    return strokes


def pleural_line(lung: Lung, collapse: Collapse) -> np.ndarray:
    """The edge of the collapsed lung as a stroke: the visceral pleura seen along its surface."""
    angle = np.linspace(-np.pi, np.pi, 1800)
    reach, edge = (np.interp(angle, lung.angles, r) for r in (lung.reach, lung.edge))
    x = lung.hilum[0] + lung.sign * edge * np.sin(angle)
    y = lung.hilum[1] - edge * np.cos(angle)
    peak = collapse.line * MU_MUSCLE * np.clip((reach - edge - 2) / 4, 0, 1)
    spacing = np.hypot(np.gradient(x), np.gradient(y))
    return stroke(x, y, np.full(x.size, 0.45), peak, spacing)
