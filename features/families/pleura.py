"""Pleural-line family: thin bright lines that run along the chest wall, and the step across them.

In a pneumothorax the lung's edge shows as a thin line, parallel to the chest wall and some way off
it, with darker air on its outer side (Collins and Stern, *Chest Radiology*, 2015). A line is a
ridge: the image, smoothed at the line's width, curves downwards across it and hardly along it
(Steger, "An unbiased detector of curvilinear structures", IEEE TPAMI 20(2), 1998).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from features.families import zonal
from features.families.family import Family, Measure
from features.lungs.prepared import Prepared
from features.pixels import filters

# Width of a pleural line, as the sigma of the Gaussian that finds it, in pixels of the 512.
SIGMA = 1.5
# A ridge weaker than this (in lung units) is noise; a line shorter than this (pixels) is a vessel.
WEAKEST = 0.04
SHORTEST = 16
# The step is read this many pixels to either side of the line.
REACH = 4

MEASURES = (
    Measure("response", "mean strength of ridges along the chest wall", "lung units"),
    Measure(
        "length",
        "share of the zone that lies on lines along the chest wall; a pleural line adds to it",
        "share",
    ),
    Measure("longest", "length of the longest line along the chest wall that enters it", "pixels"),
    Measure(
        "contrast",
        "brightness of lines along the chest wall above their surroundings",
        "lung units",
    ),
    Measure(
        "step",
        "step in brightness across lines along the chest wall, inside minus outside; above 0 if "
        "air lies outside",
        "lung units",
    ),
    Measure(
        "distance",
        "mean distance to the chest wall of lines that run along it; 0 if there are none",
        "lung widths",
    ),
)


def measure(image: Prepared) -> NDArray[np.float64]:
    """Pleural-line measures of every zone, shape (zones, measures)."""
    inwards = image.inwards
    strength = filters.ridge_across(image.smooth(SIGMA), inwards, SIGMA)
    line, length = lines(strength, inwards, image.lungs.right | image.lungs.left)
    rows, columns = np.nonzero(line)
    contrast, step, distance = (np.zeros(line.shape, np.float32) for _ in range(3))
    contrast[line] = strength[line]
    step[rows, columns] = _step(image.grey, rows, columns, inwards[:, rows, columns])
    distance[line] = image.zones.wall_distance[line]
    mean = zonal.means((strength, line, contrast, step, distance), image.zones)
    per_line = mean[:, 2:] / np.maximum(mean[:, 1:2], 1e-9)
    return np.column_stack((mean[:, :2], zonal.largest(length, image.zones), per_line))


def lines(
    strength: NDArray[np.float32], inwards: NDArray[np.float32], lungs: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Centre lines of long ridges.

    Returns
    -------
    line : (h, w) array of bool
        Ridge pixels that are strongest across the ridge, in pieces of at least 16 pixels.
    length : (h, w) array of float32
        Number of pixels of the piece that a pixel belongs to; 0 off the lines.
    """
    rows, columns = np.nonzero((strength > WEAKEST) & lungs)
    here = strength[rows, columns]
    y, x = (np.rint(inwards[axis, rows, columns]).astype(np.intp) for axis in (0, 1))
    h, w = strength.shape
    crest = np.ones(len(rows), bool)
    for sign in (-1, 1):
        beside = strength[(rows + sign * y).clip(0, h - 1), (columns + sign * x).clip(0, w - 1)]
        crest &= here >= beside
    line = np.zeros(strength.shape, bool)
    line[rows[crest], columns[crest]] = True
    pieces, _ = ndimage.label(line, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel()).astype(np.float32)
    sizes[0] = 0
    sizes[sizes < SHORTEST] = 0
    length = sizes[pieces]
    return length > 0, length


def _step(
    grey: NDArray[np.float32],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    inwards: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Grey level inside of the line minus that outside."""
    h, w = grey.shape
    sides = []
    for reach in (REACH, -REACH):
        y = np.rint(rows + reach * inwards[0]).astype(np.intp).clip(0, h - 1)
        x = np.rint(columns + reach * inwards[1]).astype(np.intp).clip(0, w - 1)
        sides.append(grey[y, x])
    return sides[0] - sides[1]


FAMILY = Family("pleura", MEASURES, measure)
