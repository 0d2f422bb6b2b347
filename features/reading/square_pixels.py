"""Between the grid of a file, whose pixels may be oblong, and the picture's, whose are square.

Everything is measured and drawn on the picture: lengths and directions would be wrong on oblong
pixels. A file of square pixels is its picture. Otherwise the pixels' longer side is divided until
they are as long as wide. Masks go either way by the nearest pixel, so that a mask that came from
the file comes back to it unchanged.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from features.storage.unreadable import UnreadableImage

# Pixels are square but for rounding below this ratio of their sides, and damaged above the other.
ROUNDING, LARGEST_RATIO = 1.01, 4.0


def picture_size(
    shape: tuple[int, int], pixel: tuple[float, float] | None, path: Path
) -> tuple[int, int]:
    """Rows and columns of the picture with square pixels.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the file.
    pixel : (float, float) or None
        Height and width of a pixel, in any unit; None where the file does not say.
    path : Path
        The file, for errors.

    Raises
    ------
    UnreadableImage
        If a pixel is more than 4 times as long as wide.
    """
    if pixel is None:
        return shape
    height, width = pixel
    ratio = max(height, width) / min(height, width)
    if ratio < ROUNDING:
        return shape
    if ratio > LARGEST_RATIO:
        raise UnreadableImage(
            f"{path}: its pixels are {height:g} by {width:g}, tag PixelSpacing (0028,0030), "
            "ImagerPixelSpacing (0018,1164) or PixelAspectRatio (0028,0034); pixels of an X-ray "
            f"are at most {LARGEST_RATIO:g} times as long as wide, so the tag is wrong."
        )
    if height > width:
        return round(shape[0] * ratio), shape[1]
    return shape[0], round(shape[1] * ratio)


def to_picture(pixels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate the file's grey levels (h, w) onto the picture's grid of `size`."""
    if pixels.shape == size:
        return pixels
    return np.clip(resize(pixels, size, order=1, mode="edge"), 0, 1).astype(np.float32)


def resample_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask (h, w) on another grid of the same picture, by the nearest pixel."""
    if mask.shape == size:
        return mask
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, mask.shape, strict=True)
    )
    return mask[rows[:, None], columns]
