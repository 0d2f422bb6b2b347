"""The registry: all feature families side by side, and the sentence that explains each feature.

A feature is named ``family.zone.measure``, e.g. ``glcm.left_apex.contrast_d1``. The asymmetry
family compares a measure between mirrored zones: ``asymmetry.apex.glcm_contrast_d1``.

A new family is a module with a `FAMILY`, listed here.
"""

from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np

from features.families import (
    acquisition,
    confounders,
    firstorder,
    fractal,
    glcm,
    glrlm,
    gradients,
    lbp,
    map_summary,
    markings,
    pleura,
    profiles,
    shape,
)
from features.families.family import Family, Measure
from features.lungs.prepared import Prepared
from features.lungs.zones import DEPTHS, SIDES, ZONES
from features.reading.study import Study
from features.run.files import UserError


def _by_name(*families: Family) -> dict[str, Family]:
    return {family.name: family for family in families}


# In the order of the feature table's columns.
MEASURED = _by_name(
    firstorder.FAMILY,
    glcm.FAMILY,
    glrlm.FAMILY,
    gradients.FAMILY,
    lbp.FAMILY,
    fractal.FAMILY,
    markings.FAMILY,
    pleura.FAMILY,
    profiles.FAMILY,
    shape.FAMILY,
    confounders.FAMILY,
    acquisition.FAMILY,
)
# What is learned rather than measured, and so is no part of the feature table.
LEARNED = _by_name(map_summary.FAMILY)
FAMILIES = (*MEASURED, "asymmetry")
# Measured by default. Run lengths repeat what the GLCM measures, and take a tenth of the time; to
# weigh them, name all families in MEASURE_OPTIONS and run `make ablation`.
DEFAULT = tuple(family for family in FAMILIES if family != "glrlm")


@dataclass(frozen=True)
class Feature:
    """One column of the feature table.

    Parameters
    ----------
    name : str
        ``family.zone.measure``.
    family, zone, measure : str
        Its parts. A zone is ``right_apex``, ``apex`` (both sides compared) or ``image``.
    text : str
        Explanation, a whole sentence.
    unit : str
        Unit, or empty for a pure number.
    """

    name: str
    family: str
    zone: str
    measure: str
    text: str
    unit: str


def measures(family: str) -> dict[str, Measure]:
    """Measures of a measured or learned family by name."""
    return (MEASURED | LEARNED)[family].by_name


def check(names: tuple[str, ...]) -> None:
    """Refuse a family that does not exist.

    Raises
    ------
    UserError
        If `names` is empty, holds an unknown family, or asymmetry alone.
    """
    if names and not set(names) - {"asymmetry"}:
        raise UserError(
            "families = asymmetry: it compares what other families measure in both lungs; name "
            f"some of them too: {', '.join(MEASURED)}."
        )
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        raise UserError(
            f"families = {' '.join(unknown) or 'none'}: known families are {', '.join(FAMILIES)}."
        )


def measure(image: Prepared, study: Study, names: tuple[str, ...] = FAMILIES) -> dict[str, float]:
    """Features of one X-ray by name, every one finite.

    Parameters
    ----------
    image : Prepared
    study : Study
    names : tuple of str
        Families to measure; "asymmetry" compares the zones of the others among them.
    """
    row: dict[str, float] = {}
    compared: dict[str, float] = {}
    near = image.near_lungs
    for family in (family for name, family in MEASURED.items() if name in names):
        if family.measure_zones:
            # A family with measures of the whole image looks beyond the lungs.
            values = family.measure_zones(image if family.measure_image else near)
            row.update(zip(family.zone_names, values.ravel().tolist(), strict=True))
            right, left = np.split(values, 2)
            differences = np.abs(right - left).ravel().tolist()
            compared.update(zip(family.pair_names, differences, strict=True))
        if family.measure_image:
            numbers = map(float, family.measure_image(image, study))
            row.update(zip(family.image_names, numbers, strict=True))
    # The sign is dropped, since either side may collapse; the zones' own features keep it.
    return row | compared if "asymmetry" in names else row


def zone_in_words(zone: str) -> str:
    """A zone in words: "upper zone of the left lung", "right and left apex compared"."""
    side, _, part = zone.partition("_")
    if side not in SIDES:
        part = zone
    if part not in ZONES:
        return "image as a whole"
    height, _, depth = part.partition("_")
    name = f"{height} zone" if height in ("upper", "middle", "lower") else height
    if depth in DEPTHS:
        name = f"{depth} of the {name}"
    if side in SIDES:
        return f"{side} lung as a whole" if part == "whole" else f"{name} of the {side} lung"
    return f"right and left {'lung' if part == 'whole' else name} compared"


@cache
def _every_name() -> frozenset[str]:
    names = [(f.zone_names, f.pair_names, f.image_names) for f in MEASURED.values()]
    names += [(f.zone_names, f.lung_names, f.image_names) for f in LEARNED.values()]
    return frozenset(chain.from_iterable(chain.from_iterable(names)))


@cache
def describe(name: str) -> Feature:
    """Explain a feature by its name.

    Raises
    ------
    KeyError
        If no family makes such a feature.
    """
    if name not in _every_name():
        raise KeyError(name)
    family, zone, key = name.split(".")
    if family == "asymmetry":
        base, _, key_of_base = key.partition("_")
        measure = measures(base)[key_of_base]
        text = f"Difference between the lungs, without its sign: {measure.text}"
    else:
        measure = measures(family)[key]
        text = f"{measure.text[0].upper()}{measure.text[1:]}"
    return Feature(name, family, zone, key, f"{text} ({zone_in_words(zone)}).", measure.unit)
