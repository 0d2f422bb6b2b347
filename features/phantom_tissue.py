"""Tissue maps of a phantom: how much of each tissue a ray crosses on its way to the detector.

Solids (trunk, lungs, heart, great vessels, diaphragm, breasts, vertebrae) are closed formulas for
the chord of a ray through them, in mm; thin things (vessels, pleural line) are strokes. Both are
turned into attenuation with tabulated coefficients. Nothing here is random but the course of the
vessels: the numbers come from `phantom_patient`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from features.phantom_patient import Collapse, Exposure, Patient, Rng
from features.phantom_strokes import PITCH, SIDE, grid, stroke, tree

# Mass attenuation (cm2/g, ICRU-44 tissues at 60 keV, Hubbell & Seltzer, NIST IR 5632) times density
# (g/cm3), per mm. 60 keV is about the mean energy of a 110 kV beam behind the patient's front.
MU_MUSCLE = 0.2048 * 1.05 / 10
MU_FAT = 0.1974 * 0.95 / 10
MU_BONE = 0.3148 * 1.92 / 10
MU_WATER = 0.2059 * 1.00 / 10  # also lung tissue, per g/cm3


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
    distance: np.ndarray  # of each pixel from the hilum, mm
    reach_map: np.ndarray  # reach and edge at each pixel's angle, mm
    edge_map: np.ndarray
    angles: np.ndarray
    reach: np.ndarray
    edge: np.ndarray


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
    return start - (start - 17) * (1 - (1 - t) ** 2) ** 0.5


def _dome(patient: Patient, exposure: Exposure, sign: int, lateral: np.ndarray) -> np.ndarray:
    """Height y (mm) of the diaphragm at a distance from the midline."""
    top = patient.dome_right if sign < 0 else patient.dome_left
    peak, wide = 0.5 * patient.half_width, 0.5 * patient.half_width
    out = np.maximum(lateral - peak, 0) / wide
    back = np.maximum(peak - lateral, 0) / wide
    return top - exposure.inspiration + 42 * out * out * np.sqrt(out) + 18 * np.square(back)


def heart(patient: Patient, exposure: Exposure, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Chord (mm) through heart, great vessels and the rest of the mediastinum."""
    half = patient.heart * exposure.magnification
    low = min(patient.dome_right, patient.dome_left) - exposure.inspiration
    x = x - exposure.twist
    pedicle = 27 + 0.5 * (patient.aorta - 14) + 8 * np.clip(np.abs(y + 60) / 90, 0, 1)
    solid = np.square(np.square(110 * np.maximum(1 - np.square(x / pedicle), 0)))
    for centre, axes, deep, tilt in (
        ((0.34 * half, low - 0.5 * half), (1.0 * half, 0.72 * half), 100, 0.5),  # left ventricle
        ((-0.22 * half, low - 0.62 * half), (0.54 * half, 0.75 * half), 90, 0.0),  # right atrium
        ((0.16 * half, low - 1.3 * half), (0.62 * half, 0.9 * half), 84, -0.3),  # outflow, trunk
        ((9.0, -70.0), (patient.aorta + 11, patient.aorta + 8), 68, 0.0),  # aortic arch
        ((-11.0, -80.0), (19.0, 75.0), 60, 0.0),  # superior vena cava
        ((8.0, -118.0), (21.0, 50.0), 52, 0.2),  # subclavian vessels
    ):
        # The fourth power of each chord: their 4-norm is a union without creases.
        solid += np.square(_section(x, y, centre, axes, tilt) * deep**2)
    return np.minimum(np.sqrt(np.sqrt(solid)), 112)


def _polar(sign: int, field: np.ndarray, collapse: Collapse | None) -> Lung:
    """The lung about its hilum; its edge withdrawn from the chest wall where it has collapsed."""
    x, y = grid()
    hilum = (36.0 * sign, -12.0 if sign < 0 else -19.0)
    lateral, down = sign * (x - hilum[0]), y - hilum[1]
    angle = np.arctan2(lateral, -down)
    distance = np.hypot(lateral, down)
    angles = np.linspace(-np.pi, np.pi, 241)
    inside = field > 0.5
    bins = np.rint((angle[inside] + np.pi) / (2 * np.pi) * 240).astype(int)
    reach = np.zeros(241)
    np.maximum.at(reach, bins, distance[inside])
    reach[0] = reach[-1] = max(reach[0], reach[-1])
    full = np.flatnonzero(reach)
    reach = np.interp(angles, angles[full], reach[full])
    reach = reach.astype(np.float32)
    at = (angle + np.float32(np.pi)) * np.float32(240 / (2 * np.pi))
    low = np.minimum(at.astype(np.int32), 239)
    at -= low
    reach_map = reach[low] + at * np.diff(reach)[low]
    edge, edge_map = reach, reach_map
    if collapse is not None and (collapse.side == "left") == (sign > 0):
        edge = _withdrawn(angles, reach, collapse).astype(np.float32)
        edge_map = edge[low] + at * np.diff(edge)[low]
    return Lung(sign, hilum, field, distance, reach_map, edge_map, angles, reach, edge)


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
    beyond = np.clip((lung.distance - lung.edge_map) / PITCH + 0.5, 0, 1)
    return np.where(lung.reach_map - lung.edge_map > 3, beyond, 0) * lung.field


