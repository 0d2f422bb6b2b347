"""What the network sees of an X-ray: grey in lung units, and where in the lungs each pixel lies.

Grey levels of an X-ray have no unit, since exposure and display processing scale and shift them;
in lung units (0 = median of both lungs, 1 = their interquartile range) they can be compared. A few
dozen annotated images are too few to learn anatomy from, so it comes along as two guides: the
distance to the edge of the lungs, along which a pneumothorax lies, and the height between their
base and their top, to which its air rises.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cnn.geometry import to_square
from features import images, lungs, prepared, rle

PLANES = 3
# The distance guide ends here on either side of the lungs' edge, as a share of the image's side.
REACH = 0.125
# The height guide goes on so far beyond the lungs, as a share of their height.
BEYOND = 0.2


def planes(pixels: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Measure and resample one X-ray.

    Parameters
    ----------
    pixels : (h, w) array of float32 in [0, 1]
        Air dark.
    size : int
        Side of the network's square in pixels.

    Returns
    -------
    (size, size, PLANES) array of uint8
        Each plane's range as 0 to 255: grey from -4 to 4 lung units; distance to the lungs' edge
        from `REACH` outside to `REACH` inside; height from `BEYOND` above the lungs to `BEYOND`
        below.
    """
    image = to_square(pixels, size)
    fields = lungs.segment(prepared.working_size(pixels))
    inside = to_square((fields.right | fields.left).astype(np.float32), size) > 0.5
    if not inside.any():  # lungs too thin for this size: the whole image stands for them
        inside[:] = True
    low, middle, high = np.percentile(image[inside], (25, 50, 75))
    # A constant lung has no spread; one grey level of 8 bits stands in for it.
    grey = (image - middle) / max(high - low, 1 / 255) / (2 * prepared.CLIP) + 0.5
    depth = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    rows = np.flatnonzero(inside.any(axis=1))
    height = (np.arange(size) - rows[0]) / max(int(rows[-1] - rows[0]), 1)
    guides = (
        depth / size / (2 * REACH) + 0.5,
        np.broadcast_to(((height + BEYOND) / (1 + 2 * BEYOND))[:, None], image.shape),
    )
    return to_bytes(np.stack((grey, *guides), axis=-1))


def read_planes(path: Path | str, size: int) -> NDArray[np.uint8]:
    """Read one X-ray as the network sees it, see `planes`."""
    _, pixels = images.read(path)
    return planes(pixels, size)


def read_pair(item: tuple[str, str, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one X-ray with its annotation.

    Parameters
    ----------
    item : (path, code, size)
        The image file, its run-length code in the image's own pixels, the side of the square.

    Returns
    -------
    image : (size, size, PLANES) array of uint8
    mask : (size, size) array of uint8
        Shares of a pixel covered by lesion, 255 for all of it.
    """
    path, code, size = item
    _, pixels = images.read(path)
    mask = rle.decode(code, (pixels.shape[0], pixels.shape[1]))
    return planes(pixels, size), to_bytes(to_square(mask.astype(np.float32), size))


def to_bytes(unit: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values in [0, 1], what is beyond cut off, as 0 to 255."""
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
