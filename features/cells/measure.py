"""Small cells of the lungs, each described by named measures of its texture and its surroundings.

A cell is a square of 8 working pixels (16 of a 1024-pixel X-ray, some 5 mm). The feature table
describes whole zones of the lung; cells describe it place by place. Pixel maps are averaged over
the cell, its neighbours and a wider square. They are compared with the mirrored place in the other
lung, and averaged over all that lies between the cell and the lung's edges. For air in the pleural
space looks like this: a fine line, and beyond it, up to the chest wall, no vessels.

A measure is named ``map.view``, e.g. ``line_fine.near``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

from features.families.family import Measure
from features.lungs.prepared import CELL_SIDE, Image, Prepared, working_size
from features.lungs.zones import NAMES, SIDES
from features.pixels import filters

# A cell counts if this share of it lies in a lung.
LEAST_LUNG = 0.25
# Squared detail is averaged, then taken as a logarithm above this floor (lung units squared).
FLOOR = 1e-4

MAPS = {
    "grey": "grey level",
    "relief_fine": "brightness above that within some 6 pixels",
    "relief_coarse": "brightness above that within some 12 pixels",
    "detail_finest": "strength of the finest detail",
    "detail_fine": "strength of fine detail",
    "detail_medium": "strength of medium detail",
    "detail_coarse": "strength of coarse detail",
    "edge_fine": "steepness of fine edges",
    "edge_coarse": "steepness of coarse edges",
    "inwards_fine": "fine rise of brightness away from the chest wall",
    "inwards_coarse": "coarse rise of brightness away from the chest wall",
    "ridge_fine": "thin bright lines of any direction, as vessels are",
    "ridge_wide": "wide bright lines of any direction, as vessels are",
    "line_fine": "thin lines along the chest wall, as the pleura is",
    "line_wide": "wide lines along the chest wall, as the pleura is",
    "furrow_fine": "thin dark lines",
    "furrow_wide": "wide dark lines",
}
# They are squared, so their logarithms are taken.
ENERGIES = tuple(name for name in MAPS if name.startswith("detail"))
PEAKS = ("ridge_fine", "ridge_wide", "line_fine", "line_wide")
# Maps that are followed from the cell to the lung's edges.
FOLLOWED = (
    *("grey", "detail_finest", "detail_fine", "detail_medium", "inwards_fine"),
    *("ridge_fine", "ridge_wide", "line_wide"),
)
SQUARES = {"cell": 0, "near": 1, "wide": 3}
VIEWS = {
    "cell": "in the cell",
    "near": "in the cell and its neighbours",
    "wide": "in a wide square around the cell",
    "mirror": "around the cell, less the same place in the other lung",
    "peak": "at most in the cell",
}
WAYS = {
    "outwards": "on the way to the chest wall",
    "inwards": "on the way to the mediastinum",
    "upwards": "on the way to the apex",
    "downwards": "on the way to the diaphragm",
    "across": "on the side of the chest wall, less that on the side of the mediastinum",
    "along": "above the cell, less that below",
    "outwards_mirror": "on the way to the chest wall, less the same in the other lung",
    "upwards_mirror": "on the way to the apex, less the same in the other lung",
}
PLACE = {
    "depth": "distance from the chest wall as a share of the lung's width",
    "height": "distance from the lung's top as a share of its height",
    "across": "distance from the lateral edge as a share of the row",
}


def _measures() -> tuple[Measure, ...]:
    named = [(m, view) for view in (*SQUARES, "mirror") for m in MAPS]
    named += [(m, "peak") for m in PEAKS]
    listed = [Measure(f"{m}.{view}", f"{MAPS[m]} {VIEWS[view]}", "") for m, view in named]
    listed += [
        Measure(f"{m}.{way}", f"{MAPS[m]} {WAYS[way]}", "") for way in WAYS for m in FOLLOWED
    ]
    return (*listed, *(Measure(f"place.{name}", text, "") for name, text in PLACE.items()))


MEASURES = _measures()
# Place of each map in the order of `MAPS`.
_INDEX = {name: number for number, name in enumerate(MAPS)}


@dataclass(frozen=True)
class Cells:
    """The cells of one X-ray's lungs.

    Parameters
    ----------
    rows, columns : (n,) arrays of int16
        Place on the grid of cells.
    sides : (n,) array of int8
        Index into `SIDES`.
    zones : (n,) array of int8
        Index into `zones.NAMES` of the finest zone that most of the cell's lung lies in.
    values : (n, m) array of float32, or float16 as they are kept
        One column a measure of `MEASURES`.
    """

    rows: NDArray[np.int16]
    columns: NDArray[np.int16]
    sides: NDArray[np.int8]
    zones: NDArray[np.int8]
    values: NDArray[np.float32] | NDArray[np.float16]


def pixel_maps(image: Prepared) -> Image:
    """What is averaged over cells, in the order of `MAPS`; shape (maps, h, w)."""
    finest, fine, coarse = (image.smooth(sigma) for sigma in (1.0, 1.5, 4.0))
    three, six, twelve = (image.smooth(sigma) for sigma in (3.0, 6.0, 12.0))
    down, right = image.inwards
    bands = ((image.grey, finest), (finest, three), (three, six), (six, twelve))
    slopes = [np.gradient(smooth) for smooth in (fine, coarse)]
    maps = [fine, fine - six, three - twelve]
    maps += [(sharp - smooth) ** 2 for sharp, smooth in bands]
    maps += [np.hypot(*slope) for slope in slopes]
    maps += [slope[0] * down + slope[1] * right for slope in slopes]
    maps += [image.ridge(sigma) for sigma in (1.0, 2.0)]
    maps += [filters.ridge_across(image.smooth(s), image.inwards, s) for s in (1.0, 2.0)]
    maps += [filters.ridge(-image.smooth(sigma), sigma) for sigma in (1.0, 2.0)]
    return np.stack(maps, dtype=np.float32)


def blocks(maps: NDArray[Any]) -> NDArray[Any]:
    """Cut maps (..., h, w) into cells, (..., rows, columns, pixels); a remainder is left out."""
    *leading, height, width = maps.shape
    rows, columns = height // CELL_SIDE, width // CELL_SIDE
    whole = maps[..., : rows * CELL_SIDE, : columns * CELL_SIDE]
    cut = whole.reshape(*leading, rows, CELL_SIDE, columns, CELL_SIDE)
    return np.moveaxis(cut, -3, -2).reshape(*leading, rows, columns, CELL_SIDE**2)


def measure(image: Prepared) -> Cells:
    """Describe the cells of both lungs.

    Parameters
    ----------
    image : Prepared

    Returns
    -------
    Cells
        Row by row. No pixel outside the lungs takes part.
    """
    image = image.near_lungs  # half the pixels, and what other measures have computed of them
    lungs = np.stack((image.lungs.right, image.lungs.left)).astype(np.float32)
    shares = blocks(lungs).mean(axis=-1)
    lung = shares.sum(axis=0)
    used = lung >= LEAST_LUNG
    side = shares.argmax(axis=0)
    pixels = blocks(pixel_maps(image)) * blocks(lungs.sum(axis=0))
    depth = blocks(image.zones.wall_distance).mean(axis=-1) / np.maximum(lung, 1e-6)
    rows, columns = np.nonzero(used)
    return Cells(
        (rows + image.origin[0] // CELL_SIDE).astype(np.int16),
        (columns + image.origin[1] // CELL_SIDE).astype(np.int16),
        side[used].astype(np.int8),
        _zones(image.zones.finest, rows, columns),
        _values(pixels, depth, lung, used, side),
    )


def shares_of(
    mask: NDArray[np.bool_], rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Share of each cell that a mask covers.

    Parameters
    ----------
    mask : (h, w) array of bool
        Of the image's own size.
    rows, columns : (n,) arrays of int
        Places of the cells on their grid.

    Returns
    -------
    (n,) array of float32 in [0, 1]
    """
    return blocks(working_size(mask.astype(np.float32))).mean(axis=-1)[rows, columns]


