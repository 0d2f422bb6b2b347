"""Tissue maps of a phantom: how much of each tissue a ray crosses on its way to the detector.

Each solid (trunk, lungs, heart, great vessels, diaphragm, breasts) has a closed formula for the
chord of a ray through it, in mm; tabulated coefficients turn chords into attenuation. Nothing here
is random: all numbers come from `Patient`, `Exposure` and `Collapse`.
"""

import numpy as np

from features.phantom.anatomy import Patient
from features.phantom.collapse import Collapse
from features.phantom.exposure import Exposure
from features.phantom.strokes import grid, widen

# Mass attenuation (cm2/g, ICRU-44 tissues at 60 keV, Hubbell & Seltzer, NIST IR 5632) times density
# (g/cm3), per mm. 60 keV is about the mean energy of a 110 kV beam behind the patient's front.
MU_MUSCLE = 0.2048 * 1.05 / 10
MU_FAT = 0.1974 * 0.95 / 10
MU_BONE = 0.3148 * 1.92 / 10
MU_WATER = 0.2059 * 1.00 / 10  # also lung tissue, per g/cm3


def _root(value: np.ndarray) -> np.ndarray:
    """Square root; 0 for negative values, which stand for rays that miss a solid."""
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


def medial(patient: Patient, y: np.ndarray) -> np.ndarray:
    """Distance (mm) from the midline to the mediastinal border of the lung at height y."""
    start = 0.36 * patient.half_width
    t = np.clip((y - patient.apex) / 40, 0, 1)
    return start - (start - 12) * (1 - (1 - t) ** 2) ** 0.5


def sinking(collapse: Collapse | None, sign: int) -> tuple[float, float]:
    """How far (mm) pleural air pushes a side's diaphragm down: as a whole, and at the sulcus."""
    if collapse is None or collapse.sign != sign:
        return 0.0, 0.0
    whole = {"tension": 0.22, "large": 0.08}.get(collapse.kind, 0.0)
    return whole * collapse.depth, 0.8 * collapse.depth * (collapse.kind == "deep sulcus")


