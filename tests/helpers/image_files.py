"""Small image files with known pixels and tags."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage


def write_png(path: Path, seed: int = 0, size: int = 64) -> Path:
    """A small greyscale PNG of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def write_dicom(path: Path, pixels: np.ndarray, bits: int = 8, **tags: Any) -> Path:
    """An uncompressed DICOM with the given pixels and tags."""
    dataset = dicom_dataset(pixels, bits, ExplicitVRLittleEndian, tags)
    dataset.PixelData = pixels.astype(np.uint8 if bits == 8 else np.uint16).tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_jpeg_dicom(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    """A JPEG Baseline DICOM, as SIIM-ACR's."""
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "JPEG", quality=95)
    dataset = dicom_dataset(pixels, 8, JPEGBaseline8Bit, tags)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def dicom_dataset(pixels: np.ndarray, bits: int, syntax: str, tags: dict[str, Any]) -> Dataset:
    """A DICOM data set with the tags of a small X-ray, without its pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset
