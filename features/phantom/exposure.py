"""The exposure of a phantom: positioning, tubes, detector and display, new for each image.

Coordinates are those of `features.phantom.anatomy`.
"""

from dataclasses import dataclass

import numpy as np

from features.phantom.streams import DIFFICULTY, Rng, normal


@dataclass(frozen=True)
class Exposure:
    """One exposure: positioning, what lies on and in the patient, detector and display."""

    view: str  # "PA" | "AP"
    pose: str  # "erect" | "supine"; PA views are erect
    field_mm: float  # side of the square image at the patient
    angle: float  # rotation of the patient in the image, radians
    shift: tuple[float, float]  # of the image centre in the patient, mm
    inspiration: float  # mm the diaphragm stands higher than at full inspiration
    twist: float  # mm the mediastinum is projected sideways by a turned patient
    magnification: float  # of the heart, factor
    arms: float  # mm between chest and arm
    spread: float  # mm outwards per mm downwards: how far the arms are held out
    chin: tuple[float, float]  # place of the head: mm to the left, mm above the neck
    scapula: tuple[float, float]  # mm the right, left scapula's edge reaches into the lung field
    shrug: tuple[float, float]  # mm the right, left shoulder stands higher than usual
    haze: tuple[float, float]  # extra water in the lower right, left lung, g/cm3
    # Of the right, left lung's density: share more 100 mm below the hilum, and 60 mm outwards.
    aeration: tuple[tuple[float, float], tuple[float, float]]
    perfusion: tuple[float, float]  # share by which the right, left lung is denser than usual
    tilt: float  # share by which the trunk is thicker 100 mm to the patient's left
    gas: float  # half the width of the stomach's air bubble, 0 for none, mm
    bowel: int  # loops of bowel with air in them
    leads: int  # monitoring wires on the skin
    tracheal_tube: bool
    gastric_tube: bool
    central_line: bool
    drain: tuple[bool, bool]  # chest drain on the right, left
    fold: tuple[bool, bool]  # skin fold over the right, left lung
    blur: float  # penumbra of the focal spot, and motion: standard deviation, mm
    photons: float  # detected per pixel where nothing attenuates, in 1000s
    scatter: float  # scattered to primary radiation behind the grid, mean over the image
    compression: float  # of large-scale contrast by the display processing, factor
    sharpening: float  # of fine contrast, factor
    window: tuple[float, float]  # shift of the display window's ends, share of its width
    gamma: float  # of the display curve, exponent
    white: float  # grey level of the densest tissue, of 255
    marker: str  # burnt-in text at the side
    captions: tuple[str, ...]  # further burnt-in text
    collimation: tuple[float, float, float, float]  # black rim, share of the side


