"""Named zones that follow the lung, not the image.

Each lung is cut in height into apex, upper, middle, lower and base (with the costophrenic angle),
in depth into rim (along the chest wall, where a pneumothorax lies) and core (towards the hilum),
and in height and depth at once (the rim of the apex). Every zone of one lung has its mirror in the
other.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.lungs.fields import LungFields
from features.pixels import regions

SIDES = ("right", "left")
# Lower end of each height zone as a share of the lung's height; the apex is what lies above the
# clavicle in most adults, the base what the costophrenic angle takes.
HEIGHTS = {"apex": 0.15, "upper": 0.40, "middle": 0.65, "lower": 0.85, "base": 1.0}
DEPTHS = ("rim", "core")
# Depth of the rim as a share of the lung's widest row.
RIM_SHARE = 0.20
# A zone with fewer pixels is too small by itself and is measured on its whole lung instead.
FEWEST_PIXELS = 64

# The finest zones of a lung, of which all others are made up.
FINEST = tuple(f"{height}_{depth}" for height in HEIGHTS for depth in DEPTHS)
ZONES = ("whole", *HEIGHTS, *DEPTHS, *FINEST)
# The same of both lungs, the right one first.
NAMES = tuple(f"{side}_{zone}" for side in SIDES for zone in ZONES)
FINEST_NAMES = tuple(f"{side}_{zone}" for side in SIDES for zone in FINEST)


def enclosing(name: str) -> tuple[str, ...]:
    """The zones that one of the finest zones lies in, from its lung as a whole to itself.

    Parameters
    ----------
    name : str
        One of `FINEST_NAMES`, "left_apex_rim" for instance.
    """
    side, _, zone = name.partition("_")
    return tuple(f"{side}_{part}" for part in ("whole", *zone.split("_"), zone))


# Which of the finest zones (columns) make up which zone (rows).
PARENTS = np.array([[f in FINEST_NAMES and zone in enclosing(f) for f in NAMES] for zone in NAMES])


@dataclass(frozen=True)
class Zones:
    """Zones of both lungs.

    Parameters
    ----------
    labels : (4, h, w) array of int8
        One map for each way of cutting (whole, height, depth, height and depth): the index into
        `NAMES` of the zone a pixel belongs to, -1 outside the lungs.
    stand_in : (zones,) array of int
        The zone that each zone of `NAMES` is measured on: itself, or, where it has fewer than 64
        pixels, its whole lung.
    wall_distance : (h, w) array of float32
        Distance to the chest wall as a share of the lung's widest row, inside the lungs; it grows
        from 0 at the lateral and apical edge towards the hilum. Zero outside.
    """

    labels: NDArray[np.int8]
    stand_in: NDArray[np.intp]
    wall_distance: NDArray[np.float32]

    @property
    def finest(self) -> NDArray[np.int8]:
        """The map of the finest zones, shape (h, w)."""
        return self.labels[3]

    @cached_property
    def runs(self) -> NDArray[np.int32]:
        """The finest zones as runs of pixels along the rows, see `runs_of`."""
        return runs_of(self.finest)


def build(lungs: LungFields) -> Zones:
    """Cut both lung fields into zones.

    Parameters
    ----------
    lungs : LungFields
        Right and left lung field, each (h, w), neither empty.
    """
    labels = np.full((4, *lungs.right.shape), -1, np.int8)
    distance = np.zeros(lungs.right.shape, np.float32)
    ends = list(HEIGHTS.values())
    for side, lung in zip(SIDES, (lungs.right, lungs.left), strict=True):
        first = NAMES.index(f"{side}_whole")
        box = regions.box(lung)
        inside = lung[box]
        depth = wall_distance(inside, side)
        distance[box][inside] = depth[inside]
        height = np.arange(len(inside)) / max(len(inside) - 1, 1)
        # searchsorted maps a relative height to the index of the zone it lies in.
        level = np.searchsorted(ends, height).astype(np.int8)[:, None]
        core = (depth > RIM_SHARE).view(np.int8)
        zones = (
            np.zeros_like(core),
            ZONES.index("apex") + level,
            ZONES.index("rim") + core,
            ZONES.index(FINEST[0]) + len(DEPTHS) * level + core,
        )
        for label, zone in zip(labels, zones, strict=True):
            np.copyto(label[box], (first + zone).astype(np.int8), where=inside)
    return Zones(labels, _stand_in(labels[3]), distance)


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
        Zero outside the lung's bounding box.
    """
    box = regions.box(lung)
    facing = lung[box] if side == "right" else lung[box][:, ::-1]
    rows, columns = facing.shape
    wall = np.zeros_like(facing)
    wall[np.arange(rows), facing.argmax(axis=1)] = facing.any(axis=1)
    top = facing.argmax(axis=0)
    lateral = np.arange(max(columns // 2, 1))
    # Upper edges below the lung's upper half belong to the lateral bulge of a lower lobe.
    upper = lateral[(top[lateral] < rows / 2) & facing[:, lateral].any(axis=0)]
    wall[top[upper], upper] = True
    widest = int(facing.sum(axis=1).max())
    inside = np.sqrt(regions.squared_distance(wall), dtype=np.float64) / widest
    distance = np.zeros(lung.shape, np.float32)
    distance[box] = inside if side == "right" else inside[:, ::-1]
    return distance


@njit(cache=True)
def runs_of(labels):  # type: ignore[no-untyped-def]
    """Runs of pixels of one label.

    Parameters
    ----------
    labels : (h, w) array of int
        Negative where a pixel has none.

    Returns
    -------
    (runs, 4) array of int32
        Row, first column, end (exclusive) and label of each run.
    """
    rows, columns = labels.shape
    runs = np.empty((rows * columns, 4), np.int32)
    count = 0
    for row in range(rows):
        last = -1
        for column in range(columns):
            label = labels[row, column]
            if label != last:
                if last >= 0:
                    runs[count - 1, 2] = column
                if label >= 0:
                    runs[count, 0], runs[count, 1], runs[count, 3] = row, column, label
                    count += 1
                last = label
        if last >= 0:
            runs[count - 1, 2] = columns
    return runs[:count].copy()


def _stand_in(finest: NDArray[np.int8]) -> NDArray[np.intp]:
    _, start, end, zone = runs_of(finest).T
    pixels = PARENTS @ np.bincount(zone, end - start, len(NAMES))
    number = np.arange(len(NAMES))
    return np.where(pixels < FEWEST_PIXELS, number - number % len(ZONES), number)
