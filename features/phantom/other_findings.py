"""Findings that look like a pneumothorax or hide one: other disease, and lines on the skin.

They have a random stream of their own, so they are as frequent in healthy lungs as in collapsed
ones. `difficulty` makes them more frequent in both.
"""

from dataclasses import dataclass

import numpy as np

from features.phantom.anatomy import Patient
from features.phantom.exposure import Exposure
from features.phantom.lung_shape import Lung, side_share
from features.phantom.pneumothorax import pleural_air
from features.phantom.streams import DIFFICULTY, Rng
from features.phantom.strokes import PITCH, SIDE, curve, grid, smooth_curve
from features.phantom.tissue import MU_MUSCLE, MU_WATER, rib_cage

SIDES = ("right", "left")
# Kinds of pneumothorax whose air meets the fluid of an effusion, so that the fluid has a level.
WITH_LEVEL = ("apical", "lateral", "large", "tension")


@dataclass(frozen=True)
class Opacity:
    """A consolidation or an atelectasis: more water in a part of one lung."""

    side: str
    turn: float  # direction from the hilum, radians from straight up, turning laterally
    share: float  # distance from the hilum, share of the way to the chest wall
    radius: tuple[float, float]  # half axes, mm
    density: float  # g/cm3 above that of the lung


@dataclass(frozen=True)
class Bulla:
    """A bubble in the lung with a thin wall, which curves the other way than a pneumothorax's."""

    side: str
    turn: float  # as of an `Opacity`
    share: float  # as of an `Opacity`
    radius: float  # mm
    empty: float  # share of the lung along the ray that is air, 0..1


@dataclass(frozen=True)
class Findings:
    """Look-alikes and other disease of one study."""

    opacities: tuple[Opacity, ...]
    bullae: tuple[Bulla, ...]
    # Height of an effusion in the right, left costophrenic angle of a patient who stands, mm. In a
    # patient who lies, as much fluid lies behind the lung.
    fluid: tuple[float, float]
    coarseness: float  # of the lungs' texture, relative: about 1 in health, more in scarred lungs
    oedema: float  # water about the hila, g/cm3
    creases: tuple[float, ...]  # thickness of folds in clothing and sheets, and hair: mm of muscle
    skin_air: tuple[float, float]  # streaks of air under the skin, right and left, mm


def sample_findings(seed: int | np.random.SeedSequence, difficulty: float = DIFFICULTY) -> Findings:
    """Draw the findings; their number grows with `difficulty` (0..1), 0 for none."""
    rng = np.random.default_rng(seed)
    opacities = tuple(_opacity(rng) for _ in range(min(int(rng.poisson(2.2 * difficulty)), 5)))
    bullae = tuple(_bulla(rng) for _ in range(min(int(rng.poisson(0.25 * difficulty)), 3)))
    wet = rng.random(2) < 0.5 * difficulty
    height = rng.uniform(12, 75, 2)
    swollen = rng.random() < 0.4 * difficulty
    oedema = float(rng.uniform(0.02, 0.16)) * swollen
    count = min(int(rng.poisson(2.4 * difficulty)), 6)
    creases = tuple(rng.uniform(0.6, 3.5, count).tolist())
    streaky = rng.random(2) < 0.1 * difficulty
    air = rng.uniform(5.0, 18.0, 2)
    scarred = rng.random() < 0.6 * difficulty
    coarseness = float(rng.uniform(0.8, 1.2) + scarred * rng.uniform(0.1, 0.9))
    return Findings(
        opacities,
        bullae,
        (float(wet[0] * height[0]), float(wet[1] * height[1])),
        coarseness,
        oedema,
        creases,
        (float(streaky[0] * air[0]), float(streaky[1] * air[1])),
    )


def _opacity(rng: Rng) -> Opacity:
    return Opacity(
        side=str(rng.choice(SIDES)),
        turn=float(rng.uniform(0.2, 2.6)),
        share=float(rng.uniform(0.25, 0.85)),
        radius=(float(rng.uniform(12, 55)), float(rng.uniform(10, 45))),
        density=float(rng.uniform(0.04, 0.45)),
    )


def _bulla(rng: Rng) -> Bulla:
    return Bulla(
        side=str(rng.choice(SIDES)),
        turn=float(rng.uniform(0.0, 1.4)),
        share=float(rng.uniform(0.55, 0.95)),
        radius=float(rng.uniform(10, 34)),
        empty=float(rng.uniform(0.3, 0.75)),
    )


