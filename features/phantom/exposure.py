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
    lying. Who lies has higher domes, a wider mediastinum and the shoulders pushed up. With
    `difficulty` (0..1) skin folds, drains and lungs that differ from one another get more frequent.
    """
    rng = np.random.default_rng(seed)
    bedside = bool(rng.random() < 0.4)
    supine = bedside and bool(rng.random() < 0.5)
    often = 2.2 if bedside else 0.5
    side = rng.choice(["R", "L"])
    stands = 34 if supine else 20 if bedside else 9  # mm, the domes
    slope = -0.02 if supine else 0.03  # blood sinks to the bases of who stands; lying it does not
    uneven = 0.05 + 0.175 * difficulty
    return Exposure(
        view="AP" if bedside else "PA",
        pose="supine" if supine else "erect",
        field_mm=normal(rng, 364 if bedside else 350, 26, 285, 430),
        angle=rng.normal(0, np.deg2rad(4.5 if bedside else 1.8)),
        shift=(rng.normal(0, 14 if bedside else 9), rng.normal(0 if bedside else -8, 20)),
        inspiration=normal(rng, stands, 16 if bedside else 11, -8, 75),
        twist=rng.normal(0, 7 if bedside else 3),
        magnification=normal(rng, 1.16 if supine else 1.1 if bedside else 1.0, 0.03, 0.95, 1.25),
        arms=normal(rng, 16, 12, -10, 50),
        spread=normal(rng, 0.12, 0.12, -0.05, 0.6),
        chin=(rng.normal(0, 14), normal(rng, 128 if bedside else 150, 18, 90, 190)),
        scapula=_pair(rng, normal(rng, 18 if supine else 13 if bedside else 0, 9, -25, 40), 6),
        shrug=_pair(rng, 7.0 if supine else 0.0, 5),
        haze=_pair_of_tails(rng, 0.625 * difficulty, 0.09),
        aeration=(
            (rng.normal(slope, uneven), rng.normal(0, uneven)),
            (rng.normal(slope, uneven), rng.normal(0, uneven)),
        ),
        perfusion=_perfusion(rng, (1.25 if bedside else 0.75) * difficulty),
        tilt=rng.normal(0, 0.035 if bedside else 0.02),
        gas=float(rng.uniform(12, 40)) if rng.random() < 0.6 else 0.0,
        bowel=int(rng.poisson(2.5)),
        leads=int(rng.poisson(1.4 * often)),
        tracheal_tube=bool(rng.random() < 0.1 * often),
        gastric_tube=bool(rng.random() < 0.1 * often),
        central_line=bool(rng.random() < 0.15 * often),
        drain=(
            bool(rng.random() < 0.1 * often * difficulty),
            bool(rng.random() < 0.1 * often * difficulty),
        ),
        fold=(
            bool(rng.random() < 0.24 * often * difficulty),
            bool(rng.random() < 0.24 * often * difficulty),
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
    """A number for the right side and one for the left."""
    right, left = rng.normal(mean, sd, 2)
    return float(right), float(left)


def _pair_of_tails(rng: Rng, often: float, mean: float) -> tuple[float, float]:
    """The same of what mostly is not there: exponential where it is."""
    there = rng.random(2) < often
    right, left = rng.exponential(mean, 2) * there
    return float(right), float(left)


def _perfusion(rng: Rng, often: float) -> tuple[float, float]:
    """How much denser than usual the lungs are: hardly, or in `often` of the chests a good deal."""
    right, left = np.clip(_pair(rng, 0.0, 0.3 if rng.random() < often else 0.08), -0.5, 0.8)
    return float(right), float(left)


def _captions(rng: Rng, bedside: bool, supine: bool) -> tuple[str, ...]:
    """What is written on the film besides the side: the more often, the sicker the patient."""
    pose = "SUPINE" if supine else "ERECT"
    words = ("AP", "PORTABLE", pose) if bedside else ("PA", pose, "CR")
    count = int(rng.poisson(2.2 if bedside else 0.8))
    return tuple(str(word) for word in rng.choice(words, min(count, 3), replace=False))


