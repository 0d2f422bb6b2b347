"""The radiological sign that each measure stands for, and which of its values speak for the sign.

Readers know a pneumothorax by the visceral pleural line and by what lies beyond it: no lung
markings, and more blackening; lying down by a deep sulcus; under tension by a shift of the
mediastinum. Tubes and gas under the skin go with it. Most textures were invented for other
pictures; those that rise or fall with vessels stand for the lung markings, and the rest for none.

References
----------
O'Connor and Morgan, "Radiological review of pneumothorax", BMJ 330, 2005.
Gordon, "The deep sulcus sign", Radiology 136, 1980.
"""

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Sign:
    """A sign that readers of chest X-rays look for.

    Parameters
    ----------
    name : str
        As it stands after "a sign of".
    subject : str
        What its measures are about, as it stands after "comes from".
    of_air : bool
        Whether it speaks for pneumothorax itself, and is not only seen beside it.
    high, low : tuple of str
        The measures, ``family.measure``, whose high or low values speak for it.
    """

    name: str
    subject: str
    of_air: bool
    high: tuple[str, ...] = ()
    low: tuple[str, ...] = ()


# Steps of the profile that lie in the outer eighth of the lung, where a little air gathers first.
_RIM_STEPS = (1, 2, 3)
SIGNS = (
    Sign(
        "a visceral pleural line",
        "lines along the chest wall",
        True,
        high=(
            *(f"pleura.{key}" for key in ("response", "length", "longest", "contrast", "step")),
            "pleura.distance",
            "gradients.along_wall",
            "profiles.jump",
        ),
    ),
    Sign(
        "absent lung markings",
        "lung markings",
        True,
        high=(
            "markings.empty",
            "markings.inwards",
            *(f"glcm.{key}_d{d}" for key in ("energy", "homogeneity") for d in (1, 4)),
            "glrlm.long_runs",
        ),
        low=(
            *(f"markings.{key}" for key in ("density", "fine", "coarse", "emptiest")),
            *(f"glcm.{key}_d{d}" for key in ("contrast", "entropy") for d in (1, 4)),
            "glrlm.short_runs",
            "glrlm.run_share",
            "firstorder.deviation",
            "gradients.strength",
            *(f"gradients.band{band}" for band in (1, 2, 3)),
            "fractal.fine",
            "fractal.roughness",
            *(f"profiles.detail{step}" for step in _RIM_STEPS),
        ),
    ),
    Sign(
        "hyperlucency",
        "the density of the lungs",
        True,
        low=(
            *(f"firstorder.{key}" for key in ("mean", "p10", "p90")),
            *(f"profiles.grey{step}" for step in _RIM_STEPS),
        ),
    ),
    Sign("a deep sulcus", "the costophrenic sulci", True, high=("shape.sulcus",)),
    Sign("mediastinal shift", "the place of the mediastinum", True, high=("shape.mediastinum",)),
    Sign(
        "tubes, drains or leads",
        "lines as of tubes",
        False,
        high=("confounders.tubes", "confounders.tube_contrast", "confounders.lines"),
    ),
    Sign(
        "gas under the skin",
        "the chest wall",
        False,
        high=("confounders.wall_detail", "confounders.wall_dark"),
    ),
)
_BY_MEASURE = {
    measure: (sign, direction)
    for sign in SIGNS
    for direction, measures in ((1, sign.high), (-1, sign.low))
    for measure in measures
}


@cache
def of_feature(name: str) -> tuple[Sign, int] | None:
    """The sign that a feature stands for, and which way its values speak for it.

    Parameters
    ----------
    name : str
        ``family.zone.measure``; a comparison of the lungs stands for the sign of what it compares.

    Returns
    -------
    (Sign, int) or None
        1 if high values speak for it, -1 if low ones; a large difference between the lungs speaks
        for it on one side. None if the feature stands for no sign.
    """
    family, _, measure = name.split(".")
    if family != "asymmetry":
        return _BY_MEASURE.get(f"{family}.{measure}")
    known = _BY_MEASURE.get(measure.replace("_", ".", 1))
    return None if known is None else (known[0], 1)
