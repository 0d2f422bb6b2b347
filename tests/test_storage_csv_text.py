"""Csv files as various programs write them, and those that are none."""

import gzip
import zipfile

import pytest

from features.dataset import layouts
from features.run.files import UserError

ROWS = [("i0", "1 2"), ("i1", "-1")]


def csv(path, header="ImageId,EncodedPixels", ending="", sign=",", encoding="utf-8", mark=b""):
    lines = [header.replace(",", sign), *(f"{name}{ending}{sign}{code}" for name, code in ROWS)]
    path.write_bytes(mark + "\r\n".join([*lines, ""]).encode(encoding))
    return path


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"sign": ";"},
        {"sign": "\t"},
        {"sign": " , "},
        {"ending": ".dcm"},
        {"ending": ".PNG"},
        {"header": "imageid,encodedpixels"},
        {"header": "image_id,Encoded_Pixels"},
        {"header": '"ImageId"," EncodedPixels"'},
        {"header": "IMAGEID, EncodedPixels"},
        {"encoding": "utf-8-sig"},
        {"encoding": "utf-16"},
        {"encoding": "utf-16-le"},
        {"encoding": "utf-16-be"},
        {"encoding": "utf-16-be", "mark": b"\xfe\xff", "sign": "\t"},
    ],
    ids=str,
)
def test_annotations_in_every_form(tmp_path, form):
    path = csv(tmp_path / "a.csv", **form)
    sizes = dict.fromkeys(("i0", "i1"), (64, 64))
    assert layouts.read_annotations(path, sizes) == dict(ROWS)


def test_compressed(tmp_path):
    path = csv(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as file:
        file.write(path, "inside.csv")
    for name in ("a.csv.gz", "a.csv.zip"):
        table = layouts.read_csv(tmp_path / name, ("ImageId", "EncodedPixels"))
        assert list(table["ImageId"]) == ["i0", "i1"]


def test_cells_that_begin_with_an_equals_sign_stay(tmp_path):
    (tmp_path / "a.csv").write_text('ImageId,EncodedPixels\n=1+2,-1\n"=cmd|x",-1\n')
    ids = layouts.read_csv(tmp_path / "a.csv", ("ImageId", "EncodedPixels"))["ImageId"]
    assert list(ids) == ["=1+2", "=cmd|x"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a readable csv"),
        (b"ImageId,EncodedPixels\n\xff\xfei0,1\n", "no UTF-8.*save it as UTF-8"),
        (b"\xff\xfeabc", "no UTF-16"),
        (b"ImageId,EncodedPixels\ni0,1,\n", "remove the commas"),
        (b"Image,Code\ni0,1\n", "no column 'ImageId'"),
        (b"ImageId,image_id,EncodedPixels\ni0,i0,1\n", "two columns 'ImageId'"),
        (b"x" * 9000, "no column 'ImageId'"),
    ],
)
def test_no_such_csv(tmp_path, content, sentence):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=sentence) as refusal:
        layouts.read_csv(tmp_path / "a.csv", ("ImageId", "EncodedPixels"))
    text = str(refusal.value)
    assert text.isprintable() and len(text) < 400 + len(str(tmp_path))


def test_files_that_are_no_files(tmp_path):
    with pytest.raises(UserError, match="a folder, which is never opened"):
        layouts.read_csv(tmp_path, ("ImageId", "EncodedPixels"))
    (tmp_path / "a.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "a.csv.zip").write_bytes(b"no zip")
    for name in ("a.csv.gz", "a.csv.zip"):
        with pytest.raises(UserError, match="not a readable csv"):
            layouts.read_csv(tmp_path / name, ("ImageId", "EncodedPixels"))
