"""A copy of a dataset in which faults are planted: links to the images, and few changed files.

The copy has the layout of stage 2 whatever the original's is, since it is written from the rows of
dataset.parquet. Nothing of the original is touched.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pydicom.config
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage

from features.dataset import read
from features.dataset.layouts import ID, MASK
from features.reading import images, rle
from features.reading.square_pixels import to_picture
from features.run.files import write_csv

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class PlantedCopy:
    """A dataset as it will be written.

    Parameters
    ----------
    folder : Path
        Where the copy is written.
    images : dict of str to Path
        The file of each image, by id.
    rows : list of (str, str)
        Ids and codes of the annotation csv.
    test : list of str
        Test ids.
    patients : dict of str to str
        Patient by id.
    """

    folder: Path
    images: dict[str, Path]
    rows: list[tuple[str, str]]
    test: list[str]
    patients: dict[str, str]

    @classmethod
    def of(
        cls, folder: Path, table: pd.DataFrame, annotations: dict[str, list[str]]
    ) -> "PlantedCopy":
        """The copy of some rows of dataset.parquet, without any fault."""
        train = table.loc[table["split"] == "train", "id"]
        return cls(
            folder,
            {str(row.id): Path(str(row.path)) for row in table.itertuples()},
            [(str(key), code) for key in train for code in annotations.get(key, [rle.EMPTY])],
            [str(key) for key in table.loc[table["split"] == "test", "id"]],
            {str(row.id): str(row.patient) for row in table.itertuples()},
        )

    def for_fault(self, name: str) -> "PlantedCopy":
        """A further copy of its own, in a folder of its own."""
        return replace(
            self,
            folder=self.folder.with_name(name),
            images=dict(self.images),
            rows=list(self.rows),
            test=list(self.test),
            patients=dict(self.patients),
        )

    def codes(self, key: str) -> list[str]:
        """Annotation rows of an image."""
        return [code for name, code in self.rows if name == key]

    def annotate(self, key: str, codes: list[str]) -> None:
        """Put other annotation rows in the place of an image's."""
        self.rows[:] = [row for row in self.rows if row[0] != key] + [(key, c) for c in codes]

    def rewrite(self, key: str, **changes: object) -> None:
        """Put a changed file in the place of an image, see `write_changed`."""
        target = self.folder / "changed" / f"{key}.dcm"
        write_changed(self.images[key], target, key, **changes)  # type: ignore[arg-type]
        self.images[key] = target

    def add(self, source: str, key: str) -> None:
        """Add an image of another id with the same file."""
        self.images[key] = self.images[source]
        self.patients[key] = f"patient of {key}"

    def write(self) -> Path:
        """Write the folder; return it."""
        data = self.folder / "data"
        (data / "stage_2_images").mkdir(parents=True)
        for key, path in self.images.items():
            (data / "stage_2_images" / f"{key}{path.suffix}").symlink_to(path.absolute())
        write_csv(data / "stage_2_train.csv", pd.DataFrame(self.rows, columns=[ID, MASK]))
        sample = pd.DataFrame({ID: self.test, MASK: rle.EMPTY})
        write_csv(data / "stage_2_sample_submission.csv", sample)
        patients = [(key, self.patients[key]) for key in self.images]
        write_csv(data / "patients.csv", pd.DataFrame(patients, columns=[ID, "patient"]))
        return data

    def read(self, jobs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write the folder and read it as make dataset does: its table and its quarantine.

        Raises
        ------
        UserError
            If the reader refuses it.
        """
        settings = read.Settings(self.write(), self.folder / "run", folds=2, jobs=jobs)
        table, quarantine, _ = read.build(settings)
        return table, quarantine


def write_changed(
    source: Path,
    target: Path,
    key: str,
    change: Callable[[Pixels], Pixels] | None = None,
    quality: int = 90,
    bits: int = 8,
    tags: dict[str, str] | None = None,
) -> None:
    """Write an image as a DICOM with other pixels, another compression or other tags.

    Parameters
    ----------
    source, target : Path
        The image as it is, and the file to write.
    key : str
        Its id.
    change : callable, optional
        From pixels (h, w) in [0, 1] to others. Where neither it nor `bits` is given and the source
        is a DICOM, its pixels are kept byte for byte.
    quality : int
        Of the JPEG, 1 to 100.
    bits : int
        8 for a JPEG; more for uncompressed pixels of that depth.
    tags : dict of str to str, optional
        Values by keyword.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    study, pixels = images.read_whole(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = _opened(source)
        keep = data is not None and change is None and bits == 8 and quality == 90
        data = _new(key) if data is None else data
        for keyword, value in (("PatientSex", study.sex), ("ViewPosition", study.view)):
            if value is not None and keyword not in data:
                setattr(data, keyword, value)
        for keyword, value in (tags or {}).items():
            tag = pydicom.datadict.tag_for_keyword(keyword)
            assert tag is not None
            kind = pydicom.datadict.dictionary_VR(tag)
            data.add(DataElement(tag, kind, value, validation_mode=pydicom.config.IGNORE))
        if not keep:
            changed = pixels if change is None else change(pixels)
            _set_pixels(data, to_picture(changed, study.place.file), quality, bits)
        data.save_as(target, enforce_file_format=True)


def _opened(path: Path) -> FileDataset | None:
    """A DICOM file with its header; None for any other file."""
    try:
        data = pydicom.dcmread(path)
    except (pydicom.errors.InvalidDicomError, OSError):
        return None
    return data if data.file_meta.get("TransferSyntaxUID") else None


def _new(key: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[key])
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "2.25.1"
    data.Modality, data.PatientID = "CR", key
    return data


def _set_pixels(data: FileDataset, pixels: Pixels, quality: int, bits: int) -> None:
    for keyword in (
        "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "PixelPaddingValue",
        "VOILUTSequence",
    ):  # fmt: skip
        if keyword in data:
            delattr(data, keyword)
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = 8 if bits == 8 else 16
    data.BitsStored, data.HighBit = bits, bits - 1
    levels = np.rint(np.clip(pixels, 0, 1) * (2**bits - 1))
    if bits == 8:
        stream = io.BytesIO()
        Image.fromarray(levels.astype(np.uint8)).save(stream, "JPEG", quality=quality)
        data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        data.PixelData = encapsulate([stream.getvalue()])
        data["PixelData"].is_undefined_length = True
    else:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.PixelData = levels.astype("<u2").tobytes()
        data["PixelData"].is_undefined_length = False
    data["PixelData"].VR = "OB" if bits == 8 else "OW"
