"""The vessels of a phantom's lungs: a random tree for each lung, drawn as strokes.

The tree belongs to the patient, so it is the same in each of the patient's images. Where the lung
has collapsed, its vessels are pulled back with its edge.
"""

import numpy as np

from features.phantom.anatomy import Patient
from features.phantom.lung_shape import Lung
from features.phantom.streams import Rng
from features.phantom.strokes import sample, stroke
from features.phantom.tissue import MU_MUSCLE


def vessels(
    lung: Lung, rng: Rng, patient: Patient, chord: np.ndarray, pose: str
) -> list[np.ndarray]:
    """The lung's vessels as strokes, pulled back with the lung's edge where it has collapsed.

    They fade where `chord`, the chord of the lungs (mm), ends. In a patient who stands the lower
    ones are wider than the upper ones.
    """
    strokes = []
    gravity = 0.25 if pose == "erect" else 0.0
    for xy, radius in vessel_tree(rng, patient.vascularity, float(np.median(lung.reach)), gravity):
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


def vessel_tree(
    rng: Rng, calibre: float, reach: float, gravity: float = 0.0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """A random tree of vessels: branches that fork, bend and get thinner towards the pleura.

    Parameters
    ----------
    calibre : float
        Relative calibre of all vessels.
    reach : float
        Typical distance from hilum to pleura, mm.
    gravity : float
        Share by which vessels that lead straight down are wider, and vessels that lead straight up
        narrower.

    Returns
    -------
    list of (xy, radius)
        One entry a generation: points (branches, n, 2) in mm from the hilum, laterally and
        downwards, 0.6 mm apart or closer, and their radii (branches, n) in mm.
    """
    roots = 14
    angle = np.linspace(-1.75, 1.75, roots) + rng.normal(0, 0.1, roots)
    start = np.zeros((roots, 2))
    start[:, 1] = np.linspace(-12, 14, roots)
    radius = rng.uniform(1.7, 3.0, roots) * calibre * (1 + gravity * np.sin(angle))
    length = reach * rng.uniform(0.2, 0.34, roots)
    generations = []
    for _ in range(6):
        n = max(int(length.max() / 0.6), 4)
        along = np.linspace(0, 1, n)
        bend = rng.normal(0, 0.35, angle.size)[:, None] * along
        heading = (
            angle[:, None] + bend + 0.12 * np.sin(2 * np.pi * (along + rng.random((angle.size, 1))))
        )
        step = (length / n)[:, None]
        xy = start[:, None] + np.stack(
            [np.cumsum(np.cos(heading) * step, 1), np.cumsum(np.sin(heading) * step, 1)], axis=-1
        )
        calibres = radius[:, None] * (1 - 0.25 * along)
        generations.append((xy, np.broadcast_to(calibres, xy.shape[:2])))
        side = rng.choice([-1, 1], angle.size)
        fork = rng.uniform(0.2, 0.75, (2, angle.size)) * np.stack([side, -side])
        fork[0] *= 0.6
        start = np.concatenate([xy[:, -1], xy[:, -1]])
        angle = np.concatenate([heading[:, -1] + fork[0], heading[:, -1] + fork[1]])
        radius = np.concatenate([radius * 0.8, radius * rng.uniform(0.55, 0.75, radius.size)])
        length = np.concatenate([length, length]) * rng.uniform(0.62, 0.95, angle.size)
    return generations
