"""Where a picture lies in its file, and how masks get from one to the other.

Everything is measured and drawn on the picture: its pixels are square and it has no border. Masks
come with files and go back to them, so they are on the file's grid, whose pixels may be oblong and
which holds the border too.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.reading.borders import Picture
from features.reading.square_pixels import resample_mask


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in its file.

    Parameters
    ----------
    file : (int, int)
        Rows and columns of the file.
    square : (int, int)
        The same once its pixels are square.
    corner : (int, int)
        First row and column of the picture in it: the widths of the border above and at the left.
    picture : (int, int)
        Rows and columns of the picture.
    """

    file: tuple[int, int]
    square: tuple[int, int]
    corner: tuple[int, int]
    picture: tuple[int, int]

    @classmethod
    def whole(cls, file: tuple[int, int], picture: tuple[int, int]) -> "Placement":
        """The placement of a picture without a border."""
        return cls(file, picture, (0, 0), picture)

    @property
    def is_file(self) -> bool:
        """Whether the picture is just the file's."""
        return self.file == self.square == self.picture

    def cut(self, to: Picture) -> "Placement":
        """The placement of some rows and columns of this picture."""
        corner = (self.corner[0] + to[0].start, self.corner[1] + to[1].start)
        size = to[0].stop - to[0].start, to[1].stop - to[1].start
        return replace(self, corner=corner, picture=size)

    def to_picture(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the file as one of the picture; what lies on the border is lost."""
        (top, left), (rows, columns) = self.corner, self.picture
        return resample_mask(mask, self.square)[top : top + rows, left : left + columns]

    def to_file(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the picture as one of the file; the border is empty."""
        (top, left), (rows, columns) = self.corner, self.picture
        whole = np.zeros(self.square, bool)
        whole[top : top + rows, left : left + columns] = mask
        return resample_mask(whole, self.file)
