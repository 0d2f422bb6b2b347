"""Pictures in PNG, JPEG and TIFF: grey levels of 8 or 16 bits, with alpha, palette or as colour.

Their size is known from the header before anything is decoded. What they do not know, such as sex,
age and view, is unknown.
"""

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from features.reading import cut_jpeg
from features.reading.grey_levels import BRIGHTEST, to_unit
from features.reading.study import Study
from features.storage import names, storage
from features.storage.kinds import JPEG, PNG, TIFF
from features.storage.unreadable import UnreadableImage, blame_bytes, check_length, check_size

# Grey that was stored as colour by JPEG comes back with channels that differ by rounding.
COLOUR = 4
# TIFF tag PhotometricInterpretation: 0 where the largest value is black.
PHOTOMETRIC = 262
# Without a handler Python prints what a library logs.
_SILENT = logging.NullHandler()


def read(path: Path, kind: str) -> tuple[Study, NDArray[np.float32]]:
    """Read a picture.

    Parameters
    ----------
    path : Path
    kind : str
        "PNG", "JPEG" or "TIFF".

    Returns
    -------
    study : Study
    pixels : (h, w) array of float32 in [0, 1]
        Of 8 bits 0 and 255 are the ends, of 16 bits 0 and 65535, if the picture reaches into the
        upper half of that range; else it has fewer bits than it is stored in, and the ends are
        nearly its extremes (see `grey_levels`). Wholly transparent pixels are 0.

    Raises
    ------
    UnreadableImage
        If it is damaged, of true colours, too large or of another shape than a chest X-ray.
    """
    stored, alpha, inverted = _decode(path, kind)
    study = Study(names.image_id(path.name), path, *stored.shape[:2])
    if stored.ndim == 3:
        stored = _grey(path, stored)
    padding = None if alpha is None or alpha.all() else alpha == 0
    levels, bits = _deep(path, stored) if stored.dtype != np.uint8 else (stored, 8)
    if bits == 16 and np.percentile(levels, 100 - BRIGHTEST) > 2**15 and levels.min() >= 0:
        unit = np.minimum(levels.astype(np.float32) / np.float32(65535), np.float32(1))
        pixels = 1 - unit if inverted else unit
    else:
        pixels = to_unit(levels, bits, inverted, padding)
    if padding is not None:
        pixels[padding] = 0
    return study, pixels


def read_levels(path: Path, kind: str) -> NDArray[np.generic]:
    """A picture's values as they are stored, the largest of its channels: for masks.

    Returns
    -------
    (h, w) array

    Raises
    ------
    UnreadableImage
        If it is damaged or too large.
    """
    stored = _decode(path, kind)[0]
    return stored.max(axis=2) if stored.ndim == 3 else stored


def _decode(path: Path, kind: str) -> tuple[NDArray[Any], NDArray[np.uint8] | None, bool]:
    """Stored values, (h, w) or (h, w, 3); the alpha channel; whether the largest value is black."""
    logging.getLogger("PIL").addHandler(_SILENT)
    with blame_bytes(path, "cannot be read"):
        check_length(path, storage.size(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of pixels, which are counted below
        try:
            with blame_bytes(path, "damaged"):
                image = _open(path, kind)
        except UnreadableImage:
            raise UnreadableImage(_damage(path, kind)) from None
        if image is None:
            raise UnreadableImage(
                f"{path}: announces far more pixels than an X-ray has, or is damaged."
            )
        with image:
            check_size(path, image.height, image.width)
            if kind == TIFF and _strips_end(image) > storage.size(path):
                raise UnreadableImage(_ends_early(path, kind))
            try:
                with blame_bytes(path, "damaged"), _quiet_libtiff(kind):
                    several = getattr(image, "n_frames", 1) != 1
                    image.load()
                    loaded = np.asarray(image)  # as decoded, not turned yet
                    ImageOps.exif_transpose(image, in_place=True)
                    inverted = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0
                    image = image.convert(_mode(image))
            except UnreadableImage:
                raise UnreadableImage(_damage(path, kind)) from None
    if kind == JPEG and cut_jpeg.first_filled_row(loaded) is not None:
        raise UnreadableImage(_ends_early(path, kind))
    if several:
        raise UnreadableImage(f"{path}: several pictures in one file; an X-ray has one.")
    values: NDArray[Any] = np.asarray(image)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if image.mode == "RGBA":
        return values[..., :3], values[..., 3], False
    # Pillow inverts such pictures of 8 bits itself.
    return values, None, inverted and values.dtype != np.uint8


@contextmanager
def _quiet_libtiff(kind: str) -> Iterator[None]:
    """Keep what libtiff itself writes to the standard error of damaged files off the terminal."""
    try:
        terminal = os.dup(2) if kind == TIFF else None
    except OSError:  # there is none
        terminal = None
    if terminal is None:
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nothing)


def _open(path: Path, kind: str) -> Image.Image | None:
    """The picture's header; None if it announces more pixels than Pillow would ever decode."""
    try:
        # From memory: of a file Pillow would reserve as much as a damaged length says.
        return Image.open(io.BytesIO(storage.read(path)), formats=[kind])
    except Image.DecompressionBombError:
        return None


def _mode(image: Image.Image) -> str:
    """The mode, of grey, colours and alpha, that holds all of a picture."""
    if image.mode in {"1", "L"}:
        return "L"
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        return "RGBA"
    if image.mode in {"P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}:
        return "RGB"
    return image.mode


def _grey(path: Path, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The grey levels of a picture that is grey but stored as red, green and blue."""
    red, green, blue = np.moveaxis(colours, 2, 0)
    brightest, darkest = (pick(pick(red, green), blue) for pick in (np.maximum, np.minimum))
    if (brightest - darkest).max() > COLOUR:
        raise UnreadableImage(
            f"{path}: a colour image; an X-ray is greyscale, so export it without "
            "colours and marks."
        )
    return np.ascontiguousarray(green)


def _deep(path: Path, stored: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Values of more than 8 bits and the bits that they use."""
    if stored.dtype.kind == "f" and not (np.abs(stored) < 1e30).all():
        raise UnreadableImage(f"{path}: some pixels are not finite; the file is damaged.")
    if stored.dtype == np.uint16:
        # 8 bits that were widened, by repeating them or by zeros.
        high, low = stored >> 8, stored & 255
        if (high == low).all() or not low.any():
            return high.astype(np.uint8), 8
    return stored, 16


def _damage(path: Path, kind: str) -> str:
    """The sentence for a picture that cannot be decoded: whether it ends early, and where."""
    content = storage.read(path)
    if kind == TIFF:
        order: Literal["little", "big"] = "little" if content[:2] == b"II" else "big"
        early = int.from_bytes(content[4:8], order) >= len(content)
    else:
        early = {PNG: b"IEND", JPEG: b"\xff\xd9"}[kind] not in content[-4096:]
    if early:
        return _ends_early(path, kind)
    return f"{path}: the {kind} is damaged; its picture cannot be decoded, so copy it again."


def _ends_early(path: Path, kind: str) -> str:
    return (
        f"{path}: the {kind} is damaged: the file ends after {storage.size(path)} bytes, before "
        "the picture does; copy it again."
    )


def _strips_end(image: Image.Image) -> int:
    """Where the last strip or tile of a TIFF ends in its file; 0 if its tags do not say."""
    tags = getattr(image, "tag_v2", {})
    ends = [
        start + length
        for starts, lengths in ((273, 279), (324, 325))
        for start, length in zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False)
    ]
    return max(ends, default=0)
