"""Copies of an X-ray as a gate must catch them: inverted, turned, mirrored, cut."""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)
CUT = 1 / 3  # share of the picture that is cut off
CUTS = ("cut at the top", "cut at the bottom", "cut at the left", "cut at the right")


def copies(picture: Picture, cut: float = CUT) -> Iterator[tuple[str, Picture]]:
    """Yield each kind of copy, by the names of `features.quality.gate.WORDS`, and the copy.

    Parameters
    ----------
    picture : (h, w) array in [0, 1]
        An upright chest, air dark, the heart at the viewer's right.
    cut : float
        Share of the picture that is cut off.
    """
    yield "good", picture
    yield "inverted", 1 - picture
    yield "turned left", np.rot90(picture)
    yield "turned right", np.rot90(picture, -1)
    yield "upside down", np.rot90(picture, 2)
    yield "mirrored", picture[:, ::-1]
    for kind in CUTS:
        yield kind, cut_at(kind, picture, cut)


def cut_at(kind: str, picture: NDArray[Value], cut: float) -> NDArray[Value]:
    """What a cut of this kind of `CUTS` leaves of a picture or mask (h, w)."""
    rows, columns = (round(cut * side) for side in picture.shape)
    if kind == "cut at the top":
        return picture[rows:]
    if kind == "cut at the bottom":
        return picture[: len(picture) - rows]
    if kind == "cut at the left":
        return picture[:, columns:]
    return picture[:, : picture.shape[1] - columns]
