"""Stored values become grey levels from 0 to 1, air dark and bone bright."""

import numpy as np
from numpy.typing import NDArray

# Percent of a deep image's pixels that do not count: dead pixels; burnt-in letters and markers.
DARKEST, BRIGHTEST = 0.1, 0.5
# Channels of a grey picture stored as colours differ by so many levels of 256 at most, by JPEG's
# rounding.
COLOUR_ROUNDING = 4


def to_unit(
    stored: NDArray[np.generic],
    bits: int,
    inverted: bool = False,
    padding: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Scale stored values to [0, 1]: 8-bit ones by their range, others nearly by their extremes.

    Parameters
    ----------
    stored : (h, w) array
    bits : int
        Bits that a value may use.
    inverted : bool
        Whether the largest value is black.
    padding : (h, w) array of bool, optional
        Pixels that do not count.

    Returns
    -------
    (h, w) array of float32
    """
    if bits == 8 and stored.dtype == np.uint8:
        # Exact, where 1 - x would round.
        levels = 255 - stored.view(np.uint8) if inverted else stored
        return np.divide(levels, np.float32(255), dtype=np.float32)
    values = stored.astype(np.float32)
    picture = values if padding is None or padding.all() else values[~padding]
    if bits == 8 and picture.min() >= 0:
        low, high = 0.0, 255.0
    else:
        darkest, brightest = (BRIGHTEST, DARKEST) if inverted else (DARKEST, BRIGHTEST)
        low, high = np.percentile(picture, (darkest, 100 - brightest))
    if high - low < 1e-6:
        low, high = float(picture.min()), float(picture.max())
    unit = np.clip((values - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return 1 - unit if inverted else unit


def middle_channel(colours: NDArray[np.generic], bits: int) -> NDArray[np.generic] | None:
    """The grey of a picture stored as colours; None where it is truly coloured.

    Parameters
    ----------
    colours : (h, w, 3) array of unsigned int
        Red, green and blue; luminance and two differences are known by the differences' middle.
    bits : int
        Bits that a value may use.
    """
    red, green, blue = (colours[..., channel].astype(np.int64) for channel in range(3))
    allowed = COLOUR_ROUNDING * 2 ** (bits - 8) if bits > 8 else COLOUR_ROUNDING
    if max(np.abs(red - green).max(), np.abs(blue - green).max()) <= allowed:
        return colours[..., 1]
    middle = 2 ** (bits - 1)
    if max(np.abs(green - middle).max(), np.abs(blue - middle).max()) <= allowed:
        return colours[..., 0]
    return None
