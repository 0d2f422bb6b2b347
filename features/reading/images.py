"""The only reader of X-rays: DICOM, PNG, JPEG and TIFF into a `Study` and a float array, air dark.

Which of them a file is, its content says (see `kinds`), not its name. SIIM-ACR's files are JPEG
Baseline Secondary Captures with odd tags (empty UIDs, an age of '38' that is not a valid AS), so
tags are read leniently and pixels strictly.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.reading import borders, dicom_image, picture
from features.reading.blank import check_picture
from features.reading.study import Study
from features.run.files import UserError
from features.storage import kinds, names, storage
from features.storage.unreadable import UnreadableImage


def read(path: Path | str) -> tuple[Study, NDArray[np.float32]]:
    """Read one X-ray, without a black or white border.

    Parameters
    ----------
    path : Path
        A DICOM, PNG, JPEG or TIFF file, or a member of a zip (``x.zip::/folder/ID.dcm``).

    Returns
    -------
    study : Study
    pixels : (h, w) array of float32 in [0, 1]
        Air dark, bone bright (MONOCHROME1 is inverted); 0 and 1 are the ends of the stored range
        for 8-bit images; for deeper ones, whose range is arbitrary, the levels that the darkest
        thousandth and the brightest two hundredth of the image lie beyond. Padding is 0.

    Raises
    ------
    UnreadableImage
        If the file is missing, damaged, blank, not a greyscale image, of an unknown encoding, or
        tagged as something else than a frontal chest X-ray.
    """
    return cut_border(*read_whole(path))


def read_as(path: Path | str, shape: tuple[int, int]) -> tuple[Study, NDArray[np.float32]]:
    """Read one X-ray as `read` does, and require the rows and columns that the dataset has for it.

    Raises
    ------
    UnreadableImage
        See `read`.
    UserError
        If its size is another one now.
    """
    study, pixels = read(path)
    if pixels.shape != shape:
        raise UserError(
            f"{path}: has {pixels.shape[0]}x{pixels.shape[1]} pixels, but had {shape[0]}x{shape[1]}"
            " when the dataset was read, so its mask no longer fits; put the former file back, or "
            "run `make dataset` again."
        )
    return study, pixels


def read_whole(path: Path | str) -> tuple[Study, NDArray[np.float32]]:
    """Read one X-ray as `read` does, but with its border."""
    path = Path(path)
    if reason := storage.obstacle(path):
        raise UnreadableImage(f"{names.shown(path)}: {reason}.")
    kind = kinds.of_file(path)
    if kind is None and names.is_picture(path.name) and storage.is_file(path):
        raise UnreadableImage(
            f"{path}: its content is no PNG, JPEG or TIFF picture and no DICOM file; copy it again."
        )
    if kind in {kinds.PNG, kinds.JPEG, kinds.TIFF}:
        study, pixels = picture.read(path, kind)
    else:
        # Whatever else it is, DICOM's reader says what it lacks.
        dataset = dicom_image.open_dicom(path)
        study = dicom_image.study_of(dataset, path, names.image_id(path.name))
        pixels = dicom_image.read_pixels(dataset, path)
    _check_pixels(study, pixels)
    return study, pixels


def cut_border(study: Study, pixels: NDArray[np.float32]) -> tuple[Study, NDArray[np.float32]]:
    """What `read` makes of the result of `read_whole`."""
    picture = borders.picture_in(pixels)
    placement = study.place.cut(picture)
    if placement == study.place:
        return study, pixels
    rows, columns = placement.picture
    cut = replace(study, rows=rows, columns=columns, placement=placement)
    return cut, np.ascontiguousarray(pixels[picture])


def _check_pixels(study: Study, pixels: NDArray[np.float32]) -> None:
    """What a decoder hands over must be the picture that the header announces."""
    size = (study.rows, study.columns)
    if pixels.shape != size:
        raise UnreadableImage(
            f"{study.path}: its pixels are an array of {'x'.join(map(str, pixels.shape))}, but the "
            f"header says {size[0]}x{size[1]}; the file is damaged."
        )
    if not np.isfinite(pixels.sum()):  # one value that is not finite spoils the sum
        raise UnreadableImage(f"{study.path}: some pixels are not finite; the file is damaged.")
    check_picture(pixels, study.path)
