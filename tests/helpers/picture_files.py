"""One picture in every form that the reader takes, or refuses."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from tests.helpers.image_files import write_dicom, write_jpeg_dicom

Writer = Callable[[Path, np.ndarray], Any]


def save(mode: str | None = None, **options: Any) -> Writer:
    """Writes a picture of 8 bits, converted to a mode of Pillow's."""

    def write(path: Path, grey: np.ndarray) -> None:
        image = Image.fromarray(grey)
        (image.convert(mode) if mode else image).save(path, **options)

    return write


def deep(factor: int, dtype: str = "<u2", **options: Any) -> Writer:
    """Writes it in more bits, each level times a factor."""

    def write(path: Path, grey: np.ndarray) -> None:
        Image.fromarray(grey.astype(dtype) * np.dtype(dtype).type(factor)).save(path, **options)

    return write


def palette(path: Path, grey: np.ndarray) -> None:
    """Writes it with a palette in which the levels stand in the opposite order."""
    image = Image.frombytes("P", grey.shape[::-1], (255 - grey).tobytes())
    image.putpalette([level for value in range(255, -1, -1) for level in (value,) * 3])
    image.save(path)


def colours(**options: Any) -> Writer:
    """Writes it with a red letter."""

    def write(path: Path, grey: np.ndarray) -> None:
        red = np.stack([grey] * 3, axis=2)
        red[:16, :16] = (200, 0, 0)
        Image.fromarray(red).save(path, **options)

    return write


def several(path: Path, grey: np.ndarray) -> None:
    """Writes it twice into one file."""
    image, second = Image.fromarray(grey), Image.fromarray(255 - grey)
    image.save(path, save_all=True, append_images=[second])


def turned(path: Path, grey: np.ndarray) -> None:
    """Writes it lying on its side, with the note (EXIF) by which viewers turn it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side
    Image.fromarray(np.rot90(grey)).save(path, exif=exif, quality=98)


def white_is_zero(path: Path, grey: np.ndarray) -> None:
    """Writes a TIFF of 16 bits whose largest value is black."""
    Image.fromarray((255 - grey).astype("<u2") * np.uint16(257)).save(path)
    black, white = (struct.pack("<HHIH", 262, 3, 1, value) for value in (1, 0))
    path.write_bytes(path.read_bytes().replace(black, white))


def cut(writer: Writer, ending: bytes = b"") -> Writer:
    """Writes half of a file, and an ending."""

    def write(path: Path, grey: np.ndarray) -> None:
        writer(path, grey)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + ending)

    return write


def enormous(path: Path, grey: np.ndarray) -> None:
    """Writes the first bytes of a PNG of 8001 pixels a side."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 8001, 8001, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 2**16) + b"IDAT")


def dicom(bits: int = 8, factor: int = 1, **tags: Any) -> Writer:
    """Writes it as an uncompressed DICOM file."""

    def write(path: Path, grey: np.ndarray) -> None:
        write_dicom(path, grey.astype(np.uint16) * factor, bits, **tags)

    return write


def negative(path: Path, grey: np.ndarray) -> None:
    """Writes a DICOM file whose largest value is black."""
    write_dicom(path, 255 - grey, PhotometricInterpretation="MONOCHROME1")


def jpeg_dicom(path: Path, grey: np.ndarray) -> None:
    """Writes it as a DICOM file that is compressed as the challenge's."""
    write_jpeg_dicom(path, grey)


def syntax(uid: str) -> Writer:
    """Writes it as a DICOM file in another transfer syntax."""

    def write(path: Path, grey: np.ndarray) -> None:
        write_dicom(path, grey)
        dataset = pydicom.dcmread(path)
        dataset.PixelData  # noqa: B018  (read before it is written in another order)
        if uid in {RLELossless, JPEG2000Lossless}:
            dataset.compress(uid, generate_instance_uid=False)
            dataset.save_as(path)
            return
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(uid)
        order = {"implicit_vr": uid == ImplicitVRLittleEndian}
        order["little_endian"] = uid != ExplicitVRBigEndian
        pydicom.dcmwrite(path, dataset, **order, overwrite=True, force_encoding=True)

    return write


def headless(path: Path, grey: np.ndarray) -> None:
    """Writes a DICOM file without its preamble and meta information."""
    write_dicom(path, grey)
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")  # of the group of meta information
    path.write_bytes(content[144 + length :])


DEFLATED, BIG_ENDIAN, IMPLICIT = (
    syntax(uid)
    for uid in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian)
)
RLE, JPEG_2000 = syntax(RLELossless), syntax(JPEG2000Lossless)