def _values(
    pixels: NDArray[np.float32],
    depth: NDArray[np.float32],
    lung: NDArray[np.float32],
    used: NDArray[np.bool_],
    side: NDArray[np.intp],
) -> NDArray[np.float32]:
    """Values of all measures in the cells that are used, (n, measures).

    Parameters
    ----------
    pixels : (maps, rows, columns, pixels) array
        Maps cut into cells, 0 outside the lungs.
    depth : (rows, columns) array
        Distance of each cell from the chest wall.
    lung : (rows, columns) array
        Share of each cell that lies in a lung.
    used : (rows, columns) array of bool
    side : (rows, columns) array of int
        Index into `SIDES` of the lung that a cell belongs to.
    """
    means = pixels.mean(axis=-1) / np.maximum(lung, 1e-6)
    height, across = _place(used, side)
    mirror = _mirror(height[used], across[used], side[used])
    columns = [_logarithms(_square(means, lung, reach))[:, used] for reach in SQUARES.values()]
    near = columns[1]
    columns += [near - near[:, mirror]]
    columns += [pixels[[_INDEX[name] for name in PEAKS]].max(axis=-1)[:, used]]
    followed = means[[_INDEX[name] for name in FOLLOWED]]
    outwards, inwards, upwards, downwards = _follow(followed, lung * used, side)[..., used]
    columns += [outwards, inwards, upwards, downwards, outwards - inwards, upwards - downwards]
    columns += [outwards - outwards[:, mirror], upwards - upwards[:, mirror]]
    columns += [np.stack((depth[used], height[used], across[used]))]
    return np.concatenate(columns, dtype=np.float32).T


