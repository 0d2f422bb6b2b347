"""Pictures that are no X-ray, made by other means than those the quality gate has learned from."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WORDS = ("patient", "name", "born", "findings", "impression", "no acute", "disease", "report")


def blank(seed: int, side: int) -> NDArray[np.float32]:
    """One grey."""
    return np.full((side, side), seed % 3 / 2, np.float32)


def noise(seed: int, side: int) -> NDArray[np.float32]:
    """Uniform noise in squares of 1, 2, 8 or 32 pixels."""
    square = (1, 2, 8, 32)[seed % 4]
    coarse = np.random.default_rng([seed, 91]).random((-(-side // square), -(-side // square)))
    return np.kron(coarse, np.ones((square, square)))[:side, :side].astype(np.float32)


def text_page(seed: int, side: int) -> NDArray[np.float32]:
    """A page of words, dark on bright or bright on dark."""
    rng = np.random.default_rng([seed, 92])
    page = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(page)
    height = int(rng.integers(12, 28))
    for top in range(height, side - height, int(1.6 * height)):
        line = " ".join(rng.choice(WORDS, int(rng.integers(1, 9))))
        pen.text((height, top), line, fill=255, font_size=height)
    pixels = np.asarray(page, np.float32) / 255
    return pixels if seed % 2 else 1 - pixels
