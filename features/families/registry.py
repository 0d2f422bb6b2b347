"""The registry: all feature families side by side, and the sentence that explains each feature.

A feature is named ``family.zone.measure``, e.g. ``glcm.left_apex.contrast_d1``. The asymmetry
family compares a measure between mirrored zones: ``asymmetry.apex.glcm_contrast_d1``.
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
from features.families.measures import Measure
from features.lungs.prepared import Prepared
from features.lungs.zones import DEPTHS, SIDES, ZONES
from features.reading.study import Study
from features.run.files import UserError

ZONED = {
    "firstorder": firstorder,
    "glcm": glcm,
    "glrlm": glrlm,
    "gradients": gradients,
    "lbp": lbp,
    "fractal": fractal,
    "markings": markings,
    "pleura": pleura,
    "profiles": profiles,
    "shape": shape,
    "confounders": confounders,
    "acquisition": acquisition,
}
FAMILIES = (*ZONED, "asymmetry")
# What is learned rather than measured, and so is no part of the feature table.
LEARNED = {"evidence": map_summary}
# Measured unless told otherwise. Run lengths say what the GLCM says already, and take a tenth of
# the time; to weigh them, name all families in FEATURES_OPTIONS and run `make ablation`.
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
    """Measures of a zoned or learned family by name."""
    module = (ZONED | LEARNED)[family]
    more = (getattr(module, name, ()) for name in ("IMAGE_MEASURES", "LUNG_MEASURES"))
    return {measure.name: measure for measure in chain(module.MEASURES, *more)}


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
            f"some of them too: {', '.join(ZONED)}."
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
        Families to measure; "asymmetry" compares those of the others that are asked for.
    """
    row: dict[str, float] = {}
    compared: dict[str, float] = {}
    near = image.near_lungs
    for name in (name for name in ZONED if name in names):
        family = ZONED[name]
        # A family with measures of the whole image looks beyond the lungs.
        values = family.measure(image if hasattr(family, "measure_image") else near)
        row.update(zip(zone_names(name), values.ravel().tolist(), strict=True))
        right, left = np.split(values, 2)
        compared.update(zip(pair_names(name), np.abs(right - left).ravel().tolist(), strict=True))
        if hasattr(family, "measure_image"):
            found = family.measure_image(image, study)
            keys = (f"{name}.image.{measure.name}" for measure in family.IMAGE_MEASURES)
            row.update(zip(keys, map(float, found), strict=True))
    # The sign is dropped, since either side may collapse; the zones' own features keep it.
    return row | compared if "asymmetry" in names else row


def parts(family: str) -> tuple[str, ...]:
    """The zones of each lung that a family is measured in."""
    return getattr(ZONED[family], "ZONES", ZONES)


@cache
def zone_names(family: str) -> tuple[str, ...]:
    """Names of a family's zone features: zone by zone, measure by measure, right before left."""
    return tuple(
        f"{family}.{side}_{zone}.{measure.name}"
        for side in SIDES
        for zone in parts(family)
        for measure in ZONED[family].MEASURES
    )


@cache
def pair_names(family: str) -> tuple[str, ...]:
    """Names of the features that compare a family's zones between right and left."""
    return tuple(
        f"asymmetry.{zone}.{family}_{measure.name}"
        for zone in parts(family)
        for measure in ZONED[family].MEASURES
    )


def zone_in_words(zone: str) -> str:
    """A zone as a reader says it: "upper zone of the left lung", "right and left apex compared"."""
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
    image = (
        f"{name}.image.{measure.name}"
        for name, family in ZONED.items()
        for measure in getattr(family, "IMAGE_MEASURES", ())
    )
    zoned = (names(family) for family in ZONED for names in (zone_names, pair_names))
    learned = (family.names() for family in LEARNED.values())
    return frozenset(chain(image, *zoned, *learned))


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
    family, zone, measure = name.split(".")
    if family == "asymmetry":
        base, _, key = measure.partition("_")
        found = measures(base)[key]
        text = f"Difference between the lungs, without its sign: {found.text}."
    else:
        found = measures(family)[measure]
        text = f"{found.text[0].upper()}{found.text[1:]}."
    return Feature(name, family, zone, measure, f"{text[:-1]} ({zone_in_words(zone)}).", found.unit)