def sample_exposure(seed: int | np.random.SeedSequence, difficulty: float = DIFFICULTY) -> Exposure:
    """Draw one exposure; bedside (AP) films have more tubes, scatter and larger hearts than PA.

    The share of AP views, 40%, is that of the challenge's training set; half of them are taken
    lying. A patient who lies has higher domes, a wider mediastinum and higher shoulders. With
    `difficulty` (0..1) there are more skin folds, more drains, and more lungs that differ from one
    another.
    """
    rng = np.random.default_rng(seed)
    bedside = bool(rng.random() < 0.4)
    supine = bedside and bool(rng.random() < 0.5)
    tube_factor = 2.2 if bedside else 0.5
    side = rng.choice(["R", "L"])
    dome_rise = 34 if supine else 20 if bedside else 9  # mm, mean of `inspiration`
    slope = -0.02 if supine else 0.03  # in a patient who stands, blood sinks to the bases
    uneven = 0.05 + 0.175 * difficulty
    return Exposure(
        view="AP" if bedside else "PA",
        pose="supine" if supine else "erect",
        field_mm=normal(rng, 364 if bedside else 350, 26, 285, 430),
        angle=rng.normal(0, np.deg2rad(4.5 if bedside else 1.8)),
        shift=(rng.normal(0, 14 if bedside else 9), rng.normal(0 if bedside else -8, 20)),
        inspiration=normal(rng, dome_rise, 16 if bedside else 11, -8, 75),
        twist=rng.normal(0, 7 if bedside else 3),
        magnification=normal(rng, 1.16 if supine else 1.1 if bedside else 1.0, 0.03, 0.95, 1.25),
        arms=normal(rng, 16, 12, -10, 50),
        spread=normal(rng, 0.12, 0.12, -0.05, 0.6),
        chin=(rng.normal(0, 14), normal(rng, 128 if bedside else 150, 18, 90, 190)),
        scapula=_pair(rng, normal(rng, 18 if supine else 13 if bedside else 0, 9, -25, 40), 6),
        shrug=_pair(rng, 7.0 if supine else 0.0, 5),
        haze=_rare_pair(rng, 0.625 * difficulty, 0.09),
        aeration=(
            (rng.normal(slope, uneven), rng.normal(0, uneven)),
            (rng.normal(slope, uneven), rng.normal(0, uneven)),
        ),
        perfusion=_perfusion(rng, (1.25 if bedside else 0.75) * difficulty),
        tilt=rng.normal(0, 0.035 if bedside else 0.02),
        gas=float(rng.uniform(12, 40)) if rng.random() < 0.6 else 0.0,
        bowel=int(rng.poisson(2.5)),
        leads=int(rng.poisson(1.4 * tube_factor)),
        tracheal_tube=bool(rng.random() < 0.1 * tube_factor),
        gastric_tube=bool(rng.random() < 0.1 * tube_factor),
        central_line=bool(rng.random() < 0.15 * tube_factor),
        drain=(
            bool(rng.random() < 0.1 * tube_factor * difficulty),
            bool(rng.random() < 0.1 * tube_factor * difficulty),
        ),
        fold=(
            bool(rng.random() < 0.24 * tube_factor * difficulty),
            bool(rng.random() < 0.24 * tube_factor * difficulty),
        ),
        blur=normal(rng, 0.42 if bedside else 0.2, 0.12, 0.05, 0.9),
        photons=float(np.exp(rng.normal(np.log(14 if bedside else 22), 0.5))),
        scatter=normal(rng, 0.5 if bedside else 0.35, 0.1, 0.15, 0.8),
        compression=normal(rng, 0.72, 0.1, 0.5, 0.95),
        sharpening=normal(rng, 1.35, 0.25, 0.9, 2.0),
        window=(rng.normal(-0.05, 0.07), normal(rng, 0.1, 0.12, -0.08, 0.5)),
        gamma=normal(rng, 0.93, 0.17, 0.7, 1.45),
        white=normal(rng, 226, 14, 180, 250),
        marker=f"{side}" + str(rng.choice(["", "\nAP" if bedside else "\nPA", "\nMS", "\n07"])),
        captions=_captions(rng, bedside, supine),
        collimation=tuple(np.maximum(rng.normal(-0.03, 0.035, 4), 0).tolist()),
    )


def _pair(rng: Rng, mean: float, sd: float) -> tuple[float, float]:
    """A normal number for the right side and one for the left."""
    right, left = rng.normal(mean, sd, 2)
    return float(right), float(left)


def _rare_pair(rng: Rng, probability: float, mean: float) -> tuple[float, float]:
    """A number for each side: exponential with the given probability, else 0."""
    present = rng.random(2) < probability
    right, left = rng.exponential(mean, 2) * present
    return float(right), float(left)


def _perfusion(rng: Rng, probability: float) -> tuple[float, float]:
    """How much denser than usual each lung is; with `probability` they differ much more."""
    right, left = np.clip(_pair(rng, 0.0, 0.3 if rng.random() < probability else 0.08), -0.5, 0.8)
    return float(right), float(left)


def _captions(rng: Rng, bedside: bool, supine: bool) -> tuple[str, ...]:
    """What is written on the film besides the side; more of it on bedside films."""
    pose = "SUPINE" if supine else "ERECT"
    words = ("AP", "PORTABLE", pose) if bedside else ("PA", pose, "CR")
    count = int(rng.poisson(2.2 if bedside else 0.8))
    return tuple(str(word) for word in rng.choice(words, min(count, 3), replace=False))
