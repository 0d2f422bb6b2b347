"""How a reader outlines a pneumothorax: near its edge, never on it.

The challenge's masks were drawn by radiologists with a mouse. Here the exact edge is moved in and
out by an error that changes slowly along it, with a habit of drawing wide or tight on top, and the
pen rounds what is finer than itself.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from features.phantom.anatomy import Rng
from features.pixels import regions

WANDER = 1.5  # mm, standard deviation of errors that are drawn
ALONG = 14.0  # mm, their distance; between them the error is interpolated
HABIT = 0.8  # mm, standard deviation between readers of drawing wide or tight
PEN = 1.2  # mm, standard deviation of the blur that rounds corners
SMALLEST = 12.0  # mm2; a lesser piece is overlooked beside a larger one


def annotated(mask: np.ndarray, spacing_mm: float, rng: Rng) -> np.ndarray:
    """One reader's outline of a pneumothorax.

    Parameters
    ----------
    mask : (h, w) array of bool
        The exact mask.
    spacing_mm : float
        Side of a pixel.
    rng : Generator
        The reader.

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
    cells = [max(round(side * spacing_mm / ALONG), 1) + 1 for side in exact.shape]
    error = Image.fromarray(rng.standard_normal(cells, dtype=np.float32))
    wide = error.resize(exact.shape[::-1], Image.Resampling.BICUBIC)
    reach = WANDER * np.asarray(wide) + HABIT * rng.standard_normal()
    inside = (beyond * spacing_mm < reach).astype(np.float32)
    blurred = ndimage.gaussian_filter(inside, PEN / spacing_mm)
    drawn = np.zeros_like(mask)
    drawn[box] = _without_crumbs(blurred > 0.5, SMALLEST / spacing_mm**2)
    if not drawn.any():  # thinner than the pen: whoever sees it draws it too wide
        drawn[box] = beyond * spacing_mm < PEN
    return drawn


def _without_crumbs(drawn: np.ndarray, smallest: float) -> np.ndarray:
    """The pieces of at least so many pixels, and in any case the largest."""
    pieces, count = ndimage.label(drawn)
    if count < 2:
        return drawn
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (sizes >= min(smallest, sizes.max()))[pieces]
