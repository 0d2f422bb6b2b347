"""Tags of a DICOM file, read leniently: SIIM-ACR's have empty UIDs and an age of '38'."""

import re
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.multival import MultiValue

from features.reading.study import Study
from features.reading.unreadable import BAD_BYTES, UnreadableImage, blame_bytes

# The oldest verified age is 122 years (SIIM-ACR has 148 and 413, which are typing errors).
OLDEST = 122.0


def study_of(dataset: FileDataset, path: Path, image_id: str) -> Study:
    """The values of a file's tags."""
    return Study(
        id=image_id,
        path=path,
        rows=number(dataset, path, "Rows"),
        columns=number(dataset, path, "Columns"),
        spacing_mm=_spacing(dataset),
        view=_listed(dataset, "ViewPosition", {"PA", "AP"}),
        age=age_in_years(text(dataset, "PatientAge")),
        sex=_listed(dataset, "PatientSex", {"F", "M"}),
        patient=_patient(dataset, image_id),
    )


def age_in_years(text: str) -> float | None:
    """Years of a DICOM age: '038Y', '18M', '3W', '10D', and SIIM's bare '38'.

    None where the text is no age, or above 122 years, which no person reached.
    """
    match = re.fullmatch(r"(\d{1,3})([YMWD]?)", text.strip().upper())
    if not match:
        return None
    years = int(match[1]) / {"": 1, "Y": 1, "M": 12, "W": 52.18, "D": 365.25}[match[2]]
    return years if years <= OLDEST else None


def number(dataset: FileDataset, path: Path, keyword: str, missing: int = 0) -> int:
    """The value of a tag that holds a whole number; `missing` where it is missing or empty.

    Raises
    ------
    UnreadableImage
        If it holds something else.
    """
    with blame_bytes(path, "the DICOM is damaged"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = dataset.get(keyword)
    if value is None or value == "" or value == 0:
        return missing
    with suppress(ValueError, OverflowError):
        if isinstance(value, (int, float, str)):
            return int(value)
    raise UnreadableImage(
        f"{path}: the DICOM is damaged (tag {keyword} is {value!r} and not a number)."
    )


def values(dataset: FileDataset, keyword: str) -> list[str]:
    """A tag's values as texts; none where it is missing, empty or unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = dataset.get(keyword)
            parts = value if isinstance(value, MultiValue) else [value]
            texts = [str(part).strip() for part in parts]
    except BAD_BYTES:  # pydicom parses a tag when it is first read
        return []
    return texts if value is not None and any(texts) else []


def text(dataset: FileDataset, keyword: str) -> str:
    """The value of a tag that holds one, as text; empty where missing or unreadable."""
    return "\\".join(values(dataset, keyword))


def _listed(dataset: FileDataset, keyword: str, allowed: set[str]) -> str | None:
    value = text(dataset, keyword).upper()
    return value if value in allowed else None


def _spacing(dataset: FileDataset) -> float | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            down, across = map(float, values(dataset, keyword))
        except ValueError:  # not two, or no numbers
            continue
        if 0 < down == across < np.inf:
            return down
    return None


def _patient(dataset: FileDataset, image_id: str) -> str | None:
    # SIIM-ACR's files carry the image's own id as PatientID, which groups nothing.
    patient = text(dataset, "PatientID")
    return patient if patient and patient != image_id else None
