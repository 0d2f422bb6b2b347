"""What the header of a compressed picture announces, read before anything is decoded."""

import struct
from dataclasses import dataclass

# Markers that begin a frame of JPEG (ITU-T T.81, table B.1) or JPEG-LS (T.87).
FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# Markers without a length.
BARE = {0x01, *range(0xD0, 0xD9)}
JPEG, JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Of JPEG 2000 (T.800): start of codestream, and the marker of its size that follows.
JPEG_2000 = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Announced:
    """Size of a compressed picture, bits of a value and values of a pixel."""

    rows: int
    columns: int
    bits: int
    components: int


def announced(stream: bytes) -> Announced | None:
    """What a JPEG, JPEG-LS or JPEG 2000 stream announces; None where it is none of them."""
    try:
        return _of_jpeg(stream) if stream[:2] == JPEG else _of_jpeg_2000(stream)
    except (struct.error, LookupError, ValueError):
        return None


def _of_jpeg(stream: bytes) -> Announced | None:
    place = 2
    while True:
        place = stream.index(b"\xff", place)
        marker = stream[place + 1]
        if marker in FRAMES:
            bits, rows, columns, components = struct.unpack_from(">BHHB", stream, place + 4)
            return Announced(rows, columns, bits, components)
        if marker == 0xFF or marker in BARE or marker == 0:
            place += 1 if marker == 0xFF else 2
        else:
            place += 2 + struct.unpack_from(">H", stream, place + 2)[0]


def _of_jpeg_2000(stream: bytes) -> Announced | None:
    place = stream.find(JPEG_2000)  # in a JP2 file, behind its boxes
    if place < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", stream, place + 8)
    components, depth = struct.unpack_from(">HB", stream, place + 40)
    return Announced(bottom - top, right - left, (depth & 0x7F) + 1, components)


def pictures(fragments: list[bytes]) -> int:
    """How many pictures begin in the fragments of an encapsulated value."""
    return sum(fragment.startswith((JPEG, JPEG_2000)) for fragment in fragments)