def dome(
    patient: Patient,
    exposure: Exposure,
    sign: int,
    lateral: np.ndarray,
    sunk: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Height y (mm) of the diaphragm, `lateral` mm from the midline; `sunk` as of `sinking`."""
    # Behind the heart the two domes join.
    step = sign * (patient.dome_left - patient.dome_right) / 2
    top = (patient.dome_right + patient.dome_left) / 2 + step * np.tanh(lateral / 15)
    peak, wide = 0.5 * patient.half_width, 0.5 * patient.half_width
    out = np.maximum(lateral - peak, 0) / wide
    back = np.maximum(peak - lateral, 0) / wide
    curved = 1 - 0.6 * patient.emphysema
    fall = (patient.sulcus + sunk[1]) * out * out * np.sqrt(out) + 7 * np.square(back)
    top = top + sunk[0] * np.clip(lateral / 40, 0, 1)
    return top - exposure.inspiration + 14 * patient.emphysema + curved * fall


def heart(patient: Patient, exposure: Exposure, push: float) -> np.ndarray:
    """Chord (mm) through heart, great vessels and the rest of the mediastinum, (SIDE, SIDE).

    Drawn on every other pixel, since a beating heart has no sharp edge. `push` is how far (mm) a
    pneumothorax moves the heart towards the patient's left.
    """
    x, y = grid(2)
    half = patient.heart * exposure.magnification
    low = min(patient.dome_right, patient.dome_left) - exposure.inspiration
    x = x - exposure.twist - push
    pedicle = 19 + 0.6 * (patient.aorta - 14) + 10 * np.clip(np.abs(y + 60) / 90, 0, 1)
    pedicle = pedicle * (1.15 if exposure.pose == "supine" else 1.0)  # its veins are full
    solid = np.square(np.square(104 * np.maximum(1 - np.square(x / pedicle), 0)))
    for centre, axes, deep, tilt in (
        ((0.38 * half, low - 0.42 * half), (1.02 * half, 0.66 * half), 100, 0.6),  # left ventricle
        ((-0.2 * half, low - 0.55 * half), (0.5 * half, 0.72 * half), 88, 0.0),  # right atrium
        ((0.14 * half, low - 1.15 * half), (0.5 * half, 0.95 * half), 80, -0.35),  # outflow, trunk
        ((12.0, -68.0), (patient.aorta + 7, patient.aorta + 5), 62, 0.0),  # aortic arch
        ((-12.0, -80.0), (18.0, 75.0), 52, 0.0),  # superior vena cava
        ((6.0, -118.0), (17.0, 50.0), 46, 0.2),  # subclavian vessels
    ):
        # The fourth power of each chord: their 4-norm is a union without creases.
        solid += np.square(_section(x, y, centre, axes, tilt) * deep**2)
    return widen(np.minimum(np.sqrt(np.sqrt(solid)), 112))


def space(patient: Patient, exposure: Exposure, collapse: Collapse | None) -> np.ndarray:
    """Chord of both lungs (mm) as if there were no heart, (SIDE, SIDE).

    Drawn on every other pixel, as the heart is.
    """
    x, y = grid(2)
    outer, inner = rib_cage(patient, y), medial(patient, y)
    reach = np.clip((y - patient.apex) / 135, 0, 1)
    deep = patient.depth * (0.1 + 0.9 * (1 - (1 - reach) ** 2) ** 0.5)
    deep *= np.minimum(0.55 + 1.5 * reach, 1) * (y > patient.apex)
    # The lungs are round at the chest wall. Near the midline they reach in front of the mediastinum
    # and behind it: less so above, where great vessels and spine leave little room, and not at all
    # at the domed apices.
    beside = np.interp(y - patient.apex, (0, 45, 90, 160), (0, 0.45, 0.6, 0.9))
    inward = 0.5 - 0.2 * np.clip((y - patient.apex) / 60, 0, 1)
    total = np.zeros((y.size, x.size), np.float32)
    for sign in (-1, 1):
        lateral = sign * (x - 0.3 * exposure.twist)
        across = (lateral - inner) / np.maximum(outer - inner, 1)
        chord = deep * _root(1 - np.clip(across, 0, 1) ** patient.roundness)
        chord *= beside + (1 - beside) * _root(1 - np.square(1 - np.clip(across / inward, 0, 1)))
        below = y - dome(patient, exposure, sign, lateral, sinking(collapse, sign))
        chord = np.where(across < 0, beside * deep, chord) * (lateral >= 0)
        total += np.maximum(chord - 2 * _root(150 * np.maximum(below, 0)), 0)
    return widen(total)


def trunk(patient: Patient, exposure: Exposure) -> np.ndarray:
    """Chord (mm) through head, neck, shoulders, arms and trunk, breasts included, (SIDE, SIDE).

    Drawn on every other pixel, as the heart is.
    """
    x, y = grid(2)
    # A turned patient is wider on the side that turns towards the rays.
    side = np.abs(x) * (1 + exposure.twist / 250 * np.sign(x))
    chest = rib_cage(patient, np.maximum(y, -20)) + patient.wall
    top = patient.apex - 52  # where the neck meets the shoulders
    slope = np.clip((y - top) / 95, 0, 1)
    shoulder = 50 + 0.15 * patient.wall + (150 + 0.4 * patient.wall) * slope**0.75
    axilla = 1 / (1 + np.exp(-(y + 48) / 11))
    outline = shoulder * (1 - axilla) + chest * axilla
    full = patient.depth + 1.5 * patient.wall
    grown = np.clip((y - top) / 170, 0, 1)
    deep = (104 + 0.5 * patient.wall) * (1 - grown) + full * grown
    deep = deep + patient.belly * np.clip((y + 30) / 150, 0, 1)
    across = np.minimum(side / outline, 1)
    solid = deep * _root(1 - np.square(np.square(across)))
    start = chest + exposure.arms + 36
    axis = start + exposure.spread * (y + 70)
    arm = 2 * _root(36**2 - (side - axis) ** 2) * np.clip((y + 115) / 30, 0, 1)
    droop = np.clip((y - 10 + 60 * (patient.sex == "M")) / 55, 0, 1)
    middle = (0.6 * patient.half_width, 44 + 0.35 * patient.breast)
    axes = (64 + 0.25 * patient.breast, 48 + 0.45 * patient.breast)
    breasts = patient.breast * np.sqrt(_section(side, y, middle, axes))
    head = 150 * np.sqrt(_section(x - exposure.chin[0], y, (0, top - exposure.chin[1]), (78, 105)))
    solid = solid * np.maximum(1 + exposure.tilt * x / 100, 0.5)
    return widen(np.maximum(np.maximum(solid, 0.9 * arm), head) + droop * breasts)
