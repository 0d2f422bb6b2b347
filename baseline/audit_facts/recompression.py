"""Was a JPEG compressed once before, with the same tables? Then one more time changes little.

Each compression rounds the cosines of every block, and unpacking rounds the pixels. Cosines that
fall on an edge change once more at the next compression with the same tables, fewer each time. So
images that one program unpacked and another packed again can be told from those that were packed
once, although all tables are equal.

References
----------
Huang, Huang and Shi, "Detecting double JPEG compression with the same quantization matrix", IEEE
TIFS 5(4), 2010.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Pixels a side of the part in the middle that is compressed once more, and those of a block.
PART, BLOCK = 512, 8
# The largest level of 8 bits; what is further from a level than this was changed since.
WHITE, ROUNDING = 255, 1e-3


def changed_pixels(stream: bytes, pixels: NDArray[np.float32]) -> float | None:
    """How many pixels of a million one more compression with the same tables changes.

    Parameters
    ----------
    stream : bytes
        A JPEG, from the start-of-image marker on; what follows it does not matter.
    pixels : (h, w) array of float32 in [0, 1]
        Its picture.

    Returns
    -------
    float or None
        None where it is no grey JPEG of 8 bits, or the picture is not as it was unpacked.
    """
    try:
        image = Image.open(io.BytesIO(stream), formats=["JPEG"])
    except (OSError, SyntaxError, ValueError):
        return None
    if image.mode != "L":
        return None
    top, left = ((side - min(PART, side)) // 2 // BLOCK * BLOCK for side in pixels.shape)
    part = WHITE * pixels[top : top + PART, left : left + PART]
    levels = np.rint(part)
    if image.size[::-1] != pixels.shape or np.abs(part - levels).max() > ROUNDING:
        return None
    again = io.BytesIO()
    before = levels.astype(np.uint8)
    Image.fromarray(before).save(again, "JPEG", qtables=image.quantization)  # type: ignore[attr-defined]
    after = np.asarray(Image.open(again))
    return 1e6 * float(np.mean(after != before))
