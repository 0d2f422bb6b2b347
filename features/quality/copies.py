"""Copies of an X-ray as a gate must catch them: inverted, turned, mirrored, cut."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
CUT = 1 / 3  # share of the picture that is cut off


def copies(picture: Picture, cut: float = CUT) -> Iterator[tuple[str, Picture]]:
    """Yield each kind of copy, by the names of `features.quality.gate.WORDS`, and the copy.

    Parameters
    ----------
    picture : (h, w) array in [0, 1]
        An upright chest, air dark, the heart at the viewer's right.
    cut : float
        Share of the picture that is cut off.
    """
    rows, columns = (round(cut * side) for side in picture.shape)
    yield "good", picture
    yield "inverted", 1 - picture
    yield "turned left", np.rot90(picture)
    yield "turned right", np.rot90(picture, -1)
    yield "upside down", np.rot90(picture, 2)
    yield "mirrored", picture[:, ::-1]
    yield "cut at the top", picture[rows:]
    yield "cut at the bottom", picture[: len(picture) - rows]
    yield "cut at the left", picture[:, columns:]
    yield "cut at the right", picture[:, : picture.shape[1] - columns]
