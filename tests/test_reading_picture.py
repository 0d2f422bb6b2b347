"""PNG, JPEG and TIFF: depths agree, transparency is air, damage is told and nothing is printed."""

import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from features.reading import images
from features.storage import kinds
from features.storage.unreadable import UnreadableImage
from tests.helpers import picture_files as write
from tests.helpers.image_files import write_png

SIZE = (96, 80)
GREY = np.rint(np.add.outer(np.arange(96), np.arange(80)) * 255 / 174).astype(np.uint8)
PICTURES = {
    "a.png": write.save(),
    "b.png": write.deep(257),
    "c.jpg": write.save(quality=90),
    "d.tif": write.save(),
    "e.tif": write.deep(257, compression="tiff_lzw"),
    "f.tif": write.save("RGB", compression="tiff_adobe_deflate"),
}


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_8_and_16_bits_give_the_same_picture(tmp_path, suffix):
    unit = np.add.outer(np.linspace(0, 0.5, 96), np.linspace(0, 0.5, 80))
    unit *= 0.9
    for name, most, dtype in (("8", 255, np.uint8), ("16", 65535, np.uint16)):
        levels = np.rint(unit * most).astype(dtype)
        Image.fromarray(levels).save(tmp_path / f"{name}.{suffix}")
    shallow, deep = (images.read(tmp_path / f"{name}.{suffix}")[1] for name in ("8", "16"))
    np.testing.assert_allclose(deep, unit, atol=1 / 65535)
    np.testing.assert_allclose(shallow, deep, atol=0.51 / 255)


def test_transparent_pixels_are_air(tmp_path):
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[:, 60:] = 0
    image = Image.fromarray(np.stack([GREY, GREY, GREY, alpha], axis=2))
    image.save(tmp_path / "a.png")
    pixels = images.read(tmp_path / "a.png")[1]
    assert (pixels[:, 60:] == 0).all()
    np.testing.assert_allclose(pixels[:, :60], GREY[:, :60] / 255, atol=1e-6)


@pytest.mark.parametrize("step", [4, 5])
def test_grey_up_to_rounding(tmp_path, step):
    colours = np.stack([GREY, GREY, np.where(GREY > 128, GREY - step, GREY)], axis=2)
    Image.fromarray(colours).save(tmp_path / "a.png")
    if step > 4:
        with pytest.raises(UnreadableImage, match="a colour image"):
            images.read(tmp_path / "a.png")
    else:
        np.testing.assert_allclose(images.read(tmp_path / "a.png")[1], GREY / 255, atol=1e-6)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    for name, writer in PICTURES.items():
        writer(folder / name, GREY)
    return {name: (folder / name).read_bytes() for name in PICTURES}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(PICTURES)),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
    keep=st.sampled_from([1.0, 1.0, 1.0, 0.9, 0.5, 0.1]),
)
def test_a_mutated_picture_is_read_or_refused_in_one_line(
    tmp_path, seeds, capfd, name, changes, keep
):
    content = bytearray(seeds[name])
    for place, value in changes:
        # Half of the changes fall into the header.
        content[int(place * (len(content) if value % 2 else min(200, len(content))))] = value
    path = tmp_path / name
    path.write_bytes(content[: int(keep * len(content))])
    try:
        study, pixels = images.read(path)
    except UnreadableImage as error:
        text = str(error).replace(str(path), "")
        assert text.isprintable() and len(text) < 300
    else:
        assert pixels.shape == (study.rows, study.columns) and np.isfinite(pixels).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (bytes(128) + b"DICM", "DICOM"),
        (bytes(128) + b"DICM" + bytes(20) + b"1.2.840.10008.1.3.10", None),  # a DICOMDIR
        (b"\x08\0\x05\0CS\x02\0  \x08\0\x16\0UI\x02\x001\0\x08\0\x18\0UI\x02\x001\0", "DICOM"),
        (b"\x08\0\0\0\x04\0\0\0\x18\0\0\0\x08\0\x05\0\0\0\0\0\x08\0\x16\0\0\0\0\0", "DICOM"),
        (b"\0\x08\0\x05CS\0\x02  \0\x08\0\x16UI\0\x021\0\0\x08\0\x18UI\0\x021\0", "DICOM"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"", None),
        (bytes(512), None),
        (b"ImageId,EncodedPixels\n" * 9, None),
        (b"# Read me\n" * 99, None),
        (b"PK\3\4" + bytes(99), None),
        (b"%PDF-1.4\n", None),
        (b"GIF89a" + bytes(99), None),
        (b"\x08\0" * 200, None),
        (b"\0\0\0\1Bud1" + bytes(99), None),  # .DS_Store
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), None),  # Thumbs.db
    ],
)  # fmt: skip
def test_kinds(head, kind):
    assert kinds.of_bytes(head) == kind


@given(st.binary(max_size=600))
def test_kinds_of_any_bytes(head):
    assert kinds.of_bytes(head) in {None, "DICOM", "PNG", "JPEG", "TIFF"}


def test_a_damaged_length_reserves_no_memory(tmp_path, monkeypatch):
    """Pillow reads as many bytes as a chunk says, and a file would reserve them all."""
    path = write_png(tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") - 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    tracemalloc.start()
    with suppress(UnreadableImage):
        images.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
