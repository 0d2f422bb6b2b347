"""RLE Lossless, DICOM's run-length coding of pixels by bytes (PS3.5, annex G).

A frame is up to 15 segments, one for each byte of a pixel, the highest first. What a segment
unpacks to is bounded by the picture, whatever its bytes say.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.storage.unreadable import UnreadableImage

# Bytes of the header: the number of segments, and where each begins.
HEADER = 64


def unpack(
    frame: bytes, shape: tuple[int, int], samples: int, width: int, path: Path
) -> NDArray[np.unsignedinteger]:
    """Decode a frame.

    Parameters
    ----------
    frame : bytes
    shape : (int, int)
        Rows and columns.
    samples : int
        Values of a pixel.
    width : int
        Bytes of a value: 1, 2 or 4.
    path : Path
        The file, for errors.

    Returns
    -------
    (h, w, samples) array of unsigned integers, little endian

    Raises
    ------
    UnreadableImage
        If the segments are not those of such a picture, or do not fill it.
    """
    size, count = shape[0] * shape[1], samples * width
    header = np.frombuffer(frame[:HEADER].ljust(HEADER, b"\0"), "<u4").astype(np.int64)
    if header[0] != count:
        raise UnreadableImage(
            f"{path}: its run-length coded pixels have {header[0]} segments, but the tags announce "
            f"{count}; the file is damaged."
        )
    edges = [*header[1 : count + 1].tolist(), len(frame)]
    data = np.frombuffer(frame, np.uint8)
    pixels = np.empty((size, samples, width), np.uint8)
    for number, (start, end) in enumerate(pairwise(edges)):
        plane = np.zeros(size, np.uint8)
        there = int(_unpack(data[max(start, HEADER) : end], plane))
        if not size <= there < size + shape[1]:
            raise UnreadableImage(
                f"{path}: segment {number + 1} of its run-length coded pixels has {there:,} bytes, "
                f"but the tags announce {size:,}; the file is damaged or cut short."
            )
        sample, place = divmod(number, width)
        pixels[:, sample, width - 1 - place] = plane
    return pixels.view(f"<u{width}").reshape(*shape, samples)


@njit(cache=True)
def _unpack(packed, plane):  # type: ignore[no-untyped-def]
    """Unpack as many bytes as the plane holds, and say how many there are."""
    here, filled = 0, 0
    while here < packed.size:
        head = int(packed[here])
        here += 1
        if head < 128:  # so many bytes as they are
            count = min(head + 1, packed.size - here)
            room = max(min(count, plane.size - filled), 0)
            plane[filled : filled + room] = packed[here : here + room]
            here += count
            filled += count
        elif head > 128 and here < packed.size:  # one byte so many times; 128 means nothing
            plane[filled : filled + 257 - head] = packed[here]
            here += 1
            filled += 257 - head
    return filled
