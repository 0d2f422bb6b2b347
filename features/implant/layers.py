"""An X-ray of a lung in two layers: ribs and all that is large, and the lung's fine markings.

Edges of ribs, drains and wires go on along a line for centimetres; vessels and the lung's texture
do not. So averages along the direction of the strongest edges keep the former and take out the
latter, as in line integral convolution along the structure tensor.

References
----------
Weickert, "Coherence-enhancing diffusion filtering", IJCV 31(2/3), 1999. Cabral and Leedom, "Imaging
vector fields using line integral convolution", SIGGRAPH 1993.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.pixels import filters

FINE = 1.2  # working pixels; edges are those of the picture smoothed so much
AROUND = 2.0  # working pixels over which their direction is averaged
LENGTH = 18  # working pixels that a line is followed, both ways
UNCLEAR, CLEAR = 0.15, 0.55  # coherence at and below which there is no direction; from which on one
PASSES = 2  # the second takes from what the first left over, such as the thin cortex of ribs
TURN = 0.8  # cosine of the turn from one step to the next at which a line ends
BLUR = 4.0  # working pixels; where there is no direction

Image = NDArray[np.float32]


def steady(image: Image, wanted: NDArray[np.bool_]) -> Image:
    """The layer of ribs and of all that is large; what is left of the image are markings.

    Parameters
    ----------
    image : (h, w) array of float32
    wanted : (h, w) array of bool
        Where it is needed; elsewhere the layer is just the smoothed image.

    Returns
    -------
    (h, w) array of float32
    """
    weights = np.linspace(1, 0, LENGTH, endpoint=False, dtype=np.float32)
    layer = np.zeros_like(image)
    for _ in range(PASSES):
        left = image - layer
        direction, coherence = _direction(left)
        smooth = filters.gaussian(left, BLUR)
        along = _along(left, wanted, direction, weights, np.float32(TURN))
        layer = layer + np.where(wanted, smooth + coherence * (along - smooth), smooth)
    return layer


def _direction(image: Image) -> tuple[Image, Image]:
    """Unit vectors (down, across) along edges, (2, h, w), and how clear they are, 0..1, (h, w)."""
    slopes = np.gradient(filters.gaussian(image, FINE))
    down, across = (np.asarray(slope, np.float32) for slope in slopes)
    dd, da, aa = (filters.gaussian(part, AROUND) for part in (down**2, down * across, across**2))
    spread = np.hypot(dd - aa, 2 * da)
    coherence = spread / np.maximum(dd + aa, 1e-12)
    clear = np.clip((coherence - UNCLEAR) / (CLEAR - UNCLEAR), 0, 1).astype(np.float32)
    steepest = 0.5 * np.arctan2(2 * da, dd - aa)  # from straight down towards across
    return np.stack((-np.sin(steepest), np.cos(steepest))).astype(np.float32), clear


@njit(cache=True, fastmath=True)
def _along(image, wanted, direction, weights, turn):  # type: ignore[no-untyped-def]
    """Mean along the line through each pixel, weights falling to 0 at its ends."""
    rows, columns = image.shape
    output = image.copy()
    for row in range(rows):
        for column in range(columns):
            if not wanted[row, column]:
                continue
            total, weight = image[row, column], weights[0]
            for way in (np.float32(-1), np.float32(1)):
                y, x = np.float32(row), np.float32(column)
                down, across = way * direction[0, row, column], way * direction[1, row, column]
                for step in range(1, len(weights)):
                    y += down
                    x += across
                    i, j = int(y + np.float32(0.5)), int(x + np.float32(0.5))
                    if y < 0 or x < 0 or i >= rows or j >= columns:
                        break
                    total += weights[step] * image[i, j]
                    weight += weights[step]
                    next_down, next_across = direction[0, i, j], direction[1, i, j]
                    same = next_down * down + next_across * across
                    if abs(same) < turn:
                        break
                    sign = np.float32(1) if same > 0 else np.float32(-1)
                    down, across = sign * next_down, sign * next_across
            output[row, column] = total / weight
    return output
