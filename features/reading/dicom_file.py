"""A DICOM file's bytes become a data set of tags, whatever the bytes are.

The file is read once. Its size is checked before, and a deflated one is inflated in small pieces
first, so that a few bytes cannot fill the memory.
"""

import io
import struct
import zlib
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset

from features.storage import storage
from features.storage.unreadable import LARGEST_FILE, UnreadableImage, blame_bytes, check_length

NOT_DICOM = "not a DICOM file, or a damaged one"
DEFLATED = b"1.2.840.10008.1.2.1.99"
# Tag PixelData, and the item that ends encapsulated pixels (both little endian).
PIXEL_DATA, DELIMITER = b"\xe0\x7f\x10\x00", b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
# Bytes in which a file's meta information ends, and a step of inflating.
META, STEP = 4096, 2**20


def read(path: Path) -> FileDataset:
    """Read a file's tags and its undecoded pixels.

    Encapsulated pixels whose closing delimiter is missing are kept: whether they are whole is seen
    when they are decoded.

    Raises
    ------
    UnreadableImage
        If it is missing, no ordinary file, too large, or no DICOM file.
    """
    content = _content(path)
    if DEFLATED in content[:META]:
        _check_inflated(content, path)
    with blame_bytes(path, NOT_DICOM):
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        if PIXEL_DATA in content and "PixelData" not in dataset:
            dataset = pydicom.dcmread(io.BytesIO(content + DELIMITER), force=True)
        known = "Rows" in dataset and "Columns" in dataset
    if not known:
        raise UnreadableImage(
            f"{path}: no image size, tags Rows (0028,0010) and Columns (0028,0011): not a DICOM "
            f"image, or cut short; it ends after {len(content):,} bytes."
        )
    return dataset


def _content(path: Path) -> bytes:
    """The bytes of a file or a zip's member; a pipe would never end, a large file fill memory."""
    if reason := storage.obstacle(path):
        raise UnreadableImage(f"{path}: {reason}.")
    if not storage.is_file(path):
        raise UnreadableImage(f"{path}: no such file.")
    with blame_bytes(path, "cannot be read"):
        check_length(path, storage.size(path))
        return storage.read(path)


def _check_inflated(content: bytes, path: Path) -> None:
    """Refuse a deflated file that inflates to more than any X-ray has.

    The compressed data begin where the group of meta information ends (PS3.10, 7.1).
    """
    if content[132:138] != b"\x02\x00\x00\x00UL" or len(content) < 144:
        raise UnreadableImage(
            f"{path}: {NOT_DICOM}: tag FileMetaInformationGroupLength (0002,0000) is missing."
        )
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    rest, size = content[144 + struct.unpack("<I", content[140:144])[0] :], 0
    with blame_bytes(path, "its deflated data are damaged"):
        while rest and not stream.eof:
            size += len(stream.decompress(rest, STEP))
            if size > LARGEST_FILE:
                break
            rest = stream.unconsumed_tail
    if size > LARGEST_FILE:
        raise UnreadableImage(
            f"{path}: it inflates to more than {LARGEST_FILE:,} bytes; an X-ray has fewer."
        )
