"""The stored values of a DICOM picture, decoded after its headers were believed or refused.

Before a decoder sees the bytes, what they announce must be the picture that the tags announce: a
decoder would reserve the memory, and some say on the terminal what they think of the bytes, or
panic. Tags that are missing get the value that the others leave; tags that the compressed stream
contradicts (8-bit JPEG tagged 12 bits) follow the stream, which the decoder obeys anyway.
"""

import io
import struct
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGTransferSyntaxes,
    RLELossless,
)

from features.reading import codestreams, cut_jpeg, packbits
from features.reading.dicom_tags import number, text
from features.reading.grey_levels import middle_channel
from features.storage.unreadable import UnreadableImage, blame_bytes, quiet_libraries, quoted

# Bits that a stored value may take up.
ALLOCATED = (8, 16, 32)
FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
CUT_SHORT = "the file is cut short, so copy it anew"


def decode(dataset: FileDataset, path: Path) -> tuple[NDArray[np.generic], int]:
    """Decode the stored values of an opened file, grey if they are stored as colours.

    Returns
    -------
    stored : (h, w) array of int or float
    bits : int
        Bits that a value may use.

    Raises
    ------
    UnreadableImage
        If there are none, they are damaged, of an unknown encoding, of more than one frame, or
        colours.
    """
    for keyword in FLOATS:
        with blame_bytes(path, "the DICOM is damaged"):
            floats = keyword in dataset and "PixelData" not in dataset
        if floats:
            _fill_in(dataset, path, 32 if keyword == FLOATS[0] else 64)
            _check_length(dataset, path, len(dataset[keyword].value or b""))
            return _pixel_array(dataset, path), 16
    with blame_bytes(path, "the DICOM is damaged"):
        data = dataset.get("PixelData")
        syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not data or not isinstance(data, bytes):
        raise UnreadableImage(f"{path}: no tag PixelData (7FE0,0010): no image, or cut short.")
    if not syntax:
        dataset.file_meta.TransferSyntaxUID = syntax = _guessed_syntax(dataset)
    if not syntax.is_transfer_syntax:
        raise UnreadableImage(
            f"{path}: tag TransferSyntaxUID (0002,0010) is {quoted(syntax)}, which is no encoding "
            "of pixels; the file is damaged."
        )
    if syntax.is_compressed:
        return _decode_compressed(dataset, path, data, syntax)
    _fill_in(dataset, path, _likely_bits(dataset, path, len(data)))
    _check_length(dataset, path, len(data))
    return _shifted(dataset, path)


