"""X-rays whose lungs are two boxes, so that every measure can be worked out by hand."""

from pathlib import Path

import numpy as np

from features.families.family import Family
from features.lungs.fields import LungFields
from features.lungs.prepared import Prepared, assemble
from features.reading.study import Study

STUDY = Study(id="a", path=Path("a.png"), rows=120, columns=120)


def noise(size: int = 120) -> np.ndarray:
    """White noise, (size, size) of float32."""
    return np.random.default_rng(0).normal(0, 1, (size, size)).astype(np.float32)


def prepared(grey: np.ndarray) -> Prepared:
    """An X-ray in lung units; its lungs are two boxes of a tenth's margin."""
    h, w = grey.shape
    right, left = np.zeros((h, w), bool), np.zeros((h, w), bool)
    right[h // 10 : -h // 10, w // 10 : w * 4 // 10] = True
    left[h // 10 : -h // 10, w * 6 // 10 : w * 9 // 10] = True
    return assemble(grey.astype(np.float32), LungFields(right, left, 1.0))


def value(family: Family, image: Prepared, zone: str, measure: str) -> float:
    """A measure of a zone."""
    assert family.measure_zones is not None
    name = f"{family.name}.{zone}.{measure}"
    return family.measure_zones(image).ravel()[family.zone_names.index(name)]
