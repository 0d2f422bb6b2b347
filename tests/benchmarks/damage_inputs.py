"""Damaged DICOMs, PNGs, csv files and run-length codes, for `fuzz_inputs.py`."""

import contextlib
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.uid import JPEG2000Lossless, RLELossless

from tests.helpers.image_files import write_dicom, write_jpeg_dicom, write_png

SIDES = [0, 1, 63, 65, 13_000, 65_535, 2**31 - 1]


def bases(folder: Path) -> dict[str, list[bytes]]:
    """Whole files of each kind, to be damaged."""
    rows, columns = np.mgrid[:96, :80]
    picture = (128 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7)).astype(np.uint8)
    eight, twelve = write_dicom(folder / "8.dcm", picture), folder / "12.dcm"
    write_dicom(twelve, picture.astype(np.uint16) * 16, 12)
    jpeg = write_jpeg_dicom(folder / "jpeg.dcm", picture)
    dicoms = [path.read_bytes() for path in (eight, twelve, jpeg)]
    for path, syntax in ((eight, RLELossless), (twelve, RLELossless), (eight, JPEG2000Lossless)):
        with contextlib.suppress(Exception):  # an encoder that is not installed
            dataset = dcmread(path)
            dataset.compress(syntax, generate_instance_uid=False)
            dicoms.append(_stored(dataset))
    pngs = [write_png(folder / "grey.png", size=96).read_bytes()]
    for array in (picture.astype(np.uint16) * 200, np.dstack([picture] * 3)):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, format="PNG")
        pngs.append(buffer.getvalue())
    lines = ["ImageId,EncodedPixels", *(f"i{n},{17 * n} 9 60 4 {n} 3" for n in range(5)), "i5,-1"]
    csvs = ["\n".join(lines).encode(), b" ImageId, EncodedPixels\r\ni1, -1\r\ni2, 3 4\r\n"]
    return {"dicom": dicoms, "png": pngs, "csv": csvs, "rle": [b"0 5 12 3 70 2", b"-1", b"4090 6"]}


