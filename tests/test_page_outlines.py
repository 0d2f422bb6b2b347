"""Readers' outlines: kept on the file's grid, in a csv that the pipeline reads."""

import io
import tempfile

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cnn.page.outlines import COLUMNS, OutlineError, Outlines, checked_name
from cnn.web import app
from features.dataset import layouts
from features.reading import rle
from features.run.files import UserError
from tests.helpers.web_service import FakePredictor, make_service
from tests.helpers.web_uploads import png


@pytest.fixture
def outlines(tmp_path) -> Outlines:
    return Outlines(tmp_path / "outlines.csv")


@pytest.fixture
def client(outlines, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    service = make_service(FakePredictor(), outlines=outlines)
    with TestClient(app.build(service), base_url="http://127.0.0.1") as client:
        yield client


def study(client, name: str = "a.png", content: bytes | None = None) -> str:
    files = {"file": (name, png() if content is None else content)}
    return client.post("/studies", files=files).headers["location"]


def save(client, address: str, code: str, reader: str = "A. Reader", rows: int = 64):
    drawn = {"code": code, "rows": rows, "columns": 64, "reader": reader}
    return client.post(f"{address}/outline", json=drawn)


def bordered() -> bytes:
    """A picture of 64x64 pixels of noise below 40 black rows."""
    noise = np.random.default_rng(0).integers(60, 256, (64, 64), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.vstack([np.zeros((40, 64), np.uint8), noise])).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_pipeline_reads_it(client, outlines):
    mask = np.zeros((64, 64), bool)
    mask[10:20, 30:40] = True
    answer = save(client, study(client), rle.encode(mask))
    assert answer.status_code == 201 and answer.json()["image"] == "a"
    save(client, study(client, "b.png"), "-1")
    lines = outlines.path.read_text().splitlines()
    assert lines[0] == "ImageId,EncodedPixels,reader,time" and len(lines) == 3
    found = layouts.read_annotations(outlines.path, {"a": (64, 64), "b": (64, 64)})
    assert found == {"a": rle.encode(mask), "b": "-1"}
    assert [row.reader for row in outlines.rows()] == ["A. Reader", "A. Reader"]


def test_it_is_on_the_grid_of_the_file(client, outlines):
    address = study(client, content=bordered())
    begun = Image.open(io.BytesIO(client.get(f"{address}/pictures/pen.png").content))
    assert begun.size == (64, 64)
    mask = np.zeros((64, 64), bool)
    mask[3, 5] = True
    save(client, address, rle.encode(mask))
    (row,) = outlines.rows()
    assert np.argwhere(rle.decode(row.code, (104, 64))).tolist() == [[43, 5]]


def test_the_models_mask_saved_as_it_is(client, outlines):
    address = study(client, content=bordered())
    begun = Image.open(io.BytesIO(client.get(f"{address}/pictures/pen.png").content))
    save(client, address, rle.encode(np.asarray(begun) > 0))
    assert outlines.rows()[0].code == client.get(address).json()["mask"]["code"]


def test_a_reader_who_draws_again_replaces_the_former_row(client, outlines):
    address = study(client)
    for code, reader in (("0 5", "A"), ("10 5", "B"), ("20 5", "A")):
        assert save(client, address, code, reader).status_code == 201
    assert [(row.reader, row.code) for row in outlines.rows()] == [("B", "10 5"), ("A", "20 5")]
    union = layouts.read_annotations(outlines.path, {"a": (64, 64)})
    assert union == {"a": "10 5 5 5"}


def test_readers_who_contradict_each_other(client, outlines):
    address = study(client)
    save(client, address, "0 5", "A")
    refused = save(client, address, "-1", "B")
    assert refused.status_code == 422
    assert refused.json()["error"].startswith("a has an outline by A in outlines.csv, which")
    assert save(client, address, "-1", "A").status_code == 201
    assert "has no pneumothorax by A" in save(client, address, "0 5", "B").json()["error"]
    assert len(outlines.rows()) == 1


@pytest.mark.parametrize("code", ["", "5", "x y", "0 5000", "0 0", "-1 3", "0 4097"])
def test_codes_that_are_none(client, outlines, code):
    refused = save(client, study(client), code)
    assert refused.status_code == 422 and "run-length code" in refused.json()["error"]
    assert not outlines.path.exists()


def test_an_outline_of_another_grid_is_refused(client, outlines):
    """Its code would fit in, at the wrong place."""
    refused = save(client, study(client), "0 5", rows=32)
    assert refused.status_code == 422
    assert refused.json()["error"].startswith("The outline is on a grid of 32 rows and 64 columns")
    assert not outlines.path.exists()


@pytest.mark.parametrize("reader", ["", " ", "=cmd()", "a,b", 'a"b', "a\u202eb", "x" * 61, "-a"])
def test_names_that_are_none(reader):
    with pytest.raises(OutlineError, match=r"^The reader's name must begin with a letter or"):
        checked_name(reader)


@pytest.mark.parametrize("reader", ["Dr. O'Neil-Smith", "Jürgen", "R2"])
def test_names(reader):
    assert checked_name(f"  {reader} ") == reader


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"code": 1, "rows": 64, "columns": 64, "reader": "A"}',
        b'{"code": "-1"}',
        b'{"code": "-1", "reader": "A"}',
    ],
)
def test_bodies_that_are_none(client, body):
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"{study(client)}/outline", content=body, headers=headers)
    assert answer.status_code == 422 and list(answer.json()) == ["error"]


