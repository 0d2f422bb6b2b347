"""The mask that a reader draws: near the exact edge of a pneumothorax, never right on it.

The challenge's masks were drawn by radiologists with a mouse. Here an error that changes slowly
along the exact edge moves it in and out. Each reader also has a habit of drawing wide or tight, and
the pen rounds small details.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from features.phantom.streams import Rng
from features.pixels import regions

WANDER = 1.5  # mm, standard deviation of errors that are drawn
ALONG = 14.0  # mm from one such error to the next; between them they are interpolated
HABIT = 0.8  # mm, standard deviation of how wide or tight readers draw
PEN = 1.2  # mm, standard deviation of the blur that rounds corners
SMALLEST = 12.0  # mm2; a reader overlooks a smaller piece beside a larger one


def annotate(mask: np.ndarray, spacing_mm: float, rng: Rng) -> np.ndarray:
    """The mask of a pneumothorax as one reader draws it.

    Parameters
    ----------
    mask : (h, w) array of bool
        The exact mask.
    spacing_mm : float
        Side of a pixel.
    rng : Generator
        The reader's errors and habit.

    Returns
    -------
    (h, w) array of bool
        Not empty, unless the mask is.
    """
    if not mask.any():
        return mask.copy()
    box = regions.box(mask, round(6 / spacing_mm))
    exact = mask[box]
    beyond = ndimage.distance_transform_edt(~exact) - ndimage.distance_transform_edt(exact)
    shape = [max(round(side * spacing_mm / ALONG), 1) + 1 for side in exact.shape]
    error = Image.fromarray(rng.standard_normal(shape, dtype=np.float32))
    wide = error.resize(exact.shape[::-1], Image.Resampling.BICUBIC)
    reach = WANDER * np.asarray(wide) + HABIT * rng.standard_normal()
    inside = (beyond * spacing_mm < reach).astype(np.float32)
    blurred = ndimage.gaussian_filter(inside, PEN / spacing_mm)
    drawn = np.zeros_like(mask)
    drawn[box] = _without_crumbs(blurred > 0.5, SMALLEST / spacing_mm**2)
    if not drawn.any():  # thinner than the pen, so it is drawn too wide
        drawn[box] = beyond * spacing_mm < PEN
    return drawn


def _without_crumbs(drawn: np.ndarray, smallest: float) -> np.ndarray:
    """The pieces of at least `smallest` pixels, and the largest whatever its size."""
    pieces, count = ndimage.label(drawn)
    if count < 2:
        return drawn
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (sizes >= min(smallest, sizes.max()))[pieces]
