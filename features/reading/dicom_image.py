"""A DICOM file's picture: what may be read as a frontal chest X-ray, and its pixels.

Each call of pydicom that meets the file's bytes stands alone in `blame_bytes`: pydicom parses a tag
when it is first read.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.pixels import apply_modality_lut, pixel_array
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from features.reading import storage
from features.reading.dicom_tags import number, text, values
from features.reading.grey_levels import to_unit
from features.reading.unreadable import BAD_BYTES, UnreadableImage, blame_bytes, check_size

# Values of ViewPosition for a chest seen from its side: the standard's two, and what is met.
LATERAL = {"LL", "RL", "LAT", "LATERAL"}
# What single precision holds with room for arithmetic.
LARGEST = 1e37


def open_dicom(path: Path) -> FileDataset:
    """Open a file and check that its tags are those of a frontal chest X-ray.

    Raises
    ------
    UnreadableImage
        If it is missing, damaged, no image, of another kind, or tagged as a lateral view.
    """
    with blame_bytes(path, "not a DICOM file"), warnings.catch_warnings():
        # Invalid values of tags (an AS of '38') are dealt with one by one.
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(storage.source(path), force=True)
    if "Rows" not in dataset or "Columns" not in dataset:
        raise UnreadableImage(
            f"{path}: no image size, tags Rows (0028,0010) and Columns (0028,0011): not a DICOM "
            "image, or cut short."
        )
    check_size(path, number(dataset, path, "Rows"), number(dataset, path, "Columns"))
    samples = number(dataset, path, "SamplesPerPixel", missing=1)
    if samples != 1 or number(dataset, path, "NumberOfFrames", missing=1) != 1:
        raise UnreadableImage(
            f"{path}: an X-ray has one greyscale frame, tags SamplesPerPixel (0028,0002) = 1 and "
            "NumberOfFrames (0028,0008) = 1."
        )
    view = text(dataset, "ViewPosition").upper()
    if view in LATERAL:
        raise UnreadableImage(
            f"{path}: a lateral view, tag ViewPosition (0018,5101) is {view}; only frontal chest "
            "X-rays (PA, AP) can be used."
        )
    _check_orientation(dataset, path)
    return dataset


def _check_orientation(dataset: FileDataset, path: Path) -> None:
    """Refuse what is stored otherwise than seen from the front, head up: lungs would be mixed up.

    The tag says whereto the rows and the columns run in the patient; many files leave it empty.
    """
    right, down = (*values(dataset, "PatientOrientation"), "", "")[:2]
    if right.upper().startswith(("A", "P")):
        raise UnreadableImage(
            f"{path}: a lateral view, tag PatientOrientation (0020,0020) is {right}\\{down}; only "
            "frontal chest X-rays (PA, AP) can be used."
        )
    if right.upper().startswith("R") or down.upper().startswith("H"):
        raise UnreadableImage(
            f"{path}: tag PatientOrientation (0020,0020) is {right}\\{down}; an X-ray's rows run "
            "to the patient's left and its columns to the feet, L\\F, so turn the pixels and any "
            "mask, and change the tag."
        )


def read_pixels(dataset: FileDataset, path: Path) -> NDArray[np.float32]:
    """Decode the picture of an opened file.

    Returns
    -------
    (h, w) array of float32 in [0, 1]
        Air dark; padding is 0.

    Raises
    ------
    UnreadableImage
        If it is missing, damaged or of an unknown encoding.
    """
    photometric = text(dataset, "PhotometricInterpretation") or "MONOCHROME2"
    if photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise UnreadableImage(
            f"{path}: tag PhotometricInterpretation (0028,0004) is {photometric!r}; an X-ray is "
            "MONOCHROME1 or MONOCHROME2."
        )
    if "PixelData" not in dataset:
        raise UnreadableImage(f"{path}: no tag PixelData (7FE0,0010): no image, or cut short.")
    bits = number(dataset, path, "BitsStored", missing=16)
    stored, modality = _decode(dataset, path, bits)
    linear = modality is stored or np.array_equal(modality, stored)
    padding = _padding(dataset, stored)
    pixels = to_unit(modality, bits if linear else 16, photometric == "MONOCHROME1", padding)
    if padding is not None:
        pixels[padding] = 0
    return pixels


def _decode(
    dataset: FileDataset, path: Path, bits: int
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Stored values, and what they become by the modality's table or slope."""
    with blame_bytes(path, "the DICOM is damaged"):
        syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        dataset.file_meta.TransferSyntaxUID = syntax = _guessed_syntax(dataset)
    # Pillow's libjpeg-turbo needs a third of the time, and reads nothing but 8-bit baseline here;
    # an empty name leaves the choice to pydicom.
    plugin = "pillow" if syntax == JPEGBaseline8Bit and bits == 8 else ""
    with (
        blame_bytes(path, "its pixels cannot be decoded"),
        _faults_of_decoders_propagate(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        stored = pixel_array(dataset, decoding_plugin=plugin)
        modality = apply_modality_lut(stored, dataset)
    if modality.dtype.kind == "f" and not (np.abs(modality) < LARGEST).all():
        raise UnreadableImage(
            f"{path}: some pixels are not finite numbers; the tags that rescale them, "
            "RescaleSlope (0028,1053) and RescaleIntercept (0028,1052), are damaged."
        )
    return stored, modality


class _ErrorLog(logging.Handler):
    """Keeps the errors that pydicom logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self.errors.append(record.exc_info[1])


@contextmanager
def _faults_of_decoders_propagate() -> Iterator[None]:
    """Let an error come through that is not of the bytes, such as that no memory is left.

    pydicom turns whatever a decoder raises into a RuntimeError, and only logs the error itself.
    """
    logger, log = logging.getLogger("pydicom"), _ErrorLog()
    logger.addHandler(log)
    try:
        yield
    except RuntimeError:
        for error in log.errors:
            if not isinstance(error, BAD_BYTES):
                raise error from None
        raise
    finally:
        logger.removeHandler(log)


def _guessed_syntax(dataset: FileDataset) -> pydicom.uid.UID:
    """Transfer syntax of a headless file, from how pydicom could parse it."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _padding(dataset: FileDataset, stored: NDArray[np.generic]) -> NDArray[np.bool_] | None:
    """Pixels that are none of the picture, but fill it up to a rectangle; None without the tag."""
    first, last = (text(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    try:
        low, high = sorted((float(first), float(last or first)))
    except ValueError:  # missing, or no number
        return None
    levels = stored.astype(np.float32)
    return (levels >= low) & (levels <= high)
