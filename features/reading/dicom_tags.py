"""Tags of a DICOM file, read leniently: SIIM-ACR's have empty UIDs and an age of '38'."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from features.storage.unreadable import BAD_BYTES, UnreadableImage, blame_bytes, quoted

# The oldest verified age is 122 years (SIIM-ACR has 148 and 413, which are typing errors).
OLDEST = 122.0


def age_in_years(text: str) -> float | None:
    """Years of a DICOM age: '038Y', '18M', '3W', '10D', and SIIM's bare '38'.

    None where the text is no age, or above 122 years, which no person reached.
    """
    match = re.fullmatch(r"(\d{1,3})([YMWD]?)", text.strip().upper())
    if not match:
        return None
    years = int(match[1]) / {"": 1, "Y": 1, "M": 12, "W": 52.18, "D": 365.25}[match[2]]
    return years if years <= OLDEST else None


def number(dataset: Dataset, path: Path, keyword: str, missing: int = 0) -> int:
    """The value of a tag that holds a whole number; `missing` where it is missing or empty.

    Raises
    ------
    UnreadableImage
        If it holds something else.
    """
    with blame_bytes(path, "the DICOM is damaged"):
        value = dataset.get(keyword)
    if value is None or value == "" or value == 0:
        return missing
    with suppress(ValueError, OverflowError):
        if isinstance(value, (int, float, str)):
            return int(value)
    raise UnreadableImage(
        f"{path}: the DICOM is damaged (tag {keyword} is {quoted(value)} and not a number)."
    )


def values(dataset: Dataset, keyword: str) -> list[str]:
    """A tag's values as texts; none where it is missing, empty or unreadable."""
    try:
        value = dataset.get(keyword)
        parts = value if isinstance(value, MultiValue) else [value]
        texts = [str(part).strip() for part in parts]
    except BAD_BYTES:  # pydicom parses a tag when it is first read
        return []
    return texts if value is not None and any(texts) else []


def text(dataset: Dataset, keyword: str) -> str:
    """The value of a tag that holds one, as text; empty where missing or unreadable."""
    return "\\".join(values(dataset, keyword))


def pixel_sides(dataset: Dataset) -> tuple[float, float] | None:
    """Height and width of a pixel, in mm where the file says so; None where it says nothing."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        try:
            height, width = map(float, values(dataset, keyword))
        except ValueError:  # not two, or no numbers
            continue
        if 0 < height < np.inf and 0 < width < np.inf:
            return height, width
    return None


def spacing_mm(dataset: Dataset) -> float | None:
    """Distance in mm between the pixels of the picture, which are square; None where unknown."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            down, across = map(float, values(dataset, keyword))
        except ValueError:  # not two, or no numbers
            continue
        if 0 < down < np.inf and 0 < across < np.inf:
            return min(down, across)
    return None


def sex(dataset: Dataset) -> str | None:
    """ "F" or "M"; None where unknown."""
    value = text(dataset, "PatientSex").upper()
    return value if value in {"F", "M"} else None


def patient(dataset: Dataset, image_id: str) -> str | None:
    """The patient's id, if it is not the image's own; SIIM-ACR's are, which groups nothing."""
    value = text(dataset, "PatientID")
    return value if value and value != image_id else None
