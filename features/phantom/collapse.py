"""The pneumothorax of a phantom as parameters: kind, side, depth and place of the pleural air."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.phantom.streams import DIFFICULTY

Kind = Literal[
    "apical",
    "lateral",
    "basal",
    "subpulmonic",
    "loculated",
    "large",
    "tension",
    "deep sulcus",
    "anteromedial",
]


@dataclass(frozen=True)
class Collapse:
    """A pneumothorax: the pleural air is widest at `centre`, `depth` mm from chest wall to lung.

    Anteromedial air lies beside the mediastinum instead. There `depth` is its width; `centre` and
    `spread` are shares of the lung's height: `centre` from the apex down to where the air begins,
    `spread` from there down to where it is widest.
    """

    side: Literal["right", "left"]
    kind: Kind
    depth: float  # mm
    centre: float  # radians from straight up, turning laterally
    spread: float  # half of its angular extent, radians
    air: float  # share of the beam's way through the rim that is air, 0..1
    # How much of its blood the lung keeps, 0..1: exponent by which its density grows as its area
    # shrinks.
    blood: float
    injury: float  # what bleeding and atelectasis add to the lung's density, g/cm3
    line: float  # thickness of the pleural line along the beam, mm of soft tissue
    shift: float  # mm the mediastinum is pushed to the other side
    wiggle: float  # phase of the lung edge's undulation, radians

    @property
    def sign(self) -> int:
        """-1 for the right lung (left in the image), +1 for the left."""
        return 1 if self.side == "left" else -1


@dataclass(frozen=True)
class _KindRanges:
    """How often a kind occurs in each pose, and the ranges from which its form is drawn."""

    erect: float  # share of the pneumothoraces in patients who stand
    supine: float  # share in patients who lie on their back
    depth: tuple[float, float]  # mm from the chest wall
    centre: tuple[float, float]  # as of a `Collapse`
    spread: tuple[float, float]  # as of a `Collapse`


# In patients who lay, 38% of the pneumothoraces were in the anteromedial recess, 26% under the lung
# and 22% at apex and side (Tocino, Miller and Fairfax, AJR 144:901, 1985). The shares here are a
# little smaller, since some pneumothoraces are large.
_RANGES: dict[Kind, _KindRanges] = {
    "apical": _KindRanges(0.47, 0.16, (8, 80), (0.05, 0.45), (0.4, 1.2)),
    "lateral": _KindRanges(0.14, 0.08, (9, 50), (0.9, 1.5), (0.8, 1.6)),
    "basal": _KindRanges(0.09, 0.02, (10, 55), (1.8, 2.2), (0.6, 1.3)),
    "subpulmonic": _KindRanges(0.03, 0.04, (8, 30), (2.4, 2.7), (0.6, 0.9)),
    "loculated": _KindRanges(0.07, 0.04, (14, 50), (0.3, 2.3), (0.35, 0.7)),
    "large": _KindRanges(0.15, 0.06, (35, 120), (0.6, 1.4), (1.6, 2.7)),
    "tension": _KindRanges(0.05, 0.04, (60, 125), (0.7, 1.4), (2.4, 2.9)),
    "deep sulcus": _KindRanges(0.0, 0.22, (14, 50), (2.0, 2.4), (0.6, 1.1)),
    "anteromedial": _KindRanges(0.0, 0.34, (10, 40), (0.05, 0.45), (0.15, 0.5)),
}


def sample_collapse(
    seed: int | np.random.SeedSequence, difficulty: float = DIFFICULTY, pose: str = "erect"
) -> Collapse:
    """Draw a pneumothorax; a few more on the right, and in patients who stand most often apical.

    With `difficulty` (0..1) they get smaller and their pleural line fainter. More of them lie in
    front of the lung or behind it, so that the ray crosses less air.
    """
    rng = np.random.default_rng(seed)
    shares = np.array([getattr(ranges, pose) for ranges in _RANGES.values()])
    kind = list(_RANGES)[rng.choice(len(shares), p=shares / shares.sum())]
    ranges = _RANGES[kind]
    hard = difficulty * rng.random(3)
    tension = kind == "tension"
    low, high = ranges.depth
    # Small ones are the most frequent: half of the challenge's masks cover less than 0.84% of the
    # image.
    depth = low * (high / low) ** rng.random() * (1 - (0.3 if tension else 0.7) * hard[0])
    shrinks = kind in ("apical", "lateral", "basal", "subpulmonic", "large")
    return Collapse(
        side="right" if rng.random() < 0.55 else "left",
        kind=kind,
        depth=max(float(depth), 7.0),
        centre=float(rng.uniform(*ranges.centre)),
        spread=float(rng.uniform(*ranges.spread) * (1 - (0.8 if shrinks else 0.0) * hard[0])),
        air=float(rng.uniform(0.75, 0.99) * (1 - 0.6 * hard[1])),
        blood=float(rng.uniform(0.1, 0.9)),
        injury=min(float(rng.exponential(0.05)), 0.3),
        line=float(rng.uniform(3, 10) * (1 - 0.7 * hard[2])),
        shift=float(max(0.0, rng.normal(0.3 if tension else 0.08, 0.08)) * depth),
        wiggle=float(rng.uniform(0, 2 * np.pi)),
    )