def _centre(lung: Lung, turn: float, share: float) -> tuple[float, float]:
    """Place (mm) at a share of the way from the hilum to the lung's edge."""
    reach = share * float(np.interp(turn, lung.angles, lung.edge))
    x = lung.hilum[0] + lung.sign * reach * float(np.sin(turn))
    return x, lung.hilum[1] - reach * float(np.cos(turn))


def added_water(findings: Findings, fields: tuple[Lung, Lung], texture: np.ndarray) -> np.ndarray:
    """Water (g/cm3) that opacities, oedema and scars add to the lungs, (SIDE, SIDE).

    `texture` makes it patchy. In lungs whose texture is finer than usual it is a little below 0.
    """
    x, y = grid()
    extra = np.full((y.size, x.size), 0.03 * (findings.coarseness - 1), np.float32)
    for side, lung in zip(SIDES, fields, strict=True):
        for opacity in findings.opacities:
            if opacity.side != side:
                continue
            at = _centre(lung, opacity.turn, opacity.share)
            far = ((x - at[0]) / opacity.radius[0]) ** 2 + ((y - at[1]) / opacity.radius[1]) ** 2
            extra += opacity.density * np.exp(-far * np.maximum(1 + 0.35 * texture, 0.2))
        if findings.oedema:
            far = ((x - lung.hilum[0]) / 55) ** 2 + ((y - lung.hilum[1] - 20) / 65) ** 2
            extra += findings.oedema * np.exp(-far) * np.maximum(1 + 0.2 * texture, 0)
    return extra


def effusions(findings: Findings, fields: tuple[Lung, Lung], pose: str) -> np.ndarray:
    """Water (g/cm3) of effusions, which lie in the place of lung or behind it, (SIDE, SIDE)."""
    y = grid()[1]
    extra = np.zeros((SIDE, SIDE), np.float32)
    for lung, height in zip(fields, findings.fluid, strict=True):
        if height and pose == "supine":  # spread out behind the lung, thickest at its base
            extra += 0.002 * height / (1 + np.exp(-y / 40)) * side_share(lung)
        elif height:
            depth = (y - fluid_level(lung, height)) / (1.0 if _has_level(lung) else 5.0)
            filled = 0.6 / (1 + np.exp(-np.clip(depth, -30, 30))) * side_share(lung)
            if lung.collapse is not None and not _has_level(lung):
                filled = filled * (1 - pleural_air(lung))
            extra += filled
    return extra


def _has_level(lung: Lung) -> bool:
    """Whether air and fluid meet; they do not where the air is walled off or below the lung."""
    return lung.collapse is not None and lung.collapse.kind in WITH_LEVEL


def fluid_level(lung: Lung, height: float) -> np.ndarray | float:
    """Level y (mm) of an effusion in a patient who stands, `height` mm above the lung's floor.

    The fluid climbs along the chest wall as a meniscus, (SIDE, SIDE). Below pleural air its level
    is flat, a number.
    """
    x, y = grid()
    floor = float(y[np.flatnonzero((lung.field > 0.5).any(axis=1))[-1], 0])
    if _has_level(lung):
        return floor - height
    lateral = np.clip(lung.sign * (x - lung.hilum[0]) / 80, 0, 1)
    return floor - height * (0.55 + 0.45 * lateral**3)