def test_a_line_snaps_to_the_evidence_map(client):
    address = study(client)
    # The map is the same everywhere.
    square = [[0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]]
    answer = client.post(f"{address}/snap", json={"points": square})
    moved = np.array(answer.json()["points"])
    assert answer.status_code == 200 and len(moved) > 50
    assert moved.min(axis=0) == pytest.approx(0.2, abs=0.01)
    assert moved.max(axis=0) == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("points", [[[0.5]], [[0.5, 2]], [["a", 1]], [[0, 0]] * 20_001, 1])
def test_lines_that_are_none(client, points):
    answer = client.post(f"{study(client)}/snap", json={"points": points})
    assert answer.status_code == 422 and list(answer.json()) == ["error"]


def test_a_line_that_nobody_draws(client):
    points = np.random.default_rng(0).random((1000, 2)).tolist()
    answer = client.post(f"{study(client)}/snap", json={"points": points})
    assert answer.status_code == 422 and "at most 30 can be snapped" in answer.json()["error"]


def test_a_forgotten_study_and_a_service_without_a_pen(client):
    assert save(client, "/studies/none", "-1").status_code == 404
    page = client.get(study(client).replace("studies", "pages")).text
    assert 'id="pen"' in page
    with TestClient(
        app.build(make_service(FakePredictor())), base_url="http://127.0.0.1"
    ) as without:
        address = study(without)
        assert save(without, address, "-1").status_code == 404
        assert 'id="pen"' not in without.get(address.replace("studies", "pages")).text


def test_files_that_are_none(tmp_path):
    for name in ("outlines.txt", "."):
        with pytest.raises(UserError, match="is no csv file; give a name that ends in"):
            Outlines(tmp_path / name)
    other = tmp_path / "other.csv"
    other.write_text("ImageId,EncodedPixels\na,-1\n")
    with pytest.raises(UserError, match="its header must be 'ImageId,EncodedPixels,reader,time'"):
        Outlines(other)
    other.write_text(",".join(COLUMNS) + "\na,-1,A,2026-01-01T00:00:00+00:00\n")
    assert Outlines(other).rows()[0].image == "a"


def test_a_disk_that_takes_no_more(client, outlines, monkeypatch):
    def full(path, text):
        raise UserError(f"{path}: could not be written")

    monkeypatch.setattr("cnn.page.outlines.files.write_text", full)
    refused = save(client, study(client), "-1")
    assert refused.status_code == 507 and "could not be written" in refused.json()["error"]
