"""Gas below a phantom's diaphragm: the stomach's bubble and loops of bowel."""

import numpy as np

from features.phantom.anatomy import Patient
from features.phantom.collapse import Collapse
from features.phantom.exposure import Exposure
from features.phantom.streams import Rng
from features.phantom.strokes import grid, widen
from features.phantom.tissue import dome, sinking


def gas(patient: Patient, exposure: Exposure, collapse: Collapse | None, rng: Rng) -> np.ndarray:
    """Chord (mm) through gas in stomach and bowel, (SIDE, SIDE); drawn on every other pixel.

    No gas lies above the domes, which pleural air may have pushed down.
    """
    x, y = grid(2)
    sides = [dome(patient, exposure, s, s * x, sinking(collapse, s)) for s in (-1, 1)]
    floor = np.where(x < 0, *sides)
    top = max(patient.dome_right, patient.dome_left) - exposure.inspiration
    total = np.maximum(_bubble(exposure, floor), _bowel(exposure, top, rng))
    return widen(total * np.clip((y - floor - 4) / 3, 0, 1))


def _bubble(exposure: Exposure, floor: np.ndarray) -> np.ndarray:
    """Chord (mm) through the stomach's bubble of air under the left dome.

    In a patient who stands there is a level of fluid below it.
    """
    x, y = grid(2)
    wide = max(exposure.gas, 1.0)
    low = float(np.interp(62, x[0], floor[0])) + 10 + 0.45 * wide
    inside = 1 - ((x - 62) / wide) ** 2 - ((y - low) / (0.55 * wide)) ** 2
    if exposure.pose == "erect":
        inside = inside * (y < low + 0.2 * wide)
    return 1.6 * exposure.gas * np.sqrt(np.maximum(inside, 0))


def _bowel(exposure: Exposure, top: float, rng: Rng) -> np.ndarray:
    """Chord (mm) through gas in loops of bowel: chains of bubbles below `top` (mm)."""
    x, y = grid(2)
    total = np.zeros((y.size, x.size), np.float32)
    for _ in range(exposure.bowel):
        at = np.array([rng.uniform(-105, 105), top + rng.uniform(28, 110)])
        heading, wide = rng.uniform(0, np.pi), rng.uniform(7, 17)
        for _ in range(int(rng.integers(2, 6))):
            heading += rng.normal(0, 0.5)
            at = at + 1.3 * wide * np.array([np.cos(heading), np.sin(heading)])
            far = ((x - at[0]) ** 2 + (y - at[1]) ** 2) / wide**2
            total = np.maximum(total, 1.4 * wide * np.sqrt(np.maximum(1 - far, 0)))
    return total
