"""The only reader of X-rays: DICOM and PNG bytes into a `Study` and a float array, air dark.

SIIM-ACR's files are JPEG Baseline Secondary Captures with odd tags (empty UIDs, an age of '38'
that is not a valid AS), so tags are read leniently and pixels strictly.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from features.reading import dicom_image
from features.reading.blank import check_picture
from features.reading.grey_levels import to_unit
from features.reading.study import Study
from features.reading.unreadable import (
    UnreadableImage,
    blame_bytes,
    check_file,
    check_size,
    quiet_libraries,
)


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is a DICOM or PNG image."""
    return path.suffix.lower() in {".dcm", ".dicom", ".png"} and not path.name.startswith(".")


def read(path: Path | str) -> tuple[Study, NDArray[np.float32]]:
    """Read one X-ray.

    Parameters
    ----------
    path : Path
        A DICOM file, or an 8- or 16-bit greyscale PNG.

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
    path = Path(path)
    if path.suffix.lower() == ".png":
        study, pixels = _read_png(path)
    else:
        dataset = dicom_image.open_dicom(path)
        image_id = path.stem if is_image(path) else path.name
        study = dicom_image.study_of(dataset, path, image_id)
        pixels = dicom_image.read_pixels(dataset, path)
    _check_pixels(study, pixels)
    return study, pixels


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


@quiet_libraries()
def _read_png(path: Path) -> tuple[Study, NDArray[np.float32]]:
    check_file(path)
    with blame_bytes(path, "not a PNG image, or a damaged one"):
        image = Image.open(path, formats=["PNG"])
    with image:
        study = Study(id=path.stem, path=path, rows=image.height, columns=image.width)
        check_size(path, study.rows, study.columns)
        with blame_bytes(path, "the PNG is damaged"):
            if image.mode in {"L", "I;16", "I"}:
                stored = np.asarray(image)
            else:
                stored = np.asarray(image.convert("RGB"))
    if stored.ndim == 3:
        # A PNG saved as colour may still be grey.
        if (stored != stored[..., :1]).any():
            raise UnreadableImage(f"{path}: a colour image; an X-ray is greyscale.")
        stored = stored[..., 0]
    return study, to_unit(stored, 8 if stored.dtype == np.uint8 else 16)
