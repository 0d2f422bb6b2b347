"""The patient of a phantom: anatomy, age and sex, the same from one image to the next.

Coordinates are millimetres in the patient: x grows towards the image's right (the patient's left),
y downwards; the origin lies on the midline at about the sixth thoracic vertebra.
"""

from dataclasses import dataclass

import numpy as np

from features.phantom.streams import normal


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


def sample_patient(seed: int | np.random.SeedSequence) -> Patient:
    """Draw one person.

    Adult rib cages measure about 26 to 30 cm across inside, the cardiothoracic ratio is 0.45 with a
    standard deviation of 0.05 and grows with age, as the aorta widens and bone loses mineral.
    """
    rng = np.random.default_rng(seed)
    sex = str(rng.choice(["M", "F"], p=[0.56, 0.44]))
    age = int(normal(rng, 48, 17, 16, 91))
    size = normal(rng, 1.0 if sex == "M" else 0.93, 0.045, 0.82, 1.12)
    half_width = 130 * size * normal(rng, 1, 0.03, 0.93, 1.08)
    habitus = float(rng.gamma(4.0, 0.25))  # 1 on average, skewed towards the heavy
    dome = 72 * size + rng.normal(0, 9)
    emphysema = max(0.0, float(rng.uniform(-2.5, 1.0))) * (age > 40)
    return Patient(
        age=age,
        sex=sex,
        apex=-143 * size + rng.normal(0, 5),
        dome_right=dome,
        dome_left=dome + normal(rng, 10, 5, -4, 20),
        half_width=half_width,
        depth=150 * size * normal(rng, 1, 0.07, 0.85, 1.2),
        wall=20 + 19 * habitus,
        fat=min(0.25 + 0.25 * habitus, 0.8),
        breast=normal(rng, 6 + 5 * habitus, 3, 2, 25)
        if sex == "M"
        else normal(rng, 10 + 14 * habitus, 8, 4, 55),
        heart=half_width * normal(rng, 0.44 + 0.0008 * (age - 45), 0.05, 0.34, 0.62),
        aorta=normal(rng, 14 + 0.12 * (age - 40), 2, 11, 24),
        bone=normal(rng, 1.05 - 0.004 * max(age - 40, 0), 0.1, 0.65, 1.25),
        rib_drop=normal(rng, 122, 14, 85, 160) * size,
        rib_height=normal(rng, 12.5, 1.0, 10, 15) * size,
        scoliosis=rng.normal(0, 3),
        lung_density=normal(rng, 0.25, 0.03, 0.18, 0.34) * (1 - 0.25 * emphysema),
        vascularity=normal(rng, 1, 0.12, 0.75, 1.35),
        roundness=normal(rng, 2.1, 0.5, 1.4, 3.6),
        sulcus=normal(rng, 44, 15, 12, 85),
        belly=normal(rng, 22 + 26 * habitus, 14, 0, 110),
        emphysema=emphysema,
    )
