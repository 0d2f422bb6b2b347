"""One chest X-ray as the toolkit knows it: where it lies and what its tags say, without pixels."""

from dataclasses import dataclass
from pathlib import Path

from features.reading.placement import Placement


@dataclass(frozen=True)
class Study:
    """A frontal chest X-ray and its acquisition.

    Parameters
    ----------
    id : str
        Name of the image: its file name without the suffix, as Kaggle's csv files use it.
    path : Path
        The file it was read from.
    rows, columns : int
        Size of the picture in pixels, which are square, without a border.
    spacing_mm : float or None
        Distance between pixel centres in mm, as the file says; None where it does not. SIIM-ACR's
        is of the larger original, so nothing is measured by it.
    view : str or None
        "PA" or "AP"; None where unknown.
    age : float or None
        In years; None where the tag is missing or impossible (SIIM-ACR holds ages 148 and 413).
    sex : str or None
        "F" or "M"; None where unknown.
    patient : str or None
        The file's patient id, if it has one that is not the image's own id.
    notes : tuple of str
        What the file's tags say against a chest X-ray ready for reading, a sentence each.
    placement : Placement or None
        Where the picture lies in the file; masks that come with it and go out are of the file's
        size. None where the file is the picture.
    """

    id: str
    path: Path
    rows: int
    columns: int
    spacing_mm: float | None = None
    view: str | None = None
    age: float | None = None
    sex: str | None = None
    patient: str | None = None
    notes: tuple[str, ...] = ()
    placement: Placement | None = None

    @property
    def place(self) -> Placement:
        """Where the picture lies in the file, also where it is just the file's."""
        size = (self.rows, self.columns)
        return self.placement or Placement.whole(size, size)