def lungs(
    patient: Patient, exposure: Exposure, collapse: Collapse | None
) -> tuple[np.ndarray, tuple[Lung, Lung]]:
    """Chord of the air space of both lungs (mm), and the lung fields (right, left)."""
    x, y = grid()
    push = 0.0 if collapse is None else collapse.shift * (1 if collapse.side == "right" else -1)
    solid = heart(patient, exposure, x - push, y)
    outer, inner = rib_cage(patient, y), _medial(patient, y)
    reach = np.clip((y - patient.apex) / 170, 0, 1)
    deep = patient.depth * (1 - (1 - reach) ** 2) ** 0.5
    space = np.zeros((SIDE, SIDE), np.float32)
    fields = []
    for sign in (-1, 1):
        lateral = sign * (x - 0.3 * exposure.twist)
        across = (lateral - inner) / np.maximum(outer - inner, 1)
        chord = deep * _root(1 - np.square(np.square(np.clip(across, 0, 1))))
        chord *= 0.35 + 0.65 * _root(1 - np.square(1 - np.clip(across / 0.45, 0, 1)))
        below = y - _dome(patient, exposure, sign, lateral)
        dome = 2 * _root(150 * np.maximum(below, 0))
        chord = np.where(across < 0, 0.35 * deep, chord) * (lateral >= 0)
        space += np.maximum(chord - solid - dome, 0)
        # Coming from the side, the lung field ends where the mediastinum begins.
        seen = np.logical_and.accumulate((solid < 30)[:, ::-sign], axis=1)
        margin = np.minimum(np.minimum(lateral - inner, outer - lateral), -below)
        margin = np.where(seen[:, ::-sign] & (y > patient.apex), margin, -PITCH)
        field = np.clip(margin / PITCH + 0.5, 0, 1)
        fields.append(_polar(sign, field, collapse))
    return space, (fields[0], fields[1])


def trunk(patient: Patient, exposure: Exposure) -> np.ndarray:
    """Chord (mm) through neck, shoulders, arms and trunk, breasts included."""
    x, y = grid()
    side = np.abs(x)
    chest = rib_cage(patient, np.maximum(y, -20)) + patient.wall
    top = patient.apex - 62  # where the neck meets the shoulders
    slope = np.clip((y - top) / 80, 0, 1)
    shoulder = 50 + 0.15 * patient.wall + (158 + 0.4 * patient.wall) * slope**0.8
    axilla = 1 / (1 + np.exp(-(y + 52) / 11))
    outline = shoulder * (1 - axilla) + chest * axilla
    deep = (112 + 0.5 * patient.wall) * (1 - slope) + (patient.depth + 1.5 * patient.wall) * slope
    deep = deep + 30 * np.clip((y - 50) / 90, 0, 1)
    across = np.minimum(side / outline, 1)
    solid = deep * _root(1 - across * across * np.sqrt(across))
    start = chest + exposure.arms + 36
    axis = start + 0.12 * (y + 70)
    arm = 2 * _root(40**2 - (side - axis) ** 2) * np.clip((y + 105) / 30, 0, 1)
    droop = np.clip((y - 10) / 55, 0, 1)
    middle = (0.6 * patient.half_width, 44 + 0.35 * patient.breast)
    axes = (64 + 0.25 * patient.breast, 48 + 0.45 * patient.breast)
    breasts = patient.breast * np.sqrt(_section(side, y, middle, axes))
    return np.maximum(solid, 0.9 * arm) + droop * breasts


def vessels(lung: Lung, rng: Rng, patient: Patient) -> list[np.ndarray]:
    """The lung's vessels as strokes, drawn back with the lung's edge where it has collapsed."""
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
        calibre = np.maximum(radius * (0.35 + 0.65 * thin), 0.6)
        peak = 4.6 * radius**0.8 * thin * MU_MUSCLE
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