def above_fluid(findings: Findings, lung: Lung, pose: str) -> np.ndarray | float:
    """Share (0..1) of each pixel where pleural air is not replaced by fluid, (SIDE, 1), or 1."""
    height = findings.fluid[(lung.sign + 1) // 2]
    if not height or pose == "supine" or not _has_level(lung):
        return 1.0
    return np.clip((fluid_level(lung, height) - grid()[1]) / PITCH + 0.5, 0, 1)


def bullae_density(findings: Findings, fields: tuple[Lung, Lung]) -> np.ndarray | float:
    """Share of the lung's density that remains where bullae lie, (SIDE, SIDE), or 1."""
    x, y = grid()
    remaining: np.ndarray | float = 1.0
    for bulla in findings.bullae:
        at = _centre(fields[SIDES.index(bulla.side)], bulla.turn, bulla.share)
        far = ((x - at[0]) ** 2 + (y - at[1]) ** 2) / bulla.radius**2
        remaining = remaining * (1 - bulla.empty * np.sqrt(np.maximum(1 - far, 0)))
    return remaining


def walls_and_creases(
    findings: Findings, fields: tuple[Lung, Lung], patient: Patient, rng: Rng
) -> list[np.ndarray]:
    """Strokes of the walls of bullae, and of creases in clothing across the chest."""
    strokes = []
    for bulla in findings.bullae:
        x, y = _centre(fields[SIDES.index(bulla.side)], bulla.turn, bulla.share)
        turn = np.linspace(0, 2 * np.pi, 60)
        wall = np.stack([x + bulla.radius * np.sin(turn), y - bulla.radius * np.cos(turn)], 1)
        strokes.append(curve(wall, 0.5, 2.5 * MU_WATER))
    for thickness in findings.creases:
        x, bend = rng.uniform(-1, 1, 2) * (patient.half_width, 25)
        top, length, slant = rng.uniform(-150, 60), rng.uniform(50, 200), rng.normal(0, 0.35)
        path = [
            (x, top),
            (x + 0.5 * slant * length + bend, top + 0.5 * length),
            (x + slant * length, top + length),
        ]
        strokes.append(
            curve(smooth_curve(path), float(rng.uniform(0.45, 1.0)), thickness * MU_MUSCLE)
        )
    return strokes


def air_under_skin(findings: Findings, patient: Patient, rng: Rng) -> list[np.ndarray]:
    """Strokes of subcutaneous emphysema: streaks of air along the chest wall's muscles.

    In the lateral wall they run down the ribs; over the upper chest they fan out from the armpit
    with the fibres of the great pectoral muscle.
    """
    strokes = []
    for sign, air in zip((-1, 1), findings.skin_air, strict=True):
        for _ in range(36 if air else 0):
            y = rng.uniform(-115, 60) + np.linspace(0, rng.uniform(20, 75), 8)
            x = rib_cage(patient, y) + 4 + rng.uniform(0.1, 0.8) * patient.wall
            x = x + np.cumsum(rng.normal(0, 0.8, 8))
            strokes.append(_streak(rng, sign * x, y, air))
        armpit = np.array([1.02 * patient.half_width, patient.apex + 62])
        for _ in range(22 if air else 0):
            middle = np.array([rng.uniform(20, 75), rng.uniform(-95, 15)])
            start, end = np.sort(rng.uniform(0.05, 0.95, 2))
            along = np.linspace(float(start), float(end), 8)[:, None]
            x, y = (armpit + along * (middle - armpit)).T
            strokes.append(_streak(rng, sign * x, y + np.cumsum(rng.normal(0, 0.6, 8)), 0.6 * air))
    return strokes


def _streak(rng: Rng, x: np.ndarray, y: np.ndarray, air: float) -> np.ndarray:
    """One streak of air, thickest in its middle."""
    profile = np.sin(np.linspace(0.15, np.pi - 0.15, x.size))
    depth = air * float(rng.uniform(0.4, 1.2)) * profile
    return curve(np.stack([x, y], 1), float(rng.uniform(0.6, 1.7)), -depth * MU_MUSCLE)


def skin_folds(patient: Patient, exposure: Exposure, rng: Rng) -> np.ndarray:
    """Attenuation of skin folds, (SIDE, SIDE): a sharp inner edge that fades on its outer side.

    They follow from the exposure, not from the findings.
    """
    x, y = grid()
    total = np.zeros((y.size, x.size), np.float32)
    for sign, folded in zip((-1, 1), exposure.fold, strict=True):
        draws = rng.random(5)
        if not folded:
            continue
        middle = -60 + 100 * draws[0]
        start = (0.52 + 0.33 * draws[1]) * patient.half_width
        edge = start + (0.5 * draws[2] - 0.15) * (y - middle) - 0.0016 * (y - middle) ** 2
        outward = sign * x - edge
        ends = 1 / (1 + np.exp((np.abs(y - middle) - 55 - 35 * draws[3]) / 6))
        sheet = np.exp(-np.maximum(outward, 0) / 22) * np.clip(outward / 1.2, 0, 1)
        total += (5 + 6 * draws[4]) * MU_MUSCLE * sheet * ends
    return total
