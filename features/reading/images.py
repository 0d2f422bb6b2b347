"""The only reader of X-rays: DICOM and PNG bytes into a `Study` and a float array, air dark.

SIIM-ACR's files are JPEG Baseline Secondary Captures with odd tags (empty UIDs, an age of '38'
that is not a valid AS), so tags are read leniently and pixels strictly.
"""

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, pixel_array
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from features.reading.study import Study
from features.run.files import UserError

# The oldest verified age is 122 years (SIIM-ACR has 148 and 413, which are typing errors).
OLDEST = 122.0
SMALLEST_SIDE = 64
LARGEST_ASPECT = 4
# Percent of a deep image's pixels that do not count: dead pixels; burnt-in letters and markers.
DARKEST, BRIGHTEST = 0.1, 0.5
# Values of ViewPosition for a chest seen from its side: the standard's two, and what is met.
LATERAL = {"LL", "RL", "LAT", "LATERAL"}


class UnreadableImage(UserError):
    """One image cannot be used; the sentence says which and why. The rest of a run goes on."""


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
        If the file is missing, damaged, not a greyscale image, of an unknown encoding, or tagged
        as a lateral view.
    """
    path = Path(path)
    if path.suffix.lower() == ".png":
        with _damage_told(path, "PNG"):
            return _read_png(path)
    with _damage_told(path, "DICOM"):
        dataset = _open_dicom(path)
        return _study(dataset, path), _dicom_pixels(dataset, path)


@contextmanager
def _damage_told(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a damaged file provokes into one sentence.

    pydicom parses a tag when it is first asked for, Pillow a chunk, and each kind of damage raises
    its own error.
    """
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableImage(f"{path}: the {kind} is damaged ({reason}).") from None


def _open_png(path: Path) -> Image.Image:
    try:
        image = Image.open(path, formats=["PNG"])
    except FileNotFoundError:
        raise UnreadableImage(f"{path}: no such file.") from None
    except (UnidentifiedImageError, OSError) as error:
        raise UnreadableImage(f"{path}: not a PNG image ({error}).") from None
    _check_size(path, image.height, image.width)
    return image


def _read_png(path: Path) -> tuple[Study, NDArray[np.float32]]:
    with _open_png(path) as image:
        study = Study(id=path.stem, path=path, rows=image.height, columns=image.width)
        if image.mode not in {"L", "I;16", "I"}:
            image = _grey(image, path)
        stored = np.asarray(image)
    return study, _to_unit(stored, 8 if stored.dtype == np.uint8 else 16)


def _grey(image: Image.Image, path: Path) -> Image.Image:
    """The grey channel of a PNG saved as colour, if its colour channels are equal."""
    channels = np.asarray(image.convert("RGB"))
    if (channels != channels[..., :1]).any():
        raise UnreadableImage(f"{path}: a colour image; an X-ray is greyscale.")
    return Image.fromarray(channels[..., 0])


def _open_dicom(path: Path) -> FileDataset:
    try:
        with warnings.catch_warnings():
            # Invalid values of tags (an AS of '38') are dealt with here, one by one.
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
    except FileNotFoundError:
        raise UnreadableImage(f"{path}: no such file.") from None
    except (InvalidDicomError, OSError, EOFError, ValueError, struct.error) as error:
        raise UnreadableImage(f"{path}: not a DICOM file ({error}).") from None
    if "Rows" not in dataset or "Columns" not in dataset:
        raise UnreadableImage(
            f"{path}: no image size, tags Rows (0028,0010) and Columns (0028,0011): not a DICOM "
            "image, or cut short."
        )
    _check_size(path, int(dataset.Rows), int(dataset.Columns))
    if (
        int(dataset.get("SamplesPerPixel") or 1) != 1
        or int(dataset.get("NumberOfFrames") or 1) != 1
    ):
        raise UnreadableImage(
            f"{path}: an X-ray has one greyscale frame, tags SamplesPerPixel (0028,0002) = 1 and "
            "NumberOfFrames (0028,0008) = 1."
        )
    view = _text(dataset, "ViewPosition").upper()
    if view in LATERAL:
        raise UnreadableImage(
            f"{path}: a lateral view, tag ViewPosition (0018,5101) is {view}; only frontal chest "
            "X-rays (PA, AP) can be judged."
        )
    _check_orientation(dataset, path)
    return dataset


def _check_orientation(dataset: FileDataset, path: Path) -> None:
    """Refuse what is stored otherwise than seen from the front, head up: lungs would be mixed up.

    The tag says whereto the rows and the columns run in the patient; many files leave it empty.
    """
    right, down = (*_values(dataset, "PatientOrientation"), "", "")[:2]
    if right.upper().startswith(("A", "P")):
        raise UnreadableImage(
            f"{path}: a lateral view, tag PatientOrientation (0020,0020) is {right}\\{down}; only "
            "frontal chest X-rays (PA, AP) can be judged."
        )
    if right.upper().startswith("R") or down.upper().startswith("H"):
        raise UnreadableImage(
            f"{path}: tag PatientOrientation (0020,0020) is {right}\\{down}; an X-ray's rows run "
            "to the patient's left and its columns to the feet, L\\F, so turn the pixels and any "
            "mask, and change the tag."
        )


