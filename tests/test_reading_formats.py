"""Every format that is read or refused, each on a file made here; README.md's table is this list.

After a change of `FORMATS`, `.venv/bin/python -m tests.test_reading_formats` writes the table anew.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from features.reading import images
from features.storage.unreadable import UnreadableImage
from tests.helpers import picture_files as write

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- formats: see tests/test_reading_formats.py -->", "<!-- end of formats -->"

# Of each format, under the endings by which it is met: how a file is written, and how close it must
# come to the picture that was written, in grey levels of 255 (None: in the same order, since the
# ends are its own), or what the sentence says that refuses it.
FORMATS = {
    "DICOM": {
        "8 bits": (".dcm", write.dicom(), 0),
        "10 to 16 bits": (".dcm", write.dicom(bits=12, factor=16), None),
        "MONOCHROME1 and 2": (".DCM", write.negative, 0),
        "explicit and implicit": (".IMA", write.IMPLICIT, 0),
        "big endian": (".dicom", write.BIG_ENDIAN, 0),
        "deflated": (".dcm", write.DEFLATED, 0),
        "JPEG": (".dcm", write.jpeg_dicom, 3),
        "JPEG 2000": (".dcm", write.JPEG_2000, 0),
        "RLE": (".dcm", write.RLE, 0),
        "without preamble": ("", write.headless, 0),
        "cut short": (".dcm", write.cut(write.dicom()), "a.dcm"),
        "several frames": (".dcm", write.dicom(NumberOfFrames=2), "one greyscale frame"),
        "lateral views": (".dcm", write.dicom(ViewPosition="LL"), "a lateral view"),
    },
    "PNG": {
        "8 bits": (".png", write.save(), 0),
        "16 bits": (".PNG", write.deep(257), 0),
        "fewer bits stored in 16": (".png", write.deep(16), None),
        "with a palette": (".png", write.palette, 0),
        "with alpha": (".png", write.save("LA"), 0),
        "grey stored as colours": ("", write.save("RGBA", format="PNG"), 0),
        "true colours": (".png", write.colours(), "a colour image"),
        "cut short": (".png", write.cut(write.save()), "the PNG is damaged: the file ends after"),
        "several pictures": (".png", write.several, "several pictures"),
        "more than 64 million pixels": (".png", write.enormous, "at most 64,000,000"),
    },
    "JPEG": {
        "8 bits": (".jpg", write.save(quality=98), 3),
        "progressive": (".jpeg", write.save(quality=98, progressive=True), 3),
        "grey stored as colours": (".JPG", write.save("RGB", quality=98), 4),
        "CMYK": (".jpg", write.save("CMYK", quality=98), 4),
        "turned by EXIF": (".jpg", write.turned, 3),
        "true colours": (".jpg", write.colours(quality=98), "a colour image"),
        "cut short": (".jpg", write.cut(write.save(quality=98)), "damaged: the file ends after"),
        "half a scan": (".jpg", write.cut(write.save(quality=98), b"\xff\xd9"), "ends after"),
    },
    "TIFF": {
        "8 bits": (".tif", write.save(), 0),
        "16 bits": (".tiff", write.deep(257), 0),
        "big endian": (".TIF", write.deep(257, ">u2"), 0),
        "white is zero": (".tif", write.white_is_zero, 0),
        "LZW, deflate": (".tif", write.deep(257, compression="tiff_lzw"), 0),
        "floats": ("", write.deep(0.1, "<f4", format="TIFF"), None),
        "with a palette": (".tif", write.palette, 0),
        "several pages": (".tif", write.several, "several pictures"),
        "true colours": (".tif", write.colours(), "a colour image"),
        "cut short": (".tif", write.cut(write.save()), "the TIFF is damaged: the file ends after"),
    },
}
CASES = [
    pytest.param(*case, id=f"{kind}, {name}")
    for kind, cases in FORMATS.items()
    for name, case in cases.items()
]


def table() -> str:
    """README.md's table of formats."""
    lines = ["| format | is read | is refused in a sentence |", "|---|---|---|"]
    for kind, cases in FORMATS.items():
        refused = [name for name, case in cases.items() if isinstance(case[2], str)]
        read = [name for name in cases if name not in refused]
        lines.append(f"| {kind} | {', '.join(read)} | {', '.join(refused)} |")
    return "\n".join([BEGIN, *lines, END])


@pytest.fixture
def grey() -> np.ndarray:
    """A picture of all levels."""
    return np.rint(np.add.outer(np.arange(120), np.arange(96)) * 255 / 214).astype(np.uint8)


@pytest.mark.parametrize(("ending", "writer", "expected"), CASES)
def test_a_format_is_read_or_refused(tmp_path, grey, ending, writer, expected):
    path = tmp_path / f"a{ending}"
    writer(path, grey)
    if isinstance(expected, str):
        with pytest.raises(UnreadableImage, match=re.escape(expected)) as refusal:
            images.read(path)
        assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)
        return
    study, pixels = images.read(path)
    assert (study.id, study.rows, study.columns) == ("a", 120, 96)
    assert pixels.dtype == np.float32 and 0 <= pixels.min() < pixels.max() <= 1
    if expected is None:
        assert spearmanr(pixels.ravel(), grey.ravel()).statistic > 0.999
    else:
        assert np.abs(pixels * 255 - grey).max() < expected + 0.001


def test_the_readme_has_this_table():
    text = (ROOT / "README.md").read_text("utf-8")
    assert table() in text, "renew it by .venv/bin/python -m tests.test_reading_formats"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    before, rest = readme.read_text("utf-8").split(BEGIN)
    readme.write_text(before + table() + rest.split(END)[1], "utf-8")
