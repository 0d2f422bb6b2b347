"""Confounder family: what often goes with a pneumothorax, or with its treatment, but is none.

A chest tube shows that the pneumothorax is known and treated. A lead or a wire is a line, but no
pleura. Gas under the skin (subcutaneous emphysema) may come with a pneumothorax, and is then a sign
of it. Burnt-in text identifies the scanner. Lines within the lungs are long bright ridges, whatever
they are: a pleural line may be among them. As a family of their own they can be left out, and their
share of a prediction can be reported.

References
----------
Oakden-Rayner et al., "Hidden stratification causes clinically meaningful failures in machine
learning for medical imaging", CHIL 2020, on chest tubes in this very disease.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from features.families.family import Family, Measure
from features.lungs.prepared import Prepared
from features.lungs.zones import SIDES
from features.pixels import filters, regions
from features.reading.study import Study

ZONES = ("whole",)
# A tube is a ridge this strong (lung units) and as long as this share of the image's height.
STRONG, LONG = 0.12, 0.14
# The strip of chest wall beside the lung, in lung widths off its edge.
STRIP = (0.04, 0.22)
# Edges of letters are steeper than anything in a body, in lung units a pixel.
STEEP = 0.8

MEASURES = (
    Measure(
        "tubes",
        "length of long bright lines such as tubes and leads; a pleural line may pass for one",
        "lung heights",
    ),
    Measure(
        "tube_contrast",
        "brightness of long bright lines above their surroundings; a pleural line may pass for one",
        "lung units",
    ),
    Measure(
        "wall_detail",
        "fine detail in the chest wall beside the lung; gas under the skin makes streaks",
        "lung units",
    ),
    Measure(
        "wall_dark",
        "share of the chest wall beside the lung that is as dark as lung, as gas under the skin is",
        "share",
    ),
)
IMAGE_MEASURES = (
    Measure("lines", "share of the image outside the lungs on long bright lines", "share"),
    Measure("text", "share of the image outside the lungs with edges as steep as letters", "share"),
)


def measure(image: Prepared) -> NDArray[np.float64]:
    """Confounders beside and in each lung, shape (2, measures)."""
    near = image.near_lungs
    strength = near.ridge(1.5)
    rows = []
    for number, side in enumerate(SIDES):
        lung = (image.lungs.right, image.lungs.left)[number]
        inside = (near.lungs.right, near.lungs.left)[number]
        height = max(int(lung.any(axis=1).sum()), 1)
        length, contrast, _ = long_lines(strength, inside, LONG * len(lung))
        strip = chest_wall(lung, side)
        grey = image.scene[strip]
        detail = np.abs(grey - image.smooth_scene[strip])
        rows.append(
            (
                length / height,
                contrast,
                float(detail.mean()) if len(grey) else 0.0,
                float((grey < 0).mean()) if len(grey) else 0.0,
            )
        )
    return np.array(rows)


def measure_image(image: Prepared, study: Study) -> tuple[float, ...]:
    """Lines and text outside the lungs."""
    outside = ~(image.lungs.right | image.lungs.left)
    # The clipped scene's edges: what is brighter than 4 lung units is metal, text or thick bone.
    strength = filters.ridge(image.smooth_scene, 1.5)
    _, _, on = long_lines(strength, outside, LONG * len(outside))
    count = max(int(outside.sum()), 1)
    return on / count, _steep(image.scene, outside, np.float32(STEEP)) / count


def long_lines(
    strength: NDArray[np.floating], region: NDArray[np.bool_], shortest: float
) -> tuple[float, float, int]:
    """Length in pixels of long bright ridges, their mean strength, and their number of pixels.

    The length of a piece is the diagonal of its bounding box.

    Parameters
    ----------
    strength : (h, w) array
        Of ridges, see `filters.ridge`.
    region : (h, w) array of bool
        Where to look.
    shortest : float
        Length in pixels that a line must exceed.
    """
    pieces, count = ndimage.label((strength > STRONG) & region, np.ones((3, 3)))
    diagonal, size, total = regions.measure_pieces(pieces, strength, count)
    long = diagonal > shortest
    pixels = int(size[long].sum())
    return float(diagonal[long].sum()), float(total[long].sum()) / max(pixels, 1), pixels


@njit(cache=True)
def _steep(image, region, limit):  # type: ignore[no-untyped-def]
    """Number of pixels of a region whose gradient exceeds a limit."""
    count = 0
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            down, across = filters.slope(image, row, column)
            count += region[row, column] and filters.norm(down, across) > limit
    return count


def chest_wall(lung: NDArray[np.bool_], side: str) -> NDArray[np.bool_]:
    """Strip of chest wall lateral to a lung, cut off at the image's edge.

    Parameters
    ----------
    lung : (h, w) array of bool
    side : {"right", "left"}
        The right lung lies on the left of the image, its chest wall further left.

    Returns
    -------
    (h, w) array of bool
    """
    facing = lung if side == "right" else lung[:, ::-1]
    rows = np.flatnonzero(facing.any(axis=1))
    # The apex and the base curve away from the wall; their rows would read the shoulder and belly.
    rows = rows[len(rows) // 5 : max(4 * len(rows) // 5, len(rows) // 5 + 1)]
    widest = max(int(facing.sum(axis=1).max()), 1)
    near, far = (np.zeros(len(lung), np.int16) for _ in range(2))
    lateral = facing[rows].argmax(axis=1)
    near[rows] = lateral - round(STRIP[0] * widest)
    far[rows] = lateral - round(STRIP[1] * widest)
    column = np.arange(lung.shape[1], dtype=np.int16)
    strip = (column >= far[:, None]) & (column < near[:, None])
    return strip if side == "right" else strip[:, ::-1]


FAMILY = Family(
    "confounders",
    MEASURES,
    measure,
    zones=ZONES,
    image_measures=IMAGE_MEASURES,
    measure_image=measure_image,
)
