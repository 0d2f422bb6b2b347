"""What a file says about its making: size, compression, depth, device. None of it is anatomy.

Wherever one of these differs between images with and without pneumothorax, a model may learn the
hospital, the scanner or the converter in place of the disease (Zech et al., PLoS Medicine 2018).
"""

import hashlib
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from baseline.audit_facts import recompression
from features.reading import dicom_tags
from features.storage import storage

# Sum of the luminance table of the JPEG standard (ITU T.81, table K.1), from which libjpeg scales.
STANDARD_SUM = 3688
# Tags that name the device or the place, and how the picture was made, by the name shown.
TAGS = {
    "manufacturer": "Manufacturer",
    "device model": "ManufacturerModelName",
    "station": "StationName",
    "institution": "InstitutionName",
    "software": "SoftwareVersions",
    "modality": "Modality",
    "conversion": "ConversionType",
    "body part": "BodyPartExamined",
    "photometric": "PhotometricInterpretation",
    "kvp": "KVP",
    "exposure": "Exposure",
    "raw age": "PatientAge",
    "raw sex": "PatientSex",
}
MAGIC = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF"}


def measure(path: Path, pixels: NDArray[np.float32]) -> dict[str, Any]:
    """Facts of one file by name; what it does not say is missing.

    Parameters
    ----------
    path : Path
        An image that the reader has read.
    pixels : (h, w) array of float32 in [0, 1]
        Its picture.

    Returns
    -------
    dict
        "bytes", "kind", "bits", "syntax", "writer" (the software that wrote the file), "JPEG
        quality" (1 to 100, as libjpeg counts), "JPEG tables" (a digest), "JPEG header" (its
        markers), "pixels changed" (see `recompression`), "folder", "tags present"
        (a digest) and the tags of `TAGS`.
    """
    try:
        content = storage.read(path)
    except OSError:  # gone since it was read
        return {"folder": path.parent.name}
    kind = MAGIC.get(content[:4], MAGIC.get(content[:3], "DICOM"))
    facts = {"folder": path.parent.name, "bytes": len(content), "kind": kind}
    if kind == "DICOM":
        facts |= _dicom(content)
    if kind == "JPEG" or "JPEG" in str(facts.get("syntax", "")):
        stream = content[max(content.find(b"\xff\xd8\xff"), 0) :]
        unpacked = 1 - pixels if facts.get("photometric") == "MONOCHROME1" else pixels
        changed = recompression.changed_pixels(stream, unpacked)
        facts |= jpeg_tables(stream) | ({} if changed is None else {"pixels changed": changed})
    return facts


def _dicom(content: bytes) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
            syntax = dataset.file_meta.get("TransferSyntaxUID")
            writer = str(dataset.file_meta.get("ImplementationVersionName", ""))
            present = sorted(str(tag) for tag in dataset.keys())  # noqa: SIM118
        except Exception:  # the reader has judged the file; here a tag more or less is no matter
            return {}
    facts = {name: dicom_tags.text(dataset, keyword) for name, keyword in TAGS.items()}
    facts = {name: value for name, value in facts.items() if value}
    return facts | {
        "bits": dicom_tags.text(dataset, "BitsStored"),
        "writer": writer or "unknown",
        "syntax": getattr(syntax, "name", "") or "none",
        "tags present": hashlib.sha256(" ".join(present).encode()).hexdigest()[:8],
    }


def jpeg_tables(content: bytes) -> dict[str, Any]:
    """Digest of the quantisation tables of a JPEG stream, and the quality that libjpeg would name.

    Parameters
    ----------
    content : bytes
        From the start-of-image marker on; what follows the scan does not matter.
    """
    tables = [segment for marker, segment in _segments(content) if marker == 0xDB]
    if not tables:
        return {}
    facts: dict[str, Any] = {
        "JPEG tables": hashlib.sha256(b"".join(tables)).hexdigest()[:8],
        "JPEG header": " ".join(f"{marker:02X}" for marker, _ in _segments(content)),
    }
    first = np.frombuffer(tables[0][1:65], np.uint8)
    if tables[0][0] >> 4 == 0 and len(first) == 64:
        scale = 100 * float(first.sum()) / STANDARD_SUM
        quality = 100 - scale / 2 if scale <= 100 else 5000 / scale
        facts["JPEG quality"] = float(np.clip(round(quality), 1, 100))
    return facts


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment before the scan of a JPEG stream (ITU T.81, annex B)."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        marker, length = struct.unpack(">xBH", content[place : place + 4])
        yield marker, content[place + 4 : place + 2 + length]
        place += 2 + max(length, 2)