def _zones(
    labels: NDArray[np.int8], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.int8]:
    """The zone that most of a cell's pixels in the lung lie in."""
    pixels = blocks(labels)[rows, columns]
    counts = np.stack([(pixels == zone).sum(axis=1) for zone in range(len(NAMES))], axis=1)
    return counts.argmax(axis=1).astype(np.int8)


def _logarithms(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same means with the energies as logarithms."""
    values = means.copy()
    for number, name in enumerate(MAPS):
        if name in ENERGIES:
            values[number] = np.log(values[number] + FLOOR)
    return values


def _square(
    means: NDArray[np.float32], lung: NDArray[np.float32], reach: int
) -> NDArray[np.float32]:
    """Mean over the lung within `reach` cells of each cell."""
    if not reach:
        return means
    side = 2 * reach + 1
    sums = uniform_filter(means * lung, (0, side, side), mode="constant")
    return sums / np.maximum(uniform_filter(lung, side, mode="constant"), 1e-6)


def _place(used: NDArray[np.bool_], side: NDArray[np.intp]) -> NDArray[np.float64]:
    """Height in the lung and place across it from the lateral edge, each in [0, 1]."""
    place = np.zeros((2, *used.shape))
    for number in range(len(SIDES)):
        lung = used & (side == number)
        if not lung.any():
            continue
        rows, columns = np.nonzero(lung)
        first = lung.argmax(axis=1)[rows]
        last = lung.shape[1] - 1 - lung[:, ::-1].argmax(axis=1)[rows]
        share = (columns - first) / np.maximum(last - first, 1)
        place[0][lung] = (rows - rows[0]) / max(rows[-1] - rows[0], 1)
        place[1][lung] = share if number == 0 else 1 - share
    return place


def _mirror(
    height: NDArray[np.float64], across: NDArray[np.float64], side: NDArray[np.intp]
) -> NDArray[np.intp]:
    """For each cell the one at the same place of the other lung; itself if there is none."""
    # A lung is about twice as high as wide.
    places = np.stack((height, across / 2), axis=1)
    mirror = np.arange(len(height))
    right, left = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    if len(right) and len(left):
        mirror[right] = left[cKDTree(places[left]).query(places[right])[1]]
        mirror[left] = right[cKDTree(places[right]).query(places[left])[1]]
    return mirror


def _follow(
    means: NDArray[np.float32], weight: NDArray[np.float32], side: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Means from each cell outwards, inwards, upwards and downwards, (4, maps, rows, columns)."""
    followed = np.zeros((4, *means.shape), np.float32)
    for number in range(len(SIDES)):
        lung = side == number
        weights = weight * lung
        sums = np.concatenate((means * weights, weights[None]))
        from_left, from_top = np.cumsum(sums, axis=2), np.cumsum(sums, axis=1)
        # What lies up to and with the cell, and what lies from the cell on.
        to_right = from_left[:, :, -1:] - from_left + sums
        to_bottom = from_top[:, -1:] - from_top + sums
        ways = (from_left, to_right) if number == 0 else (to_right, from_left)
        for way, total in enumerate((*ways, from_top, to_bottom)):
            np.copyto(followed[way], total[:-1] / np.maximum(total[-1], 1e-6), where=lung)
    for number, name in enumerate(FOLLOWED):
        if name in ENERGIES:
            followed[:, number] = np.log(np.maximum(followed[:, number], 0) + FLOOR)
    return followed
