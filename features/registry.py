"""The registry: all feature families side by side, and the sentence that explains each feature.

A feature is named ``family.zone.measure``, e.g. ``glcm.left_apex.contrast_d1``. The asymmetry
family compares a measure between mirrored zones: ``asymmetry.apex.glcm_contrast_d1``.
"""

from dataclasses import dataclass

from features import firstorder, glcm, gradients, lbp, shape
from features.files import UserError
from features.measures import Measure
from features.prepared import Prepared
from features.zones import SIDES, ZONES

ZONED = {
    "firstorder": firstorder,
    "glcm": glcm,
    "gradients": gradients,
    "lbp": lbp,
    "shape": shape,
}
FAMILIES = (*ZONED, "asymmetry")


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
    """Measures of a zoned family by name."""
    found = (*ZONED[family].MEASURES, *getattr(ZONED[family], "IMAGE_MEASURES", ()))
    return {measure.name: measure for measure in found}


def check(names: tuple[str, ...]) -> None:
    """Refuse a family that does not exist.

    Raises
    ------
    UserError
        If `names` is empty or holds an unknown family.
    """
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        raise UserError(
            f"families = {' '.join(unknown) or 'none'}: known families are {', '.join(FAMILIES)}."
        )


def measure(image: Prepared, names: tuple[str, ...] = FAMILIES) -> dict[str, float]:
    """Features of one X-ray by name, every one finite.

    Parameters
    ----------
    image : Prepared
    names : tuple of str
        Families to measure; "asymmetry" compares those of the others that are asked for.
    """
    row: dict[str, float] = {}
    for family in (name for name in ZONED if name in names):
        for zone, values in ZONED[family].measure(image).items():
            for key, value in values.items():
                row[f"{family}.{zone}.{key}"] = float(value)
    return row | asymmetry(row) if "asymmetry" in names else row


def asymmetry(row: dict[str, float]) -> dict[str, float]:
    """Absolute differences of every measure between mirrored zones.

    The sign is dropped, since either side may collapse; the zones' own features keep it.
    """
    found = {}
    for name, value in row.items():
        family, zone, key = name.split(".")
        side, _, part = zone.partition("_")
        if side == SIDES[0]:
            other = row[f"{family}.{SIDES[1]}_{part}.{key}"]
            found[f"asymmetry.{part}.{family}_{key}"] = abs(value - other)
    return found


def zone_in_words(zone: str) -> str:
    """A zone as a reader says it: "upper zone of the left lung", "right and left apex compared"."""
    side, _, part = zone.partition("_")
    name = part if side in SIDES else zone
    name = f"{name} zone" if name in ("upper", "middle", "lower") else name
    if side in SIDES:
        return f"{side} lung as a whole" if part == "whole" else f"{name} of the {side} lung"
    if zone not in ZONES:
        return "image as a whole"
    return f"right and left {'lung' if zone == 'whole' else name} compared"


def describe(name: str) -> Feature:
    """Explain a feature by its name.

    Raises
    ------
    KeyError
        If no family makes such a feature.
    """
    family, zone, measure = name.split(".")
    if family == "asymmetry":
        base, _, key = measure.partition("_")
        found = measures(base)[key]
        text = f"Difference between the lungs, without its sign: {found.text}."
    else:
        found = measures(family)[measure]
        text = f"{found.text[0].upper()}{found.text[1:]}."
    return Feature(name, family, zone, measure, f"{text[:-1]} ({zone_in_words(zone)}).", found.unit)


def mirror(name: str) -> str:
    """The name that a feature has on the mirrored X-ray: right and left change places."""
    family, zone, measure = name.split(".")
    side, _, part = zone.partition("_")
    if side not in SIDES:
        return name
    return f"{family}.{SIDES[1 - SIDES.index(side)]}_{part}.{measure}"
