"""Zips that must not be used, and damage within one that can."""

import zipfile

import numpy as np
import pytest

from features.dataset import layouts
from features.reading import images
from features.run.files import UserError, on_disk
from features.storage import archive, storage
from features.storage.unreadable import UnreadableImage
from tests.helpers.image_files import write_png


def zip_of(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def _damaged(path):
    path.write_bytes(b"PK\3\4 and no more")


def _encrypted(path):
    zip_of(path, [("a.png", b"x")])
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    path.write_bytes(content)


def _bomb(path):
    zip_of(path, [("a.dcm", bytes(archive.LARGE + 1))], compression=zipfile.ZIP_DEFLATED)


def _liar(path):
    """A member that says it inflates to 3 GB."""
    zip_of(path, [("a.dcm", b"x")])
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\1\2") + 24
    content[place : place + 4] = (3 * 10**9).to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def _twice(path):
    zip_of(path, [("a.png", b"x"), ("a.png", b"y")])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_damaged, "not a whole zip file"),
        (_encrypted, "encrypted"),
        (_bomb, f"would inflate to {archive.LARGE + 1} bytes"),
        (_liar, "would inflate to 3000000000 bytes"),
        (_twice, r"holds 'a\.png', twice"),
        (lambda path: zip_of(path, [("../../up.dcm", b"x")]), "leads out of the zip's folder"),
        (lambda path: zip_of(path, [("a/../../up", b"x")]), "leads out of the zip's folder"),
        (lambda path: zip_of(path, [("/etc/up", b"x")]), "leads out of the zip's folder"),
        (lambda path: zip_of(path, [("C:/up", b"x")]), "leads out of the zip's folder"),
        (lambda path: zip_of(path, [("a\\..\\up", b"x")]), "leads out of the zip's folder"),
        (lambda path: zip_of(path, [("in/b.zip", b"x")]), "a zip itself"),
        (lambda path: zip_of(path, [("\x1b[31m" * 99 + "/../x", b"x")]), "leads out"),
    ],
)
def test_a_zip_that_must_not_be_used(tmp_path, make, sentence):
    path = tmp_path / "x.zip"
    make(path)
    with pytest.raises(UserError, match=sentence) as refusal:
        layouts.find(path)
    text = str(refusal.value).replace(str(path), "")
    assert text.isprintable() and len(text) < 400
    assert [file.name for file in tmp_path.iterdir()] == ["x.zip"]


def test_a_damaged_member_is_one_images_fault(tmp_path):
    picture = write_png(tmp_path / "a.png").read_bytes()
    path = zip_of(tmp_path / "x.zip", [("a.png", picture), ("b.png", picture)])
    content = bytearray(path.read_bytes())
    place = content.index(picture) + len(picture) // 2
    content[place : place + 9] = b"destroyed"
    path.write_bytes(content)
    root = archive.root_of(path)
    with pytest.raises(UnreadableImage, match=r"a\.png: .*member of the zip is damaged"):
        images.read(root / "a.png")
    assert images.read(root / "b.png")[0].rows == 64
    with pytest.raises(UnreadableImage, match="no such file"):
        images.read(root / "c.png")


def test_a_zip_that_was_replaced_is_opened_anew(tmp_path):
    first, second = (write_png(tmp_path / f"{n}.png", n) for n in range(2))
    root = archive.root_of(tmp_path / "x.zip")
    read = []
    for picture in (first, second):
        zip_of(tmp_path / "x.zip", [("a.png", picture.read_bytes()), (picture.name, b"longer")])
        read.append(images.read(root / "a.png")[1])
        np.testing.assert_array_equal(read[-1], images.read(picture)[1])
    assert (read[0] != read[1]).any()


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("a/x.zip::/b/c.dcm", "a/x.zip"),
        ("a/X.ZIP::/c.dcm", "a/X.ZIP"),
        ("x.zip::", "x.zip"),
        ("a::b/c.dcm", "a::b/c.dcm"),
        ("x.zip/c.dcm", "x.zip/c.dcm"),
        ("x.zip::y/c.dcm", "x.zip::y/c.dcm"),
    ],
)
def test_the_file_on_the_disk(path, file):
    assert str(on_disk(path)) == file


def test_links_and_hidden_members_are_passed_over(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    path = zip_of(tmp_path / "x.zip", [("__MACOSX/._a.png", b""), (".b.png", b""), (link, "/etc")])
    assert list(storage.walk(archive.root_of(path), [])) == []
