"""The tables and slopes that a DICOM file hands over with its stored values (PS3.3, C.11).

The modality's transform (a table, or slope and intercept) makes stored values those of the device.
A VOI transform then shows them as the device's maker wanted: a table that is no straight line, or a
sigmoid, is applied, since it changes how tissue is told from tissue, and a falling one inverts the
picture. Linear windows are ignored: they change no contrast but cut off what lies beyond, files
hold several for different tissues or wrong ones, and the darkest and the brightest levels are
found from the picture itself anyway.

A transform that is empty is none, which is no damage.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from features.reading.dicom_tags import text, values
from features.storage.unreadable import BAD_BYTES, UnreadableImage, quoted

# What single precision holds with room for arithmetic.
LARGEST = 1e37
# A rising table that leaves the straight line by less than this share of its range is a window.
STRAIGHT = 0.01

Values = NDArray[np.generic]


@dataclass(frozen=True)
class Table:
    """A table of grey levels: `entries` for stored values from `first` on, the ends repeated."""

    first: int
    entries: NDArray[np.uint16]

    def apply(self, stored: Values) -> NDArray[np.uint16]:
        """The entry of each value."""
        places = np.rint(stored) if stored.dtype.kind == "f" else stored.astype(np.int64)
        last = len(self.entries) - 1
        return self.entries[np.clip(places - self.first, 0, last).astype(np.int64)]

    def is_window(self) -> bool:
        """Whether it rises along a straight line."""
        line = np.linspace(float(self.entries[0]), float(self.entries[-1]), len(self.entries))
        away = np.abs(self.entries - line).max()
        return bool(line[-1] > line[0] and away <= STRAIGHT * (line[-1] - line[0]))


def to_display(stored: Values, dataset: FileDataset, path: Path) -> Values:
    """Apply the modality's transform, then the VOI's.

    Parameters
    ----------
    stored : (h, w) array
    dataset : FileDataset
    path : Path
        The file, for errors.

    Returns
    -------
    (h, w) array
        `stored` itself where there is no transform.

    Raises
    ------
    UnreadableImage
        If a slope or an intercept is no number that can be reckoned with.
    """
    modality = _rescaled(stored, dataset, path)
    table = next((table for table in _tables(dataset, "VOILUTSequence", modality)), None)
    if table is not None:
        return modality if table.is_window() else table.apply(modality)
    if text(dataset, "VOILUTFunction").upper() == "SIGMOID":
        return _sigmoid(modality, dataset)
    return modality


def _rescaled(stored: Values, dataset: FileDataset, path: Path) -> Values:
    """Values after the modality's table, or its slope and intercept."""
    for table in _tables(dataset, "ModalityLUTSequence", stored):
        return table.apply(stored)
    # In single precision, as the values are: a slope that is nothing there is none.
    slope = np.float32(_decimal(dataset, "RescaleSlope", path) or 1) or np.float32(1)
    intercept = np.float32(_decimal(dataset, "RescaleIntercept", path) or 0)
    if stored.dtype.kind != "f" and slope == 1 and intercept == 0:
        return stored
    rescaled = stored.astype(np.float32) * slope + intercept
    if not (np.abs(rescaled) < LARGEST).all():
        raise UnreadableImage(
            f"{path}: some pixels are not finite numbers; they, or the tags that rescale them, "
            "RescaleSlope (0028,1053) and RescaleIntercept (0028,1052), are damaged."
        )
    return rescaled


def _decimal(dataset: FileDataset, keyword: str, path: Path) -> float | None:
    """A decimal number of a tag, whose point may be a comma; None where it is missing or empty."""
    written = text(dataset, keyword)
    if not written:
        return None
    try:
        value = float(written.replace(",", "."))
    except ValueError:
        value = np.nan
    if not abs(value) < LARGEST:
        raise UnreadableImage(
            f"{path}: rescaled by tag {keyword}, {quoted(written)}, its pixels are not finite "
            "numbers; mend or empty the tag."
        )
    return value


def _sigmoid(modality: Values, dataset: FileDataset) -> Values:
    """The sigmoid of PS3.3, C.11.2.1.3.1, from 0 to 1; without its two numbers it is none."""
    try:
        centre, width = (
            float(values(dataset, keyword)[0].replace(",", "."))
            for keyword in ("WindowCenter", "WindowWidth")
        )
    except (IndexError, ValueError):
        return modality
    if not (0 < width < LARGEST and abs(centre) < LARGEST):
        return modality
    steps = np.clip(-4 * (modality.astype(np.float32) - centre) / width, -80, 80)
    return (1 / (1 + np.exp(steps))).astype(np.float32)


def _tables(dataset: FileDataset, keyword: str, of: Values) -> Iterator[Table]:
    """The usable tables of a sequence of them, for these values."""
    try:
        items = list(dataset.get(keyword) or [])
    except BAD_BYTES:
        return
    signed = bool(of.min() < 0) if items else False
    for item in items:
        table = _table(item, signed, dataset.original_encoding[1] is not False)
        if table is not None:
            yield table


def _table(item: Dataset, signed: bool, little: bool) -> Table | None:
    """A table of an item; None where it is empty, cut short or the same level throughout.

    The descriptor says how many entries there are (0 for 65,536), the value of the first, and
    their bits; entries of any more than 8 bits are words of 16, and so are those of 8 bits unless
    there are only as many bytes.
    """
    try:
        count, first = (int(value) for value in item.get("LUTDescriptor")[:2])
        data = item.get("LUTData")
    except BAD_BYTES:
        return None
    count = count & 0xFFFF or 2**16
    first = first - 2**16 if signed and first >= 2**15 else first
    if isinstance(data, bytes):
        if len(data) >= 2 * count:
            entries = np.frombuffer(data[: 2 * count], "<u2" if little else ">u2")
        else:
            entries = np.frombuffer(data, np.uint8)[:count]
    else:
        entries = np.array(data if data is not None else [], np.int64)[:count] & 0xFFFF
    if entries.size < count or np.ptp(entries) == 0:
        return None
    return Table(first, entries.astype(np.uint16))
