"""Wires on the patient's skin, tubes and drains in the patient.

They depend on the exposure alone and never on the disease, so a tube is no sign of a
pneumothorax. Only with the option `drained` of a dataset do drains go with pneumothoraces.
"""

import numpy as np

from features.phantom.anatomy import Patient
from features.phantom.exposure import Exposure
from features.phantom.streams import Rng
from features.phantom.strokes import curve, smooth_curve
from features.phantom.tissue import rib_cage


def wires_and_tubes(patient: Patient, exposure: Exposure, rng: Rng) -> list[np.ndarray]:
    """Wires, tubes and drains as strokes, see `features.phantom.strokes.stroke`."""
    strokes: list[np.ndarray] = []
    for _ in range(exposure.leads):
        strokes += _lead(patient, rng)
    top = patient.apex - 70
    bend = rng.normal(0, 3, 4)
    if exposure.tracheal_tube:
        path = [(bend[0], top), (bend[1], -110), (bend[2], -72 + bend[3])]
        strokes += _tube(path, 4.5, 0.07)
    if exposure.gastric_tube:
        low = patient.dome_left - exposure.inspiration
        path = [(bend[0], top), (4 + bend[1], -60), (8, 30), (20 + bend[2], low + 15),
                (55, low + 45), (40, low + 75)]  # fmt: skip
        strokes += _tube(path, 2.2, 0.10)
    if exposure.central_line:
        path = [(-75, patient.apex - 30), (-52, patient.apex + 20), (-24 + bend[0], -80),
                (-22 + bend[1], -5 + 4 * bend[2])]  # fmt: skip
        strokes.append(curve(smooth_curve(path), 0.9, 0.22))
    for sign, drained in zip((-1, 1), exposure.drain, strict=True):
        if drained:
            entry, tip = rng.uniform(40, 95), rng.uniform(-110, -40)
            wall = float(rib_cage(patient, np.array(entry)))
            path = [(sign * (wall + 60), entry + 25), (sign * (wall + 3), entry),
                    (sign * rng.uniform(0.62, 0.8) * wall, 0.5 * (entry + tip)),
                    (sign * rng.uniform(0.4, 0.62) * wall, tip)]  # fmt: skip
            strokes += _tube(path, 4.2, 0.09)
    return strokes


def _tube(path: list[tuple[float, float]], half: float, peak: float) -> list[np.ndarray]:
    """A hollow tube of half width `half` (mm): two walls, a radio-opaque stripe along one."""
    middle = smooth_curve(path, 90)
    along = np.gradient(middle, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.hypot(*along.T)[:, None]
    return [
        curve(middle + half * normal, 0.7, peak),
        curve(middle - half * normal, 0.7, peak),
        curve(middle + 0.8 * half * normal, 0.6, 1.6 * peak),
        curve(middle, half * 0.6, 0.5 * peak),
    ]


def _lead(patient: Patient, rng: Rng) -> list[np.ndarray]:
    """A monitoring wire from an electrode on the chest out of the picture."""
    sign = rng.choice([-1, 1])
    x, y = sign * rng.uniform(35, patient.half_width), rng.uniform(-110, 120)
    exit_point = (sign * rng.uniform(40, 210), 230.0)
    middle = [
        (x + (exit_point[0] - x) * t + rng.normal(0, 22), y + (exit_point[1] - y) * t)
        for t in (0.3, 0.65)
    ]
    ring = np.linspace(0, 2 * np.pi, 24)
    disc = np.stack([x + 4.0 * np.cos(ring), y + 4.0 * np.sin(ring)], axis=1)
    return [
        curve(smooth_curve([(x, y), *middle, exit_point], 90), 0.65, 0.26),
        curve(disc, 0.9, 0.45),
        curve(np.array([[x - 1, y], [x + 1, y]]), 1.4, 0.8),
    ]