def _check_size(path: Path, rows: int, columns: int) -> None:
    if min(rows, columns) < SMALLEST_SIDE:
        raise UnreadableImage(
            f"{path}: {rows}x{columns} pixels; an X-ray has at least {SMALLEST_SIDE} on each side."
        )
    if max(rows, columns) > LARGEST_ASPECT * min(rows, columns):
        raise UnreadableImage(
            f"{path}: {rows}x{columns} pixels; a chest X-ray is at most {LARGEST_ASPECT} times as "
            "long as wide."
        )


def _dicom_pixels(dataset: FileDataset, path: Path) -> NDArray[np.float32]:
    photometric = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    if photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise UnreadableImage(
            f"{path}: tag PhotometricInterpretation (0028,0004) is {photometric!r}; an X-ray is "
            "MONOCHROME1 or MONOCHROME2."
        )
    if "PixelData" not in dataset:
        raise UnreadableImage(f"{path}: no tag PixelData (7FE0,0010): no image, or cut short.")
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _guessed_syntax(dataset)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = pixel_array(dataset, decoding_plugin=_decoder(dataset))
            modality = apply_modality_lut(stored, dataset)
    # The decoders raise whatever they meet in a damaged stream, each its own kind.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableImage(f"{path}: its pixels cannot be decoded ({reason}).") from None
    bits = int(dataset.get("BitsStored") or 16)
    linear = modality is stored or np.array_equal(modality, stored)
    padding = _padding(dataset, stored)
    pixels = _to_unit(modality, bits if linear else 16, photometric == "MONOCHROME1", padding)
    if padding is not None:
        pixels[padding] = 0
    return pixels


def _decoder(dataset: FileDataset) -> str:
    """The plugin of pydicom to decode with; empty for pydicom's own choice."""
    # Pillow's libjpeg-turbo needs a third of the time, and reads nothing but 8-bit baseline here.
    baseline = dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    return "pillow" if baseline and dataset.get("BitsStored") == 8 else ""


def _guessed_syntax(dataset: FileDataset) -> pydicom.uid.UID:
    """Transfer syntax of a headless file, from how pydicom could parse it."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _to_unit(
    stored: NDArray[np.generic],
    bits: int,
    inverted: bool = False,
    padding: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Scale stored values to [0, 1], air dark: 8-bit by their range, others nearly by their own."""
    values = stored.astype(np.float32)
    if bits == 8 and stored.dtype == np.uint8:
        # Exact, where 1 - x would round.
        return (255 - values if inverted else values) / np.float32(255)
    seen = values if padding is None or padding.all() else values[~padding]
    if bits == 8 and seen.min() >= 0:
        low, high = 0.0, 255.0
    else:
        darkest, brightest = (BRIGHTEST, DARKEST) if inverted else (DARKEST, BRIGHTEST)
        low, high = np.percentile(seen, (darkest, 100 - brightest))
    if high - low < 1e-6:
        low, high = float(seen.min()), float(seen.max())
    unit = np.clip((values - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return 1 - unit if inverted else unit


def _padding(dataset: FileDataset, stored: NDArray[np.generic]) -> NDArray[np.bool_] | None:
    """Pixels that are none of the picture, but fill it up to a rectangle; None without the tag."""
    first, last = (_text(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    try:
        low, high = sorted((float(first), float(last or first)))
    except ValueError:  # missing, or no number
        return None
    values = stored.astype(np.float32)
    return (values >= low) & (values <= high)


def _study(dataset: FileDataset, path: Path) -> Study:
    return Study(
        id=path.stem if is_image(path) else path.name,
        path=path,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        spacing_mm=_spacing(dataset),
        view=_one_of(dataset, "ViewPosition", {"PA", "AP"}),
        age=age_in_years(_text(dataset, "PatientAge")),
        sex=_one_of(dataset, "PatientSex", {"F", "M"}),
        patient=_patient(dataset, path),
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


def _values(dataset: FileDataset, keyword: str) -> list[str]:
    """A tag's values as texts; none where it is missing, empty or unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = dataset.get(keyword)
    except (ValueError, TypeError, NotImplementedError):
        return []
    texts = [str(one).strip() for one in (value if isinstance(value, MultiValue) else [value])]
    return texts if value is not None and any(texts) else []


def _text(dataset: FileDataset, keyword: str) -> str:
    """The value of a tag that holds one, as text; empty where missing or unreadable."""
    return "\\".join(_values(dataset, keyword))


def _one_of(dataset: FileDataset, keyword: str, allowed: set[str]) -> str | None:
    text = _text(dataset, keyword).upper()
    return text if text in allowed else None


def _spacing(dataset: FileDataset) -> float | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            down, across = map(float, _values(dataset, keyword))
        except ValueError:  # not two, or no numbers
            continue
        if 0 < down == across < np.inf:
            return down
    return None


def _patient(dataset: FileDataset, path: Path) -> str | None:
    # SIIM-ACR's files carry the image's own id as PatientID, which groups nothing.
    text = _text(dataset, "PatientID")
    return text if text and text != path.stem else None
