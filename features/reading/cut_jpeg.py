"""Where the scan of a JPEG ends early: a decoder fills what is left with one grey.

Blocks run along rows, so the filling begins in the middle of a row of blocks, below picture; a grey
border would begin at its edge, or go on above.
"""

import numpy as np
from numpy.typing import NDArray

# What a decoder fills with, and the sides of blocks: those of a picture whose colour has as many
# pixels as its brightness, and of the two kinds in use where it has fewer (ITU T.81, A.2.3).
FILLING, BLOCKS = 128, ((8, 8), (8, 16), (16, 16))


def first_filled_row(stored: NDArray[np.generic]) -> int | None:
    """The row of pixels in which the filling begins; None for a whole picture.

    Parameters
    ----------
    stored : (h, w) or (h, w, channels) array
        As a decoder of JPEG returns it, of 8 bits; not turned yet.
    """
    if (stored[-1, -1] != FILLING).any() or (stored[-8:, -8:] != FILLING).any():
        return None
    for block in BLOCKS:
        filled = _filled_blocks(stored, *block)
        pictured = np.flatnonzero(~filled)
        first = int(pictured[-1]) + 1 if len(pictured) else 0
        row, column = divmod(first, filled.shape[1])
        goes_on_above = row and filled[row - 1, column:].all()
        if column and filled.size - first > 1 and not goes_on_above:
            return row * block[0]
    return None


def _filled_blocks(stored: NDArray[np.generic], high: int, wide: int) -> NDArray[np.bool_]:
    """Which blocks hold nothing but the filling, (rows of blocks, columns of blocks)."""
    rows, columns = stored.shape[0] // high, stored.shape[1] // wide
    whole = stored[: rows * high, : columns * wide]
    return np.asarray((whole.reshape(rows, high, columns, wide, -1) == FILLING).all(axis=(1, 3, 4)))
