"""All that is measured of one image: features, cells, quality, and the square that a network sees.

Its file is decoded once for all of them, and its lungs are looked for once.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cells import measure as cell_measures
from features.families import registry
from features.lungs.prepared import prepare
from features.quality import gate
from features.reading import images
from features.reading.study import Study
from features.squares.geometry import square_bytes


@dataclass(frozen=True)
class Choice:
    """What to measure.

    Parameters
    ----------
    families : tuple of str
        Families of features; none if cells alone are wanted.
    side : int
        Side in pixels of the square for a network; 0 for none.
    """

    families: tuple[str, ...] = registry.DEFAULT
    side: int = 0


USUAL = Choice()


@dataclass(frozen=True)
class Item:
    """An image to measure.

    Parameters
    ----------
    path : str
    size : (int, int)
        Rows and columns.
    """

    path: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Measured:
    """What was measured of an image.

    Parameters
    ----------
    features : dict
        By name.
    quality : Quality
        Whether it is a frontal chest X-ray.
    cells : Cells
        With values of float16.
    square : (side, side) array of uint8, optional
        What a network sees; 0 for air to 255.
    """

    features: dict[str, float]
    quality: gate.Quality
    cells: cell_measures.Cells
    square: NDArray[np.uint8] | None = None


def items_of(rows: pd.DataFrame) -> list[Item]:
    """The images of some rows of the dataset."""
    sizes = zip(rows["rows"].astype(int), rows["columns"].astype(int), strict=True)
    return [Item(str(path), size) for path, size in zip(rows["path"], sizes, strict=True)]


def measure_image(item: Item, choice: Choice = USUAL) -> Measured:
    """Read an image and measure it.

    Raises
    ------
    UnreadableImage
        If the image cannot be read.
    UserError
        If it has another size than the item says.
    """
    return measure_pixels(*images.read_as(item.path, item.size), choice)


def measure_pixels(study: Study, pixels: NDArray[np.float32], choice: Choice) -> Measured:
    """Measure an image that has been read.

    Parameters
    ----------
    study : Study
    pixels : (h, w) array of float32 in [0, 1]
        Air dark.
    choice : Choice
    """
    image = prepare(pixels)
    features = registry.measure(image, study, choice.families)
    finite = np.isfinite(np.fromiter(features.values(), float, len(features)))
    if not finite.all():
        name = list(features)[finite.argmin()]
        raise ArithmeticError(f"{study.path}: feature {name} is not finite")
    cells = cell_measures.measure(image)
    # As they are kept on the disk: half as much for a worker to hand on.
    cells = replace(cells, values=cells.values.astype(np.float16))
    quality = gate.examine(study, pixels, image.lungs)
    square = square_bytes(pixels, choice.side) if choice.side else None
    return Measured(features, quality, cells, square)