def _stored(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


ODD = ["", "0", "-1", "nan", "inf", "1e308", "1e-320", "65535", "1,5", "\x1b[31mred\x07", "A" * 500]
ODD += [
    "MONOCHROME1",
    "YBR_FULL",
    "PALETTE COLOR",
    "RGB",
    "LATERAL",
    "LL",
    "a\\b",
    "ä\u2028",
    "1.2.840",
]


def damaged(kind: str, base: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy of a file."""
    content = base
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        special = {"dicom": _dicom, "png": _png, "csv": _text, "rle": _code}[kind]
        change = special if rng.random() < 0.7 else _bytes
        with warnings.catch_warnings(), contextlib.suppress(Exception):  # too damaged for it
            warnings.simplefilter("ignore")
            content = change(content, rng)
    return content


def _bytes(content: bytes, rng: np.random.Generator) -> bytes:
    changed, place = bytearray(content), int(rng.integers(0, len(content) + 1))
    match int(rng.integers(6)):
        case 0:
            del changed[place:]
        case 1 | 2:
            for at in rng.integers(0, max(len(changed), 1), int(rng.integers(1, 9))):
                changed[at] = int(rng.integers(256))
        case 3:
            changed[place:place] = rng.bytes(int(rng.integers(1, 50)))
        case 4:
            del changed[place : place + int(rng.integers(1, 50))]
        case 5:
            changed[place : place + 4] = bytes(
                rng.choice([b"\xff" * 4, b"\0" * 4, b"\xfe\xff\0\xe0"])
            )
    return bytes(changed)


def _dicom(content: bytes, rng: np.random.Generator) -> bytes:
    dataset = dcmread(io.BytesIO(content), force=True)
    elements = [element for element in dataset if not element.tag.is_private]
    element = elements[int(rng.integers(len(elements)))]
    sizes = ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"]
    sizes += ["SamplesPerPixel", "NumberOfFrames", "PlanarConfiguration", "RescaleSlope"]
    sizes += ["RescaleIntercept", "WindowWidth", "PixelPaddingValue", "PhotometricInterpretation"]
    sizes += [
        "ViewPosition",
        "PatientAge",
        "PixelSpacing",
        "PatientOrientation",
        "BodyPartExamined",
    ]
    match int(rng.integers(7)):
        case 0:
            del dataset[element.tag]
        case 1:
            dataset[element.tag] = DataElement(element.tag, element.VR, None)
        case 2 | 3:
            name = str(rng.choice(sizes))
            numbers = [0, 1, 2, 7, 8, 9, 12, 15, 16, 31, 32, 33, 63, 64, 65, 128, 4096, 65535]
            value: Any = int(rng.choice(numbers))
            if name[0] in "PVRWB" and name not in sizes[:7]:
                value = str(rng.choice(ODD))
            dataset[name] = (
                DataElement(name, str(rng.choice(["US", "LO", "DS"])), value)
                if (rng.random() < 0.2)
                else DataElement(name, _kind(name), value)
            )
        case 4:
            dataset[element.tag] = DataElement(element.tag, "LO", str(rng.choice(ODD)))
        case 5:
            pixels = bytearray(dataset.PixelData)
            for at in rng.integers(0, len(pixels), int(rng.integers(1, 12))):
                pixels[at] = int(rng.integers(256))
            dataset.PixelData = bytes(pixels[: int(rng.integers(1, len(pixels) + 1))])
        case 6:
            syntaxes = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]
            syntaxes += [
                "1.2.840.10008.1.2.5",
                "1.2.840.10008.1.2.4.90",
                "1.2.840.10008.1.2.4.70",
                "x\x1b",
            ]
            dataset.file_meta.TransferSyntaxUID = str(rng.choice(syntaxes))
    return _stored(dataset)


def _kind(name: str) -> str:
    kind = dictionary_VR(name)
    return "US" if " or " in kind else kind


def _png(content: bytes, rng: np.random.Generator) -> bytes:
    chunks, at = [], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append([content[at + 4 : at + 8], bytearray(content[at + 8 : at + 8 + length])])
        at += 12 + length
    header = next(data for name, data in chunks if name == b"IHDR")
    number = int(rng.integers(len(chunks)))
    match int(rng.integers(6)):
        case 0:
            header[0:4] = struct.pack(
                ">I", int(rng.choice([0, 1, 63, 65, 13_000, 65_535, 2**31 - 1]))
            )
        case 1:
            header[4:8] = struct.pack(
                ">I", int(rng.choice([0, 1, 63, 65, 13_000, 65_535, 2**31 - 1]))
            )
        case 2:
            header[int(rng.integers(8, 13))] = int(rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255]))
        case 3:
            del chunks[number]
        case 4:
            data = chunks[number][1]
            for place in rng.integers(0, max(len(data), 1), 4):
                if len(data):
                    data[place] = int(rng.integers(256))
        case 5:
            name = bytes(
                rng.choice([b"tRNS", b"PLTE", b"tEXt", b"zTXt", b"gAMA", b"acTL", b"iCCP"])
            )
            chunks.insert(1, [name, bytearray(rng.bytes(int(rng.integers(0, 60))))])
    parts = [content[:8]]
    for name, data in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        parts.append(struct.pack(">I", len(data)) + name + bytes(data) + checksum)
    return b"".join(parts)


def _text(content: bytes, rng: np.random.Generator) -> bytes:
    text = content.decode("utf-8")
    lines = text.splitlines()
    number = int(rng.integers(len(lines)))
    odd = [
        *ODD,
        '"',
        "i1,i2",
        "\0",
        "i1\n",
        "=cmd|' /C calc'!A0",
        "<script>",
        "../../x",
        "9" * 5000,
    ]
    match int(rng.integers(9)):
        case 0:
            lines[number] = str(rng.choice(odd))
        case 1:
            lines[number] += "," + str(rng.choice(odd))
        case 2:
            lines[number] = lines[number].replace(",", str(rng.choice([";", "\t", ",,", '"', "|"])))
        case 3:
            cells = lines[number].split(",")
            cells[int(rng.integers(len(cells)))] = str(rng.choice(odd))
            lines[number] = ",".join(cells)
        case 4:
            lines.insert(number, lines[int(rng.integers(len(lines)))])
        case 5:
            return text.encode(str(rng.choice(["utf-16", "utf-8-sig", "utf-32", "cp037"])))
        case 6:
            del lines[number]
        case 7:
            lines = [
                line.replace(" ", str(rng.choice(["  ", "\u00a0", "\t", "."]))) for line in lines
            ]
        case 8:
            lines[0] = str(
                rng.choice(["imageid,encodedpixels", "ImageId", "EncodedPixels,ImageId", ","])
            )
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _code(content: bytes, rng: np.random.Generator) -> bytes:
    parts = content.decode().split()
    odd = [
        "-1",
        "0",
        "1.5",
        "1e3",
        "99999999999999999999",
        str(2**31),
        str(2**63 - 1),
        "\u0663",
        "x",
    ]
    number = int(rng.integers(len(parts)))
    match int(rng.integers(5)):
        case 0:
            parts[number] = str(rng.choice(odd))
        case 1:
            parts.insert(number, str(int(rng.integers(0, 5000))))
        case 2:
            del parts[number]
        case 3:
            parts = parts * int(rng.integers(2, 300))
        case 4:
            parts[number] = str(int(parts[number]) + int(rng.integers(-5, 5000)))
    return " ".join(parts).encode()
