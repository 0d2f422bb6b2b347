"""The run-length code of the SIIM-ACR challenge.

Pairs ``gap length``: each gap counts from the end of the run before it (the first from pixel 0),
and pixels run down the columns of the image. An empty mask is ``-1``. Unlike the challenge's own
``mask2rle``, a run that reaches the last pixel is kept.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from features.run.files import UserError

EMPTY = "-1"
# More pixels than any image has; sums of such numbers still fit 64 bits.
LONGEST = 2**31
# More characters a pixel than any code has, so that one of megabytes is refused as it is.
CHARACTERS = 16


def encode(mask: NDArray[np.bool_]) -> str:
    """Encode a mask.

    Parameters
    ----------
    mask : (h, w) array
        Nonzero where there is pneumothorax.

    Returns
    -------
    str
        The pairs ``gap length`` separated by spaces; ``-1`` if the mask is empty.
    """
    flat = np.ascontiguousarray(np.asarray(mask).T).ravel() != 0
    # A run begins or ends where a pixel differs from the one before it; the ends of the image
    # count as background, so a run that reaches the last pixel is closed there.
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate(([0] * bool(flat[0]), edges, [flat.size] * bool(flat[-1])))
    if edges.size == 0:
        return EMPTY
    # edges = start0, end0, start1, end1 ...: their differences alternate gaps and lengths.
    return " ".join(map(str, np.diff(edges, prepend=0).astype(np.int64).tolist()))


def runs(text: str) -> NDArray[np.int64]:
    """Parse a code into absolute runs.

    Returns
    -------
    (n, 2) array of int
        First pixel and length of each run, in column-major order; (0, 2) for an empty mask.

    Raises
    ------
    UserError
        If the code is not made of pairs of non-negative integers, or a length is zero.
    """
    text = text.strip()
    if text == EMPTY:
        return np.zeros((0, 2), np.int64)
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        raise UserError(
            f"run-length code {text[:40]!r}: only whole numbers may stand in it."
        ) from None
    if numbers.size == 0 or numbers.size % 2:
        raise UserError(
            f"run-length code {text[:40]!r}: {numbers.size} numbers are no list of pairs "
            "'gap length' (an empty mask is '-1')."
        )
    gaps, lengths = numbers[0::2], numbers[1::2]
    if (numbers > LONGEST).any():
        raise UserError(f"run-length code {text[:40]!r}: a number is larger than any image.")
    if (gaps < 0).any() or (lengths <= 0).any():
        raise UserError(
            f"run-length code {text[:40]!r}: gaps must be at least 0 and lengths at least 1."
        )
    starts = np.cumsum(gaps) + np.concatenate(([0], np.cumsum(lengths)[:-1]))
    return np.stack((starts, lengths), axis=1)


def area(text: str) -> int:
    """Number of pixels in a mask, by its code."""
    return int(runs(text)[:, 1].sum())


def runs_inside(text: str, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Parse a code whose runs lie within an image, see `runs`.

    Parameters
    ----------
    text : str
        Pairs ``gap length``, or ``-1``.
    shape : (int, int)
        Rows and columns of the image.

    Raises
    ------
    UserError
        If the code is malformed or a run leaves the image.
    """
    size = shape[0] * shape[1]
    if len(text) > CHARACTERS * size + CHARACTERS:
        raise UserError(
            f"run-length code {text[:40]!r}: its {len(text)} characters are more than any mask of "
            f"a {shape[0]}x{shape[1]} image needs."
        )
    spans = runs(text)
    if spans.size and spans[-1].sum() > size:
        raise UserError(
            f"run-length code {text[:40]!r}: its last run ends at pixel {spans[-1].sum()}, beyond "
            f"the {size} pixels of a {shape[0]}x{shape[1]} image."
        )
    return spans


def decode(text: str, shape: tuple[int, int] = (1024, 1024)) -> NDArray[np.bool_]:
    """Decode a mask.

    Parameters
    ----------
    text : str
        Pairs ``gap length``, or ``-1``.
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    (h, w) array of bool

    Raises
    ------
    UserError
        If the code is malformed or a run leaves the image.
    """
    spans = runs_inside(text, shape)
    size = shape[0] * shape[1]
    # Background up to each start, mask up to each end, background up to the last pixel.
    lengths = np.diff(
        np.append(np.stack((spans[:, 0], spans.sum(axis=1)), 1).ravel(), size), prepend=0
    )
    flat = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
    return flat.reshape(shape[1], shape[0]).T


def union(texts: Iterable[str], shape: tuple[int, int] = (1024, 1024)) -> str:
    """Join the annotations of one image, which may overlap, into one code."""
    joined = np.zeros(shape, bool)
    for text in texts:
        joined |= decode(text, shape)
    return encode(joined)
