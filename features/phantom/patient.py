"""Who is being X-rayed, how, and with what disease: the parameters of a phantom.

Three frozen records, each drawn by one function from its own random stream: the `Patient` (anatomy,
age, sex; stays the same from one study to the next), the `Exposure` (view, pose, tubes, detector,
display; new for each image) and the `Collapse` (the pneumothorax). The streams are independent, so
whether a lung has collapsed says nothing about age, noise, markers or tubes, and the same seed
drawn with and without a pneumothorax differs in the pneumothorax alone. Only where the air lies
depends on the pose: it rises, to the apex of who stands, to the front of who lies.

Coordinates are millimetres in the patient: x grows towards the image's right (the patient's left),
y downwards, the origin lies on the midline at about the sixth thoracic vertebra.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Rng = np.random.Generator
DIFFICULTY = 0.2  # neither the verdict nor the masks that 180 phantoms teach are perfect
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
class Patient:
    """Anatomy of one person; lengths in mm."""

    age: int
    sex: str
    apex: float  # y of the lung apices
    dome_right: float  # y of the right hemidiaphragm's top at full inspiration
    dome_left: float
    half_width: float  # of the rib cage inside, at its widest
    depth: float  # of the lungs front to back
    wall: float  # muscle and fat beside the ribs
    fat: float  # share of the wall that is fat, 0..1
    breast: float  # greatest thickness of a breast; of the pectoral muscle in men
    heart: float  # half of the heart's transverse diameter
    aorta: float  # radius of the aortic knob
    bone: float  # mineral relative to a young adult
    rib_drop: float  # how much lower the front end of a rib lies than its back end, 7th rib
    rib_height: float
    scoliosis: float  # sideways bend of the spine
    lung_density: float  # g/cm3
    roundness: float  # exponent of the lungs' horizontal section: 2 an ellipse, more a box
    sulcus: float  # mm the costophrenic angle lies below the dome
    belly: float  # mm the trunk is deeper at the abdomen than at the shoulders
    emphysema: float  # hyperinflation, 0 none, 1 severe: thin lungs, low and flat domes
    vascularity: float  # relative calibre of the lung vessels


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


@dataclass(frozen=True)
class Collapse:
    """A pneumothorax: the pleural air is widest at `centre`, `depth` mm from chest wall to lung.

    Anteromedial air lies beside the mediastinum instead: `depth` is its width, and `centre` and
    `spread` are shares of the lung's height, where it begins below the apex and how far below that
    it is widest.
    """

    side: Literal["right", "left"]
    kind: Kind
    depth: float  # mm
    centre: float  # radians from straight up, turning laterally
    spread: float  # half of its angular extent, radians
    air: float  # share of the beam's way through the rim that is air, 0..1
    blood: float  # how much of its blood the lung keeps, 0..1: exponent by which its density grows
    # as its area shrinks
    injury: float  # what bleeding and atelectasis add to the lung's density, g/cm3
    line: float  # thickness of the pleural line along the beam, mm of soft tissue
    shift: float  # mm the mediastinum is pushed to the other side
    wiggle: float  # phase of the lung edge's undulation, radians

    @property
    def sign(self) -> int:
        """-1 for the right lung (left in the image), +1 for the left."""
        return 1 if self.side == "left" else -1


def child(seed: int | np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """The `key`-th independent stream of `seed`, however often it is asked for."""
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(seed)
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))


def _normal(rng: Rng, mean: float, sd: float, low: float, high: float) -> float:
    """A normal number, clipped."""
    return float(np.clip(rng.normal(mean, sd), low, high))


def sample_patient(seed: int | np.random.SeedSequence) -> Patient:
    """Draw one person.

    Adult rib cages measure about 26 to 30 cm across inside, the cardiothoracic ratio is 0.45 with a
    standard deviation of 0.05 and grows with age, as the aorta widens and bone loses mineral.
    """
    rng = np.random.default_rng(seed)
    sex = str(rng.choice(["M", "F"], p=[0.56, 0.44]))
    age = int(_normal(rng, 48, 17, 16, 91))
    size = _normal(rng, 1.0 if sex == "M" else 0.93, 0.045, 0.82, 1.12)
    half_width = 130 * size * _normal(rng, 1, 0.03, 0.93, 1.08)
    habitus = float(rng.gamma(4.0, 0.25))  # 1 on average, skewed towards the heavy
    dome = 72 * size + rng.normal(0, 9)
    emphysema = max(0.0, float(rng.uniform(-2.5, 1.0))) * (age > 40)
    return Patient(
        age=age,
        sex=sex,
        apex=-143 * size + rng.normal(0, 5),
        dome_right=dome,
        dome_left=dome + _normal(rng, 10, 5, -4, 20),
        half_width=half_width,
        depth=150 * size * _normal(rng, 1, 0.07, 0.85, 1.2),
        wall=20 + 19 * habitus,
        fat=min(0.25 + 0.25 * habitus, 0.8),
        breast=_normal(rng, 6 + 5 * habitus, 3, 2, 25)
        if sex == "M"
        else _normal(rng, 10 + 14 * habitus, 8, 4, 55),
        heart=half_width * _normal(rng, 0.44 + 0.0008 * (age - 45), 0.05, 0.34, 0.62),
        aorta=_normal(rng, 14 + 0.12 * (age - 40), 2, 11, 24),
        bone=_normal(rng, 1.05 - 0.004 * max(age - 40, 0), 0.1, 0.65, 1.25),
        rib_drop=_normal(rng, 122, 14, 85, 160) * size,
        rib_height=_normal(rng, 12.5, 1.0, 10, 15) * size,
        scoliosis=rng.normal(0, 3),
        lung_density=_normal(rng, 0.25, 0.03, 0.18, 0.34) * (1 - 0.25 * emphysema),
        vascularity=_normal(rng, 1, 0.12, 0.75, 1.35),
        roundness=_normal(rng, 2.1, 0.5, 1.4, 3.6),
        sulcus=_normal(rng, 44, 15, 12, 85),
        belly=_normal(rng, 22 + 26 * habitus, 14, 0, 110),
        emphysema=emphysema,
    )


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
        field_mm=_normal(rng, 364 if bedside else 350, 26, 285, 430),
        angle=rng.normal(0, np.deg2rad(4.5 if bedside else 1.8)),
        shift=(rng.normal(0, 14 if bedside else 9), rng.normal(0 if bedside else -8, 20)),
        inspiration=_normal(rng, stands, 16 if bedside else 11, -8, 75),
        twist=rng.normal(0, 7 if bedside else 3),
        magnification=_normal(rng, 1.16 if supine else 1.1 if bedside else 1.0, 0.03, 0.95, 1.25),
        arms=_normal(rng, 16, 12, -10, 50),
        spread=_normal(rng, 0.12, 0.12, -0.05, 0.6),
        chin=(rng.normal(0, 14), _normal(rng, 128 if bedside else 150, 18, 90, 190)),
        scapula=_pair(rng, _normal(rng, 18 if supine else 13 if bedside else 0, 9, -25, 40), 6),
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
        blur=_normal(rng, 0.42 if bedside else 0.2, 0.12, 0.05, 0.9),
        photons=float(np.exp(rng.normal(np.log(14 if bedside else 22), 0.5))),
        scatter=_normal(rng, 0.5 if bedside else 0.35, 0.1, 0.15, 0.8),
        compression=_normal(rng, 0.72, 0.1, 0.5, 0.95),
        sharpening=_normal(rng, 1.35, 0.25, 0.9, 2.0),
        window=(rng.normal(-0.05, 0.07), _normal(rng, 0.1, 0.12, -0.08, 0.5)),
        gamma=_normal(rng, 0.93, 0.17, 0.7, 1.45),
        white=_normal(rng, 226, 14, 180, 250),
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


@dataclass(frozen=True)
class _Habit:
    """How often a kind occurs in either pose, and the ranges its form is drawn from."""

    erect: float  # share of the pneumothoraces of those who stand
    supine: float
    depth: tuple[float, float]  # mm from the chest wall
    centre: tuple[float, float]  # as of a `Collapse`
    spread: tuple[float, float]  # as of a `Collapse`


# Of those who lay, 38% of the pneumothoraces were in the anteromedial recess, 26% under the lung
# and 22% at apex and side (Tocino, Miller and Fairfax, AJR 144:901, 1985); here a little fewer
# each, as some are large.
_HABITS: dict[Kind, _Habit] = {
    "apical": _Habit(0.47, 0.16, (8, 80), (0.05, 0.45), (0.4, 1.2)),
    "lateral": _Habit(0.14, 0.08, (9, 50), (0.9, 1.5), (0.8, 1.6)),
    "basal": _Habit(0.09, 0.02, (10, 55), (1.8, 2.2), (0.6, 1.3)),
    "subpulmonic": _Habit(0.03, 0.04, (8, 30), (2.4, 2.7), (0.6, 0.9)),
    "loculated": _Habit(0.07, 0.04, (14, 50), (0.3, 2.3), (0.35, 0.7)),
    "large": _Habit(0.15, 0.06, (35, 120), (0.6, 1.4), (1.6, 2.7)),
    "tension": _Habit(0.05, 0.04, (60, 125), (0.7, 1.4), (2.4, 2.9)),
    "deep sulcus": _Habit(0.0, 0.22, (14, 50), (2.0, 2.4), (0.6, 1.1)),
    "anteromedial": _Habit(0.0, 0.34, (10, 40), (0.05, 0.45), (0.15, 0.5)),
}


def sample_collapse(
    seed: int | np.random.SeedSequence, difficulty: float = DIFFICULTY, pose: str = "erect"
) -> Collapse:
    """Draw a pneumothorax; right-sided ones are a little more frequent, of who stands apical ones.

    With `difficulty` (0..1) they are smaller, more of them lie before or behind the lung, so that
    less of the ray is air, and their pleural line is fainter.
    """
    rng = np.random.default_rng(seed)
    shares = np.array([getattr(habit, pose) for habit in _HABITS.values()])
    kind = list(_HABITS)[rng.choice(len(shares), p=shares / shares.sum())]
    habit = _HABITS[kind]
    hard = difficulty * rng.random(3)
    tension = kind == "tension"
    low, high = habit.depth
    # Small ones are the most frequent: half of the challenge's masks cover less than 0.84%.
    depth = low * (high / low) ** rng.random() * (1 - (0.3 if tension else 0.7) * hard[0])
    shrinks = kind in ("apical", "lateral", "basal", "subpulmonic", "large")
    return Collapse(
        side="right" if rng.random() < 0.55 else "left",
        kind=kind,
        depth=max(float(depth), 7.0),
        centre=float(rng.uniform(*habit.centre)),
        spread=float(rng.uniform(*habit.spread) * (1 - (0.8 if shrinks else 0.0) * hard[0])),
        air=float(rng.uniform(0.75, 0.99) * (1 - 0.6 * hard[1])),
        blood=float(rng.uniform(0.1, 0.9)),
        injury=min(float(rng.exponential(0.05)), 0.3),
        line=float(rng.uniform(3, 10) * (1 - 0.7 * hard[2])),
        shift=float(max(0.0, rng.normal(0.3 if tension else 0.08, 0.08)) * depth),
        wiggle=float(rng.uniform(0, 2 * np.pi)),
    )
