"""Acquisition family: who was X-rayed, and how. These are no signs of a pneumothorax.

Age, sex and view shift the odds (a portable X-ray of a bedridden patient is taken from the front,
AP), so a model may lean on them as shortcuts. They stand in a family of their own, which can be
left out, and whose share of a prediction can be reported.
"""

from features.families.family import Family, Measure
from features.lungs.prepared import Prepared
from features.reading.study import Study

IMAGE_MEASURES = (
    Measure("age", "age of the patient; -1 where unknown", "years"),
    Measure("male", "mark of male sex; 1 for a man, 0 for a woman, 0.5 where unknown", ""),
    Measure("ap", "mark of an AP view; 1 for AP, 0 for PA, 0.5 where unknown", ""),
)


def measure_image(image: Prepared, study: Study) -> tuple[float, ...]:
    """Age, sex and view of a study."""
    age = -1.0 if study.age is None else study.age
    male = {"M": 1.0, "F": 0.0}.get(study.sex or "", 0.5)
    ap = {"AP": 1.0, "PA": 0.0}.get(study.view or "", 0.5)
    return age, male, ap


FAMILY = Family("acquisition", image_measures=IMAGE_MEASURES, measure_image=measure_image)
