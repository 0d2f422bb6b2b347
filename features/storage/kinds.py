"""What kind of image a file is, by its first bytes; the one rule that everything asks.

A file's name counts only where its content says nothing: what ends in .dcm or .png and is no such
image is a damaged image, which is told, not a file to pass over in silence.
"""

from pathlib import Path
from typing import Literal

from features.storage import names, storage
from features.storage.unreadable import UnreadableImage

DICOM, PNG, JPEG, TIFF = "DICOM", "PNG", "JPEG", "TIFF"
Order = Literal["little", "big"]
# Bytes that are enough to tell.
HEAD = 512

_STARTS = {
    b"\x89PNG": PNG,
    b"\xff\xd8\xff": JPEG,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
}
# The directory of a disk of DICOM files (PS3.3 F) begins like an image.
_DIRECTORY = b"1.2.840.10008.1.3.10"
# Value representations of PS3.5 6.2; those of _LONG have four bytes of length after two spare ones.
_SHORT = b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
_LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()


def of_file(path: Path) -> str | None:
    """The kind of an image file, `of_bytes`; None as well where the file cannot be read."""
    if storage.obstacle(path):
        return None
    try:
        return of_bytes(storage.read(path, HEAD))
    except (OSError, UnreadableImage):
        return None


def is_image(path: Path) -> bool:
    """Whether a file is an image by its content, or meant to be one by its name."""
    if path.name.startswith("."):
        return False
    return names.has_suffix(path.name) or of_file(path) is not None


def of_bytes(head: bytes) -> str | None:
    """DICOM, PNG, JPEG or TIFF by the first bytes of a file; None for anything else."""
    if head[128:132] == b"DICM":
        return None if _DIRECTORY in head else DICOM
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    return DICOM if _is_headless(head) else None


def _is_headless(head: bytes) -> bool:
    """Whether a file begins with elements of a DICOM data set, without the preamble of PS3.10.

    Three elements in a row, their tags rising, of groups that come before the picture.
    """
    orders: tuple[Order, ...] = ("little", "big")
    for order in orders:
        before, position, count = (0, 0), 0, 0
        while count < 3 and position + 8 <= len(head):
            group = int.from_bytes(head[position : position + 2], order)
            element = int.from_bytes(head[position + 2 : position + 4], order)
            size = _size(head[position + 4 : position + 12], order)
            if size is None or (group, element) <= before or group % 2 or not 2 <= group <= 0x28:
                break
            before, count = (group, element), count + 1
            position += size
        # A long value may reach beyond the head.
        if count == 3 or (count == 2 and position > len(head)):
            return before[0] >= 8
    return False


def _size(bytes_: bytes, order: Order) -> int | None:
    """Bytes of an element with its header, by what follows its tag; None if that is no element."""
    kind = bytes_[:2]
    if kind in _SHORT:
        return 8 + int.from_bytes(bytes_[2:4], order)
    if kind in _LONG:
        length = int.from_bytes(bytes_[4:8], order)
        return None if bytes_[2:4] != b"\0\0" or length == 0xFFFFFFFF else 12 + length
    length = int.from_bytes(bytes_[:4], order)  # an implicit representation
    return 8 + length if length % 2 == 0 and length < 2**16 else None
