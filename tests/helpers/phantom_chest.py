"""A chest of middle build and its lungs, to which tests give a pneumothorax of a kind."""

from dataclasses import replace

from features.phantom.anatomy import Patient, sample_patient
from features.phantom.collapse import Collapse, Kind
from features.phantom.exposure import Exposure, sample_exposure
from features.phantom.lung_shape import Lung, lungs

# Where the air of a kind is widest, and how far it spreads.
FORMS: dict[Kind, tuple[float, float]] = {
    "apical": (0.3, 1.0),
    "lateral": (1.2, 1.2),
    "basal": (2.0, 1.0),
    "subpulmonic": (2.5, 0.8),
    "large": (1.0, 2.2),
    "tension": (1.0, 2.6),
    "loculated": (1.2, 0.5),
    "deep sulcus": (2.2, 0.8),
    "anteromedial": (0.2, 0.3),
}


def chest(pose: str = "erect") -> tuple[Patient, Exposure]:
    """A person of middle build, turned neither way."""
    view = "AP" if pose == "supine" else "PA"
    plain = replace(sample_exposure(4), pose=pose, view=view, twist=0.0, inspiration=10.0)
    return sample_patient(3), plain


def collapsed(kind: Kind, depth: float, side: str = "right", pose: str = "erect") -> Lung:
    """The lung of one side with a pneumothorax of a kind, of typical form."""
    centre, spread = FORMS[kind]
    plain = Collapse(side, kind, depth, centre, spread, 0.9, 0.6, 0.05, 5.0, 0.0, 0.0)  # type: ignore[arg-type]
    fields = lungs(*chest(pose), plain)[1]
    return fields[0] if side == "right" else fields[1]
