"""What lies on and in the patient besides the patient: wires, tubes, drains and skin folds.

They are drawn from the exposure alone, never from the disease, so that a tube or a fold's edge says
nothing about a pneumothorax (unless a dataset asks for drains that do, see `drained`).
"""

import numpy as np

from features.phantom.anatomy import Exposure, Patient, Rng
from features.phantom.strokes import curve, grid, smooth_curve
from features.phantom.tissue import MU_MUSCLE, rib_cage


def devices(patient: Patient, exposure: Exposure, rng: Rng) -> list[np.ndarray]:
    """Wires and tubes as strokes."""
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
    for sign, has in zip((-1, 1), exposure.drain, strict=True):
        if has:
            entry, tip = rng.uniform(40, 95), rng.uniform(-110, -40)
            wall = float(rib_cage(patient, np.array(entry)))
            path = [(sign * (wall + 60), entry + 25), (sign * (wall + 3), entry),
                    (sign * rng.uniform(0.62, 0.8) * wall, 0.5 * (entry + tip)),
                    (sign * rng.uniform(0.4, 0.62) * wall, tip)]  # fmt: skip
            strokes += _tube(path, 4.2, 0.09)
    return strokes


def _tube(path: list[tuple[float, float]], half: float, peak: float) -> list[np.ndarray]:
    """A hollow tube: two walls, and a radio-opaque stripe along one of them."""
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
    out = (sign * rng.uniform(40, 210), 230.0)
    middle = [(x + (out[0] - x) * t + rng.normal(0, 22), y + (out[1] - y) * t) for t in (0.3, 0.65)]
    ring = np.linspace(0, 2 * np.pi, 24)
    disc = np.stack([x + 4.0 * np.cos(ring), y + 4.0 * np.sin(ring)], axis=1)
    return [
        curve(smooth_curve([(x, y), *middle, out], 90), 0.65, 0.26),
        curve(disc, 0.9, 0.45),
        curve(np.array([[x - 1, y], [x + 1, y]]), 1.4, 0.8),
    ]


def folds(patient: Patient, exposure: Exposure, rng: Rng) -> np.ndarray:
    """Attenuation of skin folds: an edge where the skin doubles, fading away on its outer side."""
    x, y = grid()
    total = np.zeros((y.size, x.size), np.float32)
    for sign, has in zip((-1, 1), exposure.fold, strict=True):
        draws = rng.random(5)
        if not has:
            continue
        middle = -60 + 100 * draws[0]
        start = (0.52 + 0.33 * draws[1]) * patient.half_width
        edge = start + (0.5 * draws[2] - 0.15) * (y - middle) - 0.0016 * (y - middle) ** 2
        outward = sign * x - edge
        ends = 1 / (1 + np.exp((np.abs(y - middle) - 55 - 35 * draws[3]) / 6))
        sheet = np.exp(-np.maximum(outward, 0) / 22) * np.clip(outward / 1.2, 0, 1)
        total += (5 + 6 * draws[4]) * MU_MUSCLE * sheet * ends
    return total
