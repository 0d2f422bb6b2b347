"""The skeleton and the airways of a phantom as strokes.

Bone is given as mm of cortical bone along the ray. A ray that crosses a rib from front to back
meets two cortices of a little more than a millimetre each, and thin marrow; a ray that grazes the
rib meets several times as much. Airways are strokes of missing muscle.
"""

import numpy as np

from features.phantom.anatomy import Patient
from features.phantom.exposure import Exposure
from features.phantom.streams import Rng
from features.phantom.strokes import curve, smooth_curve
from features.phantom.tissue import MU_BONE, MU_MUSCLE, rib_cage

# Marrow and cortex of a rib as bands along it: offset from its middle line (share of its height),
# radius and thickness (mm).
RIB_BANDS = (
    *((offset, 1.7, 2.5) for offset in (-0.3, -0.1, 0.1, 0.3)),
    (-0.47, 0.5, 3.7),
    (0.48, 0.5, 4.4),
)


def skeleton(patient: Patient, exposure: Exposure, rng: Rng) -> list[np.ndarray]:
    """Strokes of ribs, spine, clavicles, scapulae and humeri: attenuation above that of muscle.

    `rng` makes the ribs differ from one another; it belongs to the patient, so that each image of
    the patient has the same ribs.
    """
    strokes = [*_ribs(patient, exposure, rng), _spine(patient)]
    for side in range(2):
        strokes += _on_side(_shoulder(patient, exposure, side), side)
    for points in strokes:
        points[3] *= (MU_BONE - MU_MUSCLE) * patient.bone
    return strokes


def airways(exposure: Exposure, patient: Patient) -> list[np.ndarray]:
    """Strokes of air in trachea and main bronchi: negative attenuation."""
    twist = exposure.twist
    carina = (3 + 0.7 * twist, -58.0)
    trachea = [(0.0, patient.apex - 70), (1 + 0.3 * twist, -110.0), carina]
    right = [carina, (-14 + twist, -40.0), (-30 + twist, -26.0)]
    left = [carina, (20 + twist, -42.0), (38 + twist, -34.0)]
    return [
        curve(smooth_curve(trachea), 4.4, -13 * MU_MUSCLE),
        curve(smooth_curve(right), 3.4, -8 * MU_MUSCLE),
        curve(smooth_curve(left), 3.2, -7 * MU_MUSCLE),
    ]


def _on_side(strokes: list[np.ndarray], side: int) -> list[np.ndarray]:
    """Strokes that were drawn on the left, mirrored if `side` is 0 (right), unchanged if 1."""
    for points in strokes:
        points[0] *= (-1, 1)[side]
    return strokes


def _with_mirror(points: np.ndarray) -> list[np.ndarray]:
    """A stroke and its mirror image."""
    mirrored = points.copy()
    mirrored[0] *= -1
    return [points, mirrored]


def _pitch(patient: Patient) -> float:
    """Height of a thoracic segment: vertebra and disc, or rib and space, mm."""
    return (patient.dome_right - patient.apex) / 9.3


def _ribs(patient: Patient, exposure: Exposure, rng: Rng) -> list[np.ndarray]:
    """Ten pairs of ribs, each a little different."""
    steepness = 0.85 if exposure.view == "AP" else 1.0  # rays from further down (lordotic)
    strokes = []
    for number in range(10):
        for side in range(2):
            strokes += _on_side(_rib(patient, steepness, number, rng.standard_normal(5)), side)
    return strokes


def _rib(patient: Patient, steepness: float, number: int, z_scores: np.ndarray) -> list[np.ndarray]:
    """A left rib: a hoop from the spine round the side to the front, tilted downwards.

    `steepness` scales its slope. `z_scores` (5,) are standard deviations by which it differs from
    the mean rib of its number: place, slope, reach to the front, height and mineral.
    """
    start = patient.apex - 4 + number * _pitch(patient) + 1.3 * z_scores[0]
    drop = patient.rib_drop * steepness * min(0.55 + 0.115 * number, 1.2) * (1 + 0.05 * z_scores[1])
    end = np.deg2rad(142 - 3 * max(number - 5, 0) + 5 * z_scores[2])
    turn = np.linspace(0, end, 120)
    level = np.array(max(start + drop / 2, patient.apex + 14))
    half = float(rib_cage(patient, level)) + 3
    across = 15 + (half - 15) * np.sin(turn) ** 0.9
    down = start + drop * (1 - np.cos(turn)) / 2
    behind = turn < np.pi / 2
    down = down - np.where(behind, 2.5 * min(number, 3) * np.sin(2 * turn), 0)
    path = np.minimum(1 / np.maximum(np.abs(np.cos(turn)), 0.35), 2.6) ** 0.2
    fade = np.clip((turn[-1] - turn) / 0.2, 0, 1) * np.where(behind, 1.0, 0.7)
    high = patient.rib_height * np.where(behind, 1, 1.1) * (0.8 if number == 0 else 1)
    high = high * (1 + 0.07 * z_scores[3])
    # The upper ribs are the broadest, and the rays meet their flat side.
    dense = max(1 + 0.12 * z_scores[4], 0.5) * np.interp(number, (0, 4), (1.25, 1.0))
    slope = np.gradient(down) / np.hypot(np.gradient(across), np.gradient(down))
    outward = -0.35 * slope * np.sign(np.gradient(across)) * high
    downward = (1 - 0.65 * slope**2) * high
    # Where a rib turns to the front, its bands overlap.
    fade = fade * (1 - 0.6 * np.square(np.square(slope)))
    strokes = []
    for offset, radius, bone in RIB_BANDS:
        xy = np.stack([across + offset * outward, down + offset * downward], axis=1)
        strokes.append(curve(xy, radius, dense * bone * path * fade))
    return strokes


