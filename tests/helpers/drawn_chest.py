"""A chest of a few ellipses, whose lungs are known."""

import numpy as np
from scipy import ndimage


def drawn_chest(size: int = 256) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A chest of a few ellipses: pixels, right lung, left lung."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]

    def ellipse(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1

    body = (np.abs(x) < 0.85) & (y > -0.75 + 0.4 * np.abs(x))
    abdomen = y > 0.5 + 0.6 * x**2 - 0.25
    right = ellipse(-0.42, -0.05, 0.27, 0.6) & ~abdomen
    left = ellipse(0.42, -0.05, 0.27, 0.6) & ~abdomen & ~ellipse(0.15, 0.2, 0.25, 0.3)
    pixels = 0.05 + 0.6 * body + 0.2 * abdomen * body + 0.15 * (np.abs(x) < 0.08)
    pixels = np.where(right | left, 0.25 + 0.05 * np.sin(25 * y + 6 * np.abs(x)), pixels)
    pixels = ndimage.gaussian_filter(pixels, size / 128)
    return pixels.astype(np.float32), right, left
