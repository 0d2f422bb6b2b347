"""Named zones that follow the lung, not the image.

Each lung is cut in height into apex, upper, middle, lower and base (with the costophrenic angle),
and in depth into rim (along the chest wall, where a pneumothorax lies) and core (towards the
hilum). Every zone of one lung has its mirror in the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from features.lungs import LungFields

SIDES = ("right", "left")
# Lower end of each height zone as a share of the lung's height; the apex is what lies above the
# clavicle in most adults, the base what the costophrenic angle takes.
HEIGHTS = {"apex": 0.15, "upper": 0.40, "middle": 0.65, "lower": 0.85, "base": 1.0}
DEPTHS = ("rim", "core")
# Depth of the rim as a share of the lung's widest row.
RIM_SHARE = 0.20
# A zone with fewer pixels says nothing by itself and is measured on its whole lung instead.
FEWEST_PIXELS = 64

ZONES = ("whole", *HEIGHTS, *DEPTHS)
NAMES = tuple(f"{side}_{zone}" for side in SIDES for zone in ZONES)


@dataclass(frozen=True)
class Zones:
    """Zones of both lungs.

    Parameters
    ----------
    labels : dict of (h, w) arrays of int8
        One map for each way of cutting ("whole", "height", "depth"): the index into `NAMES` of the
        zone a pixel belongs to, -1 outside the lungs.
    indices : dict of (n,) arrays of int
        Flat pixel indices of each zone by name; never empty.
    wall_distance : (h, w) array of float32
        Distance to the chest wall as a share of the lung's widest row, inside the lungs; it grows
        from 0 at the lateral and apical edge towards the hilum. Zero outside.
    """

    labels: dict[str, NDArray[np.int8]]
    indices: dict[str, NDArray[np.intp]]
    wall_distance: NDArray[np.float32]


def build(lungs: LungFields) -> Zones:
    """Cut both lung fields into zones.

    Parameters
    ----------
    lungs : LungFields
        Right and left lung field, each (h, w), neither empty.
    """
    shape = lungs.right.shape
    labels = {way: np.full(shape, -1, np.int8) for way in ("whole", "height", "depth")}
    distance = np.zeros(shape, np.float32)
    for side, lung in zip(SIDES, (lungs.right, lungs.left), strict=True):
        first = NAMES.index(f"{side}_whole")
        rows = np.flatnonzero(lung.any(axis=1))
        height = (np.arange(shape[0]) - rows[0]) / max(rows[-1] - rows[0], 1)
        # searchsorted maps a relative height to the index of the zone it lies in.
        level = np.searchsorted(list(HEIGHTS.values()), np.clip(height, 0, 1))
        depth = wall_distance(lung, side)
        distance[lung] = depth[lung]
        labels["whole"][lung] = first
        where = np.nonzero(lung)
        labels["height"][where] = first + 1 + level[where[0]]
        core = first + 1 + len(HEIGHTS) + (depth[where] > RIM_SHARE)
        labels["depth"][where] = core
    return Zones(labels, _indices(labels), distance)


def wall_distance(lung: NDArray[np.bool_], side: str) -> NDArray[np.float32]:
    """Distance to the chest wall of one lung, as a share of its widest row.

    The chest wall is the lateral edge of each row and the upper edge of each column of the lateral
    half; the mediastinal and the diaphragmatic edges do not count.

    Parameters
    ----------
    lung : (h, w) array of bool
        One lung field, not empty.
    side : {"right", "left"}
        The patient's side; the right lung lies on the left of the image.

    Returns
    -------
    (h, w) array of float32
    """
    facing = lung if side == "right" else lung[:, ::-1]
    rows = np.flatnonzero(facing.any(axis=1))
    wall = np.zeros_like(facing)
    lateral = facing.argmax(axis=1)
    wall[rows, lateral[rows]] = True
    columns = np.flatnonzero(facing.any(axis=0))
    top = facing.argmax(axis=0)
    middle = columns[: max(len(columns) // 2, 1)]
    # Upper edges below the lung's upper half belong to the lateral bulge of a lower lobe.
    upper = middle[top[middle] < rows[0] + len(rows) / 2]
    wall[top[upper], upper] = True
    widest = max(int(facing.sum(axis=1).max()), 1)
    distance = (ndimage.distance_transform_edt(~wall) / widest).astype(np.float32)
    return distance if side == "right" else distance[:, ::-1]


def _indices(labels: dict[str, NDArray[np.int8]]) -> dict[str, NDArray[np.intp]]:
    found: dict[str, NDArray[np.intp]] = {}
    for way in labels.values():
        flat = way.ravel()
        inside = np.flatnonzero(flat >= 0)
        order = inside[np.argsort(flat[inside], kind="stable")]
        ends = np.searchsorted(flat[order], np.arange(len(NAMES) + 1))
        for number, name in enumerate(NAMES):
            part = order[ends[number] : ends[number + 1]]
            if part.size:
                found[name] = part
    for name in NAMES:
        whole = found[f"{name.split('_')[0]}_whole"]
        if name not in found or found[name].size < FEWEST_PIXELS:
            found[name] = whole
    return {name: found[name] for name in NAMES}