def _spine(patient: Patient) -> np.ndarray:
    """Vertebrae with end plates, side walls, pedicles and spinous processes: one repeated."""
    pitch = _pitch(patient)
    half, tall = 17.0, 0.41 * pitch
    ring = np.linspace(0, 2 * np.pi, 20)
    vertebra = [
        curve(np.array([[-half, h * tall], [half, h * tall]]), 3.4, 3.4) for h in (-0.6, 0, 0.6)
    ]
    for end in (-tall, tall):
        plate = [(-half - 1, 1.05 * end), (0, 0.9 * end), (half + 1, 1.05 * end)]
        vertebra.append(curve(smooth_curve(plate, 12), 0.7, 3.0))
    side = [(half + 0.5, -tall), (half - 1.5, 0), (half + 0.5, tall)]
    pedicle = np.stack([half - 5 + 2.4 * np.cos(ring), -3 + 3.6 * np.sin(ring)], axis=1)
    vertebra += _with_mirror(curve(smooth_curve(side, 12), 0.7, 3.0))
    vertebra += _with_mirror(curve(pedicle, 0.7, 2.5))
    vertebra.append(curve(np.array([[0.0, 4.0], [0.0, 12.0]]), 2.0, 4.0))
    points = np.concatenate(vertebra, axis=1)
    k = np.arange(-4, 16)[:, None]
    middle = patient.apex - 6 + (k + 0.5) * pitch
    scale = 0.72 + 0.026 * np.clip(k + 4, 0, 15)
    x = points[0] * scale + patient.scoliosis * np.sin(middle / 70)
    y = points[1] + middle
    radius, mass = np.broadcast_to(points[2], x.shape), points[3] * scale
    return np.stack([part.ravel() for part in (x, y, radius, mass)]).astype(np.float32)


def _shoulder(patient: Patient, exposure: Exposure, side: int) -> list[np.ndarray]:
    """Clavicle, scapula and humerus of one side, drawn as the left."""
    size = patient.half_width / 133
    up = exposure.shrug[side]
    high = patient.apex + 24 - 0.6 * up
    middle = [(19 * size, patient.apex + 38), (62 * size, high + 4), (105 * size, high - 22),
              (150 * size, high - 33 - 0.4 * up), (190 * size, high - 24 - 0.4 * up)]  # fmt: skip
    axis = smooth_curve(middle)
    wide = 1 + 0.25 * np.cos(np.linspace(0, 2 * np.pi, len(axis)))
    across = np.stack([0 * wide, wide], axis=1)
    strokes = [
        curve(axis + offset * across, radius, bone)
        for offset, radius, bone in [
            (-2, 1.9, 6.0),
            (2, 1.9, 6.0),
            (-4.8, 0.6, 5.4),
            (4.8, 0.6, 5.8),
        ]
    ]
    edge = float(rib_cage(patient, np.array(20.0))) - exposure.scapula[side]
    inner = smooth_curve([(edge + 16, high + 10), (edge, high + 55), (edge + 6, high + 118),
                          (edge + 15, high + 134)])  # fmt: skip
    outer = smooth_curve([(edge + 66, high + 14), (edge + 34, high + 90), (edge + 15, high + 134)])
    strokes += [curve(inner, 0.8, 3.0), curve(outer, 1.4, 7.0)]
    for share in np.linspace(0.08, 0.92, 9):
        strokes.append(curve(inner * (1 - share) + outer * share, 3.2, 1.2))
    ridge = smooth_curve([(edge + 10, high + 26), (edge + 40, high + 2), (168 * size, high - 22)])
    strokes.append(curve(ridge, 1.6, 5.5))
    joint = max(edge + 74, 170 * size)
    turn = np.linspace(-2.6, 2.6, 40)
    head = np.stack([joint + 22 * np.sin(turn), high + 18 - 22 * np.cos(turn)], axis=1)
    shaft = np.array([[joint + 6, high + 36], [joint + 40 + exposure.arms, high + 240]])
    strokes.append(curve(head, 1.0, 4.0))
    for offset in (-9.0, 9.0):
        strokes.append(curve(shaft + np.array([offset, 0.0]), 1.3, 8.5))
    for offset in (-14.0, -5.0, 5.0, 14.0):
        column = np.array([[joint + offset, high + 2], [joint + offset, high + 38]])
        strokes.append(curve(column, 3.4, 4.0))
        strokes.append(curve(shaft + np.array([0.5 * offset, 0.0]), 2.4, 2.0))
    return strokes
