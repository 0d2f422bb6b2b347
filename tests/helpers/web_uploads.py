"""What visitors send: X-rays, and what is none."""

import io
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.helpers.image_files import write_dicom


def png(size: int = 64, seed: int = 0, mode: str | None = None) -> bytes:
    """A greyscale PNG of noise, or of another mode."""
    noise = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    picture = Image.fromarray(noise)
    buffer = io.BytesIO()
    (picture if mode is None else picture.convert(mode)).save(buffer, "PNG")
    return buffer.getvalue()


def dicom(tmp_path, **tags) -> bytes:
    """A DICOM of 12 bits."""
    pixels = np.random.default_rng(1).integers(0, 4096, (128, 128))
    return write_dicom(tmp_path / "made.dcm", pixels, 12, **tags).read_bytes()


def colours() -> bytes:
    """A colour photograph, as good as."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG whose header announces 50,000 x 50,000 pixels."""
    content = bytearray(png())
    content[16:24] = (50_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


def zipped() -> bytes:
    """A zip with an X-ray in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("x.png", png())
    return buffer.getvalue()


def hostile(tmp_path) -> dict[str, tuple[str, bytes]]:
    """Name and content of uploads that get no answer, by what they are."""
    return {
        "nothing": ("empty.dcm", b""),
        "a text called .dcm": ("text.dcm", b"Dear radiologist, " * 40),
        "half a PNG": ("half.png", png()[:900]),
        "a header alone": ("header.dcm", b"\0" * 128 + b"DICM"),
        "half a DICOM": ("half.dcm", dicom(tmp_path)[:3000]),
        "colours": ("photograph.png", colours()),
        "a bomb": ("bomb.png", bomb()),
        "a lateral view": ("lateral.dcm", dicom(tmp_path, ViewPosition="LL")),
        "a CT": ("ct.dcm", dicom(tmp_path, Modality="CT")),
        "a zip": ("x.zip", zipped()),
        "a zip by name": ("x.zip::", png()[:40]),
        "an odd name": ("../../<b>\x1b[31m\u202e\n.dcm", b"no X-ray at all"),
        "a hidden name": (".dcm", b"no X-ray at all"),
        "a long name": ("x" * 900 + ".dcm", b"no X-ray at all"),
        "a device's name": ("/dev/zero", b"no X-ray at all"),
        "a tiny picture": ("tiny.png", png(8)),
    }
