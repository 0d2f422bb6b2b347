"""A phantom as a DICOM file like the challenge's: an 8-bit JPEG in a Secondary Capture object."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pydicom.config
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.errors import InvalidDicomError
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage

from features.phantom.radiograph import Phantom
from features.run.files import UserError
from features.storage import storage

# PatientName of every phantom, which says that the image shows nobody.
NAME = "Phantom"
# Patient orientation and its modifier, PS3.16 context groups 19 and 20: value, scheme, meaning.
ERECT = ("C86043", "NCIt", "erect")
RECUMBENT = ("102538003", "SCT", "recumbent")
SUPINE = ("40199007", "SCT", "supine")


def to_dicom(image: Phantom, image_id: str, inverted: bool = False) -> FileDataset:
    """The phantom's DICOM dataset; `inverted` stores it with air bright (MONOCHROME1).

    PatientAge is written as the challenge has it ('38', not '038Y'). PixelSpacing, unlike the
    challenge's, is the true one of the image. Whether the patient stood or lay is written too; the
    challenge does not say it (so this is a Standard Extended object).
    """
    pixels = 255 - image.pixels if inverted else image.pixels
    data = secondary_capture(pixels, image_id, int(image_id.removeprefix("ID_"), 16), 90)
    data.PatientName = NAME
    data.PatientSex, data.ViewPosition = image.sex, image.view
    data.SeriesDescription = f"view: {image.view}"
    set_age(data, image.age)
    lies = image.exposure.pose == "supine"
    pose = _code(*(RECUMBENT if lies else ERECT))
    if lies:
        pose.PatientOrientationModifierCodeSequence = [_code(*SUPINE)]
    data.PatientOrientationCodeSequence = [pose]
    data.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    data.PixelSpacing = [f"{image.spacing_mm:.6f}"] * 2
    return data


def secondary_capture(pixels: np.ndarray, image_id: str, number: int, quality: int) -> FileDataset:
    """A DICOM dataset like the challenge's, without what is said of a patient.

    Parameters
    ----------
    pixels : (h, w) array of uint8
        Air dark.
    image_id : str
    number : int
        Of this image alone; its identifiers are made from it.
    quality : int
        Of the JPEG compression, up to 95.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = f"2.25.{number + 2**40}"
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID = f"2.25.{number + 2**41}"
    data.SeriesInstanceUID = f"2.25.{number + 2**42}"
    data.StudyDate, data.StudyTime = "19010101", "000000.00"
    data.AccessionNumber, data.StudyID = "", ""
    data.Modality, data.ConversionType = "CR", "WSD"
    data.ReferringPhysicianName = data.PatientBirthDate = data.PatientName = ""
    data.PatientID = image_id
    data.BodyPartExamined = "CHEST"
    data.SeriesNumber = data.InstanceNumber = "1"
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.LossyImageCompression, data.LossyImageCompressionMethod = "01", "ISO_10918_1"
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=quality)
    data.PixelData = encapsulate([stream.getvalue()])
    return data


def set_age(data: Dataset, age: int) -> None:
    """Write PatientAge as the challenge has it: '38', which is no valid AS."""
    data.add(DataElement(0x00101010, "AS", str(age), validation_mode=pydicom.config.IGNORE))


def is_phantom(path: Path | str) -> bool:
    """Whether a file is a phantom, by its tag PatientName (0010,0010).

    False for a file that is missing or no DICOM file.
    """
    try:
        tags = pydicom.dcmread(storage.source(Path(path)), specific_tags=["PatientName"])
    except (InvalidDicomError, OSError, UserError):
        return False
    return str(tags.get("PatientName", "")) == NAME


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    """A coded concept as a sequence's item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
