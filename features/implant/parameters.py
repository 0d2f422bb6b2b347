"""What is put into an X-ray: kind, side, depth and place of the air, lung and pleural line.

Pleural air is described as that of a phantom, see `features.phantom.collapse`, so that the shapes
are the same. Kinds that change more than a lung (tension, a deep sulcus) or cannot be outlined by
the lung's edge (anteromedial air) are left out.
"""

from dataclasses import dataclass

import numpy as np

from features.phantom.collapse import Collapse, Kind
from features.phantom.streams import Rng


@dataclass(frozen=True)
class Parameters:
    """A pneumothorax to put into an X-ray."""

    collapse: Collapse  # `shift` is 0: the mediastinum stays
    density: float  # of the aerated lung, g/cm3; says how much darker air is than it
    clearness: float  # share of the lung's markings that is gone where the air is, 0..1
    grain: float  # of the film in the air, relative to that over the lung
    sharpness: float  # factor by which the display enhances what is small
    faintness: float  # share of its strength that the line loses where it is faintest, 0..1


@dataclass(frozen=True)
class _KindRanges:
    """How often a kind is drawn, and the ranges of its form, as of `Collapse`."""

    share: float
    depth: tuple[float, float]  # mm, drawn evenly in its logarithm
    centre: tuple[float, float]  # radians
    spread: tuple[float, float]  # radians


# Frequencies and forms follow those of phantoms in patients who stand; depths begin at 2 mm, about
# the least that a reader can outline, and end where the whole lung has come off.
_RANGES: dict[Kind, _KindRanges] = {
    "apical": _KindRanges(0.44, (2, 80), (0.05, 0.5), (0.4, 1.3)),
    "lateral": _KindRanges(0.17, (2, 50), (0.8, 1.5), (0.8, 1.6)),
    "basal": _KindRanges(0.09, (3, 55), (1.8, 2.2), (0.6, 1.3)),
    "subpulmonic": _KindRanges(0.05, (4, 30), (2.4, 2.7), (0.6, 0.9)),
    "large": _KindRanges(0.25, (30, 200), (0.5, 1.4), (1.6, 2.8)),
}
KINDS = tuple(_RANGES)


def sample(rng: Rng) -> Parameters:
    """Draw a pneumothorax from the distribution of `_RANGES`.

    Parameters
    ----------
    rng : Generator
        The same state gives the same pneumothorax.
    """
    shares = np.array([ranges.share for ranges in _RANGES.values()])
    kind = KINDS[rng.choice(len(KINDS), p=shares / shares.sum())]
    ranges = _RANGES[kind]
    low, high = ranges.depth
    collapse = Collapse(
        side="right" if rng.random() < 0.55 else "left",
        kind=kind,
        depth=float(low * (high / low) ** rng.random()),
        centre=float(rng.uniform(*ranges.centre)),
        spread=float(rng.uniform(*ranges.spread)),
        air=float(rng.uniform(0.4, 0.95)),
        blood=float(rng.uniform(0.1, 0.9)),
        injury=min(float(rng.exponential(0.05)), 0.3),
        line=float(rng.uniform(4, 20)),
        shift=0.0,
        wiggle=float(rng.uniform(0, 2 * np.pi)),
    )
    return Parameters(
        collapse,
        density=float(rng.uniform(0.18, 0.34)),
        clearness=float(rng.uniform(0.1, 0.7)),
        grain=float(rng.uniform(1.0, 1.4)),
        sharpness=float(rng.uniform(1.0, 1.5)),
        faintness=float(rng.uniform(0, 0.8)),
    )
