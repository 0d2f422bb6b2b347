"""A DICOM file's picture: what may be read as a frontal chest X-ray, and its pixels.

Each call of pydicom that meets the file's bytes stands alone in `blame_bytes`: pydicom parses a tag
when it is first read.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from features.reading import dicom_file, dicom_tags, pixel_data
from features.reading.dicom_tags import number, pixel_sides, text, values
from features.reading.dicom_view import check_kind, notes_of, view_of
from features.reading.grey_levels import to_unit
from features.reading.grey_transforms import to_display
from features.reading.placement import Placement
from features.reading.square_pixels import picture_size, to_picture
from features.reading.study import Study
from features.storage.unreadable import UnreadableImage, check_size, quiet_libraries, quoted

COLOURS = ("RGB", "YBR", "PALETTE COLOR")


@quiet_libraries()
def open_dicom(path: Path) -> FileDataset:
    """Open a file and check that its tags are those of a frontal chest X-ray.

    Raises
    ------
    UnreadableImage
        If it is missing, damaged, no image, of another kind, too large, or tagged as a lateral or
        turned view.
    """
    dataset = dicom_file.read(path)
    size = number(dataset, path, "Rows"), number(dataset, path, "Columns")
    check_size(path, *size)
    check_size(path, *picture_size(size, pixel_sides(dataset), path))
    if number(dataset, path, "NumberOfFrames", missing=1) != 1:
        raise UnreadableImage(
            f"{path}: an X-ray has one greyscale frame, tag NumberOfFrames (0028,0008) = 1."
        )
    photometric = text(dataset, "PhotometricInterpretation").upper()
    if photometric and not photometric.startswith(("MONOCHROME1", "MONOCHROME2", *COLOURS)):
        raise UnreadableImage(
            f"{path}: tag PhotometricInterpretation (0028,0004) is {quoted(photometric)}; an X-ray "
            "is MONOCHROME1 or MONOCHROME2."
        )
    check_kind(dataset, path)
    return dataset


@quiet_libraries()
def study_of(dataset: FileDataset, path: Path, image_id: str) -> Study:
    """What the tags of an opened file say."""
    stored = number(dataset, path, "Rows"), number(dataset, path, "Columns")
    rows, columns = picture_size(stored, pixel_sides(dataset), path)
    return Study(
        id=image_id,
        path=path,
        rows=rows,
        columns=columns,
        spacing_mm=dicom_tags.spacing_mm(dataset),
        view=view_of(dataset),
        age=dicom_tags.age_in_years(text(dataset, "PatientAge")),
        sex=dicom_tags.sex(dataset),
        patient=dicom_tags.patient(dataset, image_id),
        notes=notes_of(dataset),
        placement=None if stored == (rows, columns) else Placement.whole(stored, (rows, columns)),
    )


@quiet_libraries()
def read_pixels(dataset: FileDataset, path: Path) -> NDArray[np.float32]:
    """Decode the picture of an opened file.

    Returns
    -------
    (h, w) array of float32 in [0, 1]
        Air dark; padding is 0. Its pixels are square: where the file's are not, it is larger.

    Raises
    ------
    UnreadableImage
        If it is missing, damaged, coloured or of an unknown encoding.
    """
    stored, bits = pixel_data.decode(dataset, path)
    size = number(dataset, path, "Rows"), number(dataset, path, "Columns")
    if stored.shape != size:
        raise UnreadableImage(
            f"{path}: its pixels are an array of {'x'.join(map(str, stored.shape))}, but the "
            f"header says {size[0]}x{size[1]}; the file is damaged."
        )
    display = to_display(stored, dataset, path)
    plain = display is stored and stored.dtype.kind != "f"
    padding = _padding(dataset, stored)
    inverted = text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    pixels = to_unit(display, bits if plain else 16, inverted, padding)
    if padding is not None:
        pixels[padding] = 0
    return to_picture(pixels, picture_size(size, pixel_sides(dataset), path))


def _padding(dataset: FileDataset, stored: NDArray[np.generic]) -> NDArray[np.bool_] | None:
    """Pixels that are none of the picture, but fill it up to a rectangle; None without the tag."""
    first, last = (
        values(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    )
    try:
        (lower,), (upper,) = first, last or first
        low, high = sorted((float(lower), float(upper)))
    except ValueError:  # missing, more than one, or no number
        return None
    levels = stored.astype(np.float32)
    return (levels >= low) & (levels <= high)