def _decode_compressed(
    dataset: FileDataset, path: Path, data: bytes, syntax: UID
) -> tuple[NDArray[np.generic], int]:
    """`decode` for pixels in a compressed stream."""
    frame = _frame(data, path, syntax)
    rows, columns = number(dataset, path, "Rows"), number(dataset, path, "Columns")
    if syntax == RLELossless:
        _fill_in(dataset, path, 16)
        samples, allocated = dataset.SamplesPerPixel, dataset.BitsAllocated
        pixels = packbits.unpack(frame, (rows, columns), samples, allocated // 8, path)
        dataset.PixelData = pixels.tobytes()
        dataset.PlanarConfiguration = 0
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return _shifted(dataset, path)
    announced = codestreams.announced(frame)
    if announced is None:
        raise UnreadableImage(
            f"{path}: no compressed picture in its pixel data, tag TransferSyntaxUID (0002,0010) "
            f"is {_name(syntax)}; the file is damaged."
        )
    if (announced.rows, announced.columns) != (rows, columns):
        raise UnreadableImage(
            f"{path}: its compressed picture is {announced.rows}x{announced.columns}, but tags "
            f"Rows and Columns say {rows}x{columns}; the file is damaged."
        )
    _fill_in(dataset, path, announced.bits)
    _follow(dataset, announced)
    baseline = syntax == JPEGBaseline8Bit and announced.bits == 8
    plain = baseline and announced.components == 1 and not dataset.PixelRepresentation
    try:
        if plain:
            stored = _grey_jpeg(frame, path)
        else:
            # An empty name leaves the choice to pydicom.
            stored = _pixel_array(dataset, path, "pillow" if baseline else "")
    except UnreadableImage:
        if syntax in JPEGTransferSyntaxes and codestreams.JPEG_END not in frame[-64:]:
            raise UnreadableImage(
                f"{path}: its JPEG ends after {len(frame):,} bytes without its end marker; "
                f"{CUT_SHORT}."
            ) from None
        raise
    if baseline and (row := cut_jpeg.first_filled_row(stored)) is not None:
        raise UnreadableImage(
            f"{path}: its JPEG ends in row {row:,} of {stored.shape[0]:,}; {CUT_SHORT}."
        )
    return _grey(dataset, stored, path)


def _frame(data: bytes, path: Path, syntax: UID) -> bytes:
    """The one frame of an encapsulated value (PS3.5, A.4): an offset table, then fragments."""
    fragments, place = [], 0
    while place + 8 <= len(data):
        group, element, length = struct.unpack_from("<HHI", data, place)
        if (group, element) != (0xFFFE, 0xE000):
            break
        place += 8
        if place + length > len(data):
            raise UnreadableImage(
                f"{path}: its pixel data end after {len(data):,} of {place + length:,} bytes; "
                f"{CUT_SHORT}."
            )
        fragments.append(data[place : place + length])
        place += length
    fragments = fragments[1:]
    if not any(fragments):
        raise UnreadableImage(
            f"{path}: its pixel data hold no compressed picture, though tag TransferSyntaxUID "
            f"(0002,0010) is {_name(syntax)}; the file is damaged or cut short."
        )
    frames = len(fragments) if syntax == RLELossless else codestreams.pictures(fragments)
    if frames > 1:
        raise UnreadableImage(
            f"{path}: its pixel data hold {frames} pictures; an X-ray has one frame."
        )
    return b"".join(fragments)


def _fill_in(dataset: FileDataset, path: Path, likely: int) -> None:
    """Give missing tags the value that the others leave; `likely` bits where none says how many."""
    colour = text(dataset, "PhotometricInterpretation").upper()
    missing = 3 if colour.startswith(("RGB", "YBR")) else 1
    samples = number(dataset, path, "SamplesPerPixel", missing)
    allocated = number(dataset, path, "BitsAllocated", likely + -likely % 8)
    if samples not in (1, 3) or allocated not in (*ALLOCATED, 64):
        raise UnreadableImage(
            f"{path}: tags SamplesPerPixel (0028,0002) and BitsAllocated (0028,0100) are "
            f"{samples} and {allocated}; an X-ray has 1 value a pixel, of 8, 16 or 32 bits."
        )
    stored = number(dataset, path, "BitsStored", min(likely, allocated))
    stored = stored if 0 < stored <= allocated else allocated
    highest = number(dataset, path, "HighBit", stored - 1)
    tags = {
        "SamplesPerPixel": samples,
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": highest if stored <= highest < allocated else stored - 1,
        "PixelRepresentation": int(number(dataset, path, "PixelRepresentation") == 1),
        "PhotometricInterpretation": colour or ("MONOCHROME2" if samples == 1 else "RGB"),
        "NumberOfFrames": 1,
    }
    if samples == 3:
        tags["PlanarConfiguration"] = min(number(dataset, path, "PlanarConfiguration"), 1)
    with blame_bytes(path, "the DICOM is damaged"):
        for keyword, value in tags.items():
            if keyword not in dataset or dataset[keyword].value != value:
                setattr(dataset, keyword, value)


def _follow(dataset: FileDataset, announced: codestreams.Announced) -> None:
    """Let the tags follow the compressed stream where they contradict it."""
    allocated = 8 if announced.bits <= 8 else 16 if announced.bits <= 16 else 32
    if dataset.BitsAllocated != allocated:
        dataset.BitsAllocated = allocated
        dataset.BitsStored = min(dataset.BitsStored, allocated)
        if announced.bits == 8 or dataset.BitsStored < announced.bits:
            dataset.BitsStored = announced.bits
        dataset.HighBit = dataset.BitsStored - 1
    if announced.components not in (1, 3) or dataset.SamplesPerPixel == announced.components:
        return
    grey = announced.components == 1
    dataset.SamplesPerPixel = announced.components
    dataset.PhotometricInterpretation = "MONOCHROME2" if grey else "YBR_FULL"
    dataset.PlanarConfiguration = 0


def _likely_bits(dataset: FileDataset, path: Path, length: int) -> int:
    """Bits of a value by the length of native pixels, for files without a tag that says it."""
    stored = number(dataset, path, "BitsStored")
    size = number(dataset, path, "Rows") * number(dataset, path, "Columns")
    bits = 8 * (length // max(size * number(dataset, path, "SamplesPerPixel", 1), 1))
    return stored or (bits if bits in ALLOCATED else 16)


def _check_length(dataset: FileDataset, path: Path, there: int) -> None:
    """Native pixels must be those of one frame; a little padding behind them is common."""
    size = number(dataset, path, "Rows") * number(dataset, path, "Columns")
    needed = size * dataset.SamplesPerPixel * dataset.BitsAllocated // 8
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        needed = needed * 2 // 3
    if there < needed:
        raise UnreadableImage(
            f"{path}: its pixel data end after {there:,} of {needed:,} bytes; {CUT_SHORT}."
        )
    if there >= 2 * needed:
        raise UnreadableImage(
            f"{path}: its pixel data have {there:,} bytes, but one frame as its tags announce it "
            f"has {needed:,}: Rows, Columns, BitsAllocated or NumberOfFrames is wrong."
        )


def _shifted(dataset: FileDataset, path: Path) -> tuple[NDArray[np.generic], int]:
    """Values of native pixels; those in the upper bits of their place are shifted down.

    HighBit may say so of files whose values lie in the lower bits all the same.
    """
    bits, shift = dataset.BitsStored, dataset.HighBit - dataset.BitsStored + 1
    if shift <= 0:
        return _grey(dataset, _pixel_array(dataset, path), path)
    dataset.BitsStored += shift
    stored = _pixel_array(dataset, path)
    in_lower_bits = stored.min() >= 0 and stored.max() < 2**bits and (stored % 2**shift).any()
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    return _grey(dataset, stored if in_lower_bits else stored >> shift, path)


def _grey(
    dataset: FileDataset, stored: NDArray[np.generic], path: Path
) -> tuple[NDArray[np.generic], int]:
    """The grey values of a picture that may be stored as colours, and their bits."""
    bits = int(dataset.BitsStored)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric.startswith("PALETTE"):
        sentence = (
            "its palette, tags (0028,1101) to (0028,1203), is damaged; an X-ray is MONOCHROME1 or "
            "MONOCHROME2"
        )
        with blame_bytes(path, sentence):
            stored = apply_color_lut(stored, dataset)
            bits = 8 * stored.dtype.itemsize
    if stored.shape[2:] != (3,):
        return stored, bits
    grey = middle_channel(stored, bits)
    if grey is None:
        raise UnreadableImage(
            f"{path}: a colour image, tag PhotometricInterpretation (0028,0004) is "
            f"{quoted(photometric)}; an X-ray is grey."
        )
    return grey, bits


def _pixel_array(dataset: FileDataset, path: Path, plugin: str = "") -> NDArray[np.generic]:
    """What pydicom and its decoders make of the pixels."""
    syntax = dataset.file_meta.TransferSyntaxUID
    sentence = (
        f"its pixels cannot be decoded: damaged, or of a kind that no decoder here reads, tag "
        f"TransferSyntaxUID (0002,0010) is {_name(syntax)}"
    )
    with blame_bytes(path, sentence), quiet_libraries():
        stored: NDArray[np.generic] = pixel_array(dataset, decoding_plugin=plugin)
    return stored


def _grey_jpeg(frame: bytes, path: Path) -> NDArray[np.generic]:
    """A grey 8-bit JPEG, as SIIM-ACR's: Pillow alone needs a third of pydicom's time."""
    with blame_bytes(path, "its JPEG cannot be decoded; the file is damaged"):
        stored: NDArray[np.generic] = np.asarray(Image.open(io.BytesIO(frame), formats=["JPEG"]))
    return stored


def _name(syntax: UID) -> str:
    """A transfer syntax in words, as far as it is known."""
    return quoted(pydicom.uid.UID(syntax).name or syntax)


def _guessed_syntax(dataset: FileDataset) -> UID:
    """Transfer syntax of a headless file, from how pydicom could parse it."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
