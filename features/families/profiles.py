"""Profile family: grey level and detail on the way from the chest wall to the hilum.

In a healthy lung brightness and markings rise steadily towards the hilum. In a pneumothorax a dark
margin without markings lies along the wall, and both jump where the lung begins.
"""

import numpy as np
from numpy.typing import NDArray

from features.families import zonal
from features.families.family import Family, Measure
from features.lungs.prepared import Prepared
from features.lungs.zones import HEIGHTS, NAMES, SIDES

ZONES = ("whole", *HEIGHTS)
# Ends of the steps of the profile, as distances to the chest wall in lung widths.
ENDS = (0.04, 0.08, 0.13, 0.19, 0.26, 0.36, 0.50)
_ROWS = [NAMES.index(f"{side}_{zone}") for side in SIDES for zone in ZONES]

MEASURES = (
    *(
        Measure(f"grey{k}", f"mean grey level {low:.0%} to {high:.0%} from the wall", "lung units")
        for k, (low, high) in enumerate(zip((0.0, *ENDS[:-1]), ENDS, strict=True), 1)
    ),
    *(
        Measure(
            f"detail{k}",
            f"fine detail {low:.0%} to {high:.0%} from the wall, as a multiple of the zone's mean",
            "",
        )
        for k, (low, high) in enumerate(zip((0.0, *ENDS[:-1]), ENDS, strict=True), 1)
    ),
    Measure(
        "jump",
        "largest rise of the grey level between neighbouring steps of the profile, inwards",
        "lung units",
    ),
    Measure("jump_at", "distance from the wall at which the grey level rises most", "lung widths"),
)


def measure(image: Prepared) -> NDArray[np.float64]:
    """Profile measures of both lungs and their height zones, shape (zones, measures)."""
    detail = np.abs(image.grey - image.smooth(1.5))
    step = np.searchsorted(ENDS, image.zones.wall_distance).astype(np.int16)
    profile = zonal.profiles((image.grey, detail), step, len(ENDS), image.zones)[_ROWS]
    grey, fine = profile[..., 0], profile[..., 1]
    fine = fine / np.maximum(fine.mean(axis=1, keepdims=True), 1e-6)
    rise = np.diff(grey, axis=1)
    at = np.asarray(ENDS)[rise.argmax(axis=1)]
    return np.column_stack((grey, fine, rise.max(axis=1), at))


FAMILY = Family("profiles", MEASURES, measure, ZONES)
