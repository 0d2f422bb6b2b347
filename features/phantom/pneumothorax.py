"""Pleural air in a phantom: where it lies, how dense the collapsed lung is, the pleural line.

Where a lung has collapsed, air lies between its edge and the chest wall, and the lung gets denser.
Anteromedial air lies in front of the lung instead: lung and vessels stay and look darker.
"""

import numpy as np
from scipy import ndimage

from features.phantom.lung_shape import Lung
from features.phantom.strokes import PITCH, grid, sample, stroke
from features.phantom.tissue import MU_MUSCLE

THINNEST = 3.0  # mm of air between chest wall and lung, below which no reader outlines it
DENSEST = 2.2  # how many times denser a lung gets at most that loses its air
IN_FRONT = 0.75  # share of the lung's depth that anteromedial air may take


def pleural_air(lung: Lung) -> np.ndarray:
    """Coverage (0..1) of each pixel by pleural air, (SIDE, SIDE).

    The air fills the lung field beyond the lung's edge. Anteromedial air fills a strip beside the
    mediastinum.
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


def density_with_air(lung: Lung, density: np.ndarray) -> np.ndarray:
    """Density along the rays (g/cm3), (SIDE, SIDE), with pleural air in the place of lung.

    `density` is that of the lung without pneumothorax.
    """
    collapse = lung.collapse
    if collapse is None:
        return density
    if collapse.kind == "anteromedial":  # the lung behind it stays
        return (density + collapse.injury) * (1 - IN_FRONT * collapse.air * pleural_air(lung))
    assert lung.distance is not None and lung.reach_map is not None and lung.edge_map is not None
    gap = lung.reach_map - lung.edge_map
    share = lung.distance / np.maximum(lung.edge_map, 1)
    inner = 1 - np.square(np.square(np.square(np.minimum(share, 1))))
    mix = np.clip(gap / 6, 0, 1)
    filled = 1 - mix * collapse.air * (1 - np.sqrt(inner))
    area = float(np.square(lung.edge).mean() / np.square(lung.reach).mean())
    mean = float(np.average(density, weights=lung.field))
    squeezed = min(area**-collapse.blood, DENSEST)
    # Denser, but no coarser; also where the lung lies in front of or behind heart and diaphragm.
    collapsed = density + mean * (squeezed - 1) + collapse.injury
    with_air = filled * (collapsed + (share > 1) * mix * (mean - collapsed))
    return collapsed + lung.field * (with_air - collapsed)  # air only where the mask has it


def pleural_line(lung: Lung) -> np.ndarray:
    """The edge of the collapsed lung as a stroke: the visceral pleura, which the rays graze."""
    assert lung.collapse is not None
    if lung.collapse.kind == "anteromedial":
        start, width = _recess(lung)
        x, y = (lung.sign * (start + width)).ravel(), grid()[1].ravel()
        gap = width.ravel()
    else:
        angle = np.linspace(-np.pi, np.pi, 1800)
        reach, edge = (np.interp(angle, lung.angles, polar) for polar in (lung.reach, lung.edge))
        x = lung.hilum[0] + lung.sign * edge * np.sin(angle)
        y = lung.hilum[1] - edge * np.cos(angle)
        gap = reach - edge
    peak = lung.collapse.line * MU_MUSCLE * np.clip((gap - 2) / 4, 0, 1) * sample(lung.field, x, y)
    spacing = np.hypot(np.gradient(x), np.gradient(y))
    spacing[spacing > 3 * np.median(spacing)] = 0  # where the lung's edge jumps
    return stroke(x, y, np.full(x.size, 0.45), peak, spacing)
