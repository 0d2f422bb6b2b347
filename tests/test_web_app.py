"""The service over HTTP: answers, sentences, limits, headers, and nothing left behind."""

import io
import json
import re
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cnn.study.answer import QualityAnswer, to_json
from cnn.web import app, guard
from cnn.web.service import Service
from cnn.web.settings import MEBIBYTE
from features.reading import rle
from tests.helpers.web_service import NASTY, FakePredictor, make_service
from tests.helpers.web_uploads import dicom, hostile, png

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def private(tmp_path, monkeypatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def service(predictor, private) -> Service:
    return make_service(predictor)


@pytest.fixture
def client(service):
    with client_of(service) as client:
        yield client


def client_of(service, **options) -> TestClient:
    address = "http://127.0.0.1:8000"
    return TestClient(app.build(service, **options), base_url=address, follow_redirects=False)


def send(client, name="a.png", content=None, **options):
    files = {"file": (name, png() if content is None else content)}
    return client.post("/studies", files=files, **options)


def array(client, address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(client.get(address).content)))


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_answer_is_the_predictors(client, predictor, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png())
    expected = to_json(replace(predictor(path), file="a.png"))
    answer = send(client)
    assert answer.status_code == 201 and answer.text == expected
    again = client.get(answer.headers["location"])
    assert again.status_code == 200 and again.text == expected
    assert again.headers["content-type"] == "application/json"


def test_masks_and_pictures_fit_the_answer(client, tmp_path):
    answer = send(client, "deep.dcm", dicom(tmp_path))
    said, address = answer.json(), answer.headers["location"]
    mask = array(client, f"{address}/pictures/mask.png")
    assert rle.encode(mask > 0) == said["mask"]["code"]
    # The levels of a deep X-ray: their upper byte in red, the lower one in green.
    levels = np.asarray(
        Image.open(io.BytesIO(client.get(f"{address}/pictures/levels.png").content))
    )
    whole = (levels[..., 0].astype(int) << 8 | levels[..., 1]) / 65535
    small = np.asarray(Image.open(io.BytesIO(client.get(f"{address}/pictures/xray.png").content)))
    assert np.abs(255 * whole - small).max() < 0.51
    unet = array(client, f"{address}/pictures/unet.png")
    assert set(unet[..., 3].ravel()) == {51}  # its opacity is the probability
    for name in ("lungs", "reasons", "evidence", "mask"):
        layer = client.get(f"{address}/pictures/{name}.svg")
        assert layer.headers["content-type"] == "image/svg+xml" and "<path" in layer.text
        assert "style" not in layer.text
    assert client.get(f"{address}/pictures/truth.svg").status_code == 404


def test_an_x_ray_of_8_bits_needs_no_levels(client):
    address = send(client).headers["location"]
    assert client.get(f"{address}/pictures/levels.png").status_code == 404
    shown = array(client, f"{address}/pictures/xray.png")
    assert np.array_equal(shown, np.asarray(Image.open(io.BytesIO(png()))))


def test_a_phantom_has_its_truth(client):
    answer = client.post("/studies", data={"sample": "1"})
    assert answer.status_code == 201 and answer.json()["file"] == "phantom-1.dcm"
    assert client.get(answer.headers["location"] + "/pictures/truth.svg").status_code == 200
    page = client.get(answer.headers["location"].replace("studies", "pages"))
    assert "Truth, as far as known here: pneumothorax." in page.text


def test_the_runs_truth_is_shown(private):
    with client_of(make_service(FakePredictor(truth="-1"))) as client:
        page = client.get(send(client).headers["location"].replace("studies", "pages"))
    assert "Truth, as far as known here: no pneumothorax." in page.text


def test_the_page_says_what_the_answer_says(client):
    answer = send(client, headers=BROWSER)
    assert answer.status_code == 303
    page = client.get(answer.headers["location"], headers=BROWSER)
    assert page.status_code == 200
    for words in ("Pneumothorax 75%, rule in", "range 60% to 80%", "rule in</span>", "A note."):
        assert words in page.text
    assert "not a medical device" in page.text
    # What comes from files is escaped; no script and no style but those that are linked to.
    assert NASTY not in page.text and "&lt;script&gt;" in page.text
    assert re.findall(r"<script(?! type=\"module\" src=\"/static/)", page.text) == []
    assert "style=" not in page.text and "<style" not in page.text and "onclick" not in page.text
    addresses = re.findall(r"(?:src|href|action)=\"([^\"]*)\"", page.text)
    assert all(address.startswith(("/", "data:,")) for address in addresses)


@pytest.mark.parametrize("flagged", [True, False])
def test_the_page_warns_of_a_bad_picture(client, predictor, flagged):
    predictor.quality = QualityAnswer(flagged, 0.9, "it seems to be turned", ("A tag's note.",))
    page = client.get(send(client).headers["location"].replace("studies", "pages")).text
    assert "Image quality: it seems to be turned." in page and "A tag&#39;s note." in page
    assert ("Nothing may rest on this answer" in page) == flagged


def test_everything_the_pages_link_to_is_there(client):
    for path in ("/", send(client).headers["location"].replace("studies", "pages")):
        text = client.get(path).text
        for address in re.findall(r"(?:src|href)=\"(/[^\"]*)\"", text):
            assert client.get(address).status_code == 200, address


@pytest.mark.parametrize("accept", [None, BROWSER])
def test_every_hostile_upload_is_one_sentence(client, predictor, private, tmp_path, accept):
    for what, (name, content) in hostile(tmp_path).items():
        answer = send(client, name, content, headers=accept)
        assert answer.status_code == 422, what
        if accept is None:
            assert list(answer.json()) == ["error"], what
            sentence = answer.json()["error"]
            assert sentence.isprintable() and 10 < len(sentence) <= 400, what
            assert str(private) not in sentence and sentence.endswith("."), what
        else:
            assert "<b>" not in answer.text and "Back to the start page" in answer.text, what
    assert left(private) == []
    assert send(client).status_code == 201


def test_the_sentence_names_the_visitors_file(client):
    error = send(client, "C:\\scans\\Doe, John.dcm", b"no X-ray").json()["error"]
    assert error.startswith("Doe, John.dcm: ")


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 422),
        ({"data": {"sample": "7"}}, 422),
        ({"data": {"sample": "one"}}, 422),
        ({"files": {"file": ("", b"")}}, 422),
        ({"files": {"file": ("x" * 9000, b"x")}}, 400),
        ({"files": {"other": ("a.png", b"x")}}, 422),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 400),
        ({"content": b"\xff\xfe", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422),
    ],
)
def test_forms_without_an_x_ray(client, form, status):
    answer = client.post("/studies", **form)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"] and "\n" not in answer.json()["error"]


@pytest.mark.parametrize("length", [True, False])
def test_too_many_bytes(predictor, private, length):
    service = make_service(predictor, upload_bytes=2 * MEBIBYTE)
    body = b"--b\r\nContent-Disposition: form-data; name=file; filename=a.dcm\r\n\r\n"
    parts = [body, *[bytes(MEBIBYTE)] * 5]
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with client_of(service) as client:
        content = b"".join(parts) if length else iter(parts)
        answer = client.post("/studies", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json() == {
            "error": "The upload is larger than 2 MB; send one X-ray by itself."
        }
        assert 'uploads_total{outcome="too_large"} 1.0' in client.get("/metrics").text
        assert client.post("/token", content=bytes(2 * MEBIBYTE)).status_code == 413
    assert left(private) == []


def test_one_at_a_time_and_no_more_than_may_wait(predictor, private):
    service = make_service(predictor, uploads=2)
    with client_of(service) as client:
        predictor.gate.clear()
        statuses = []
        threads = [
            threading.Thread(target=lambda: statuses.append(send(client).status_code))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 10
        while "in_progress 2.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
        refused = send(client)
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        assert refused.json() == {"error": "2 X-rays are waiting already; try again in a moment."}
        assert client.get("/healthz").status_code == 200
        predictor.gate.set()
        for thread in threads:
            thread.join()
        assert statuses == [201, 201]
        assert send(client).status_code == 201
    assert len(predictor.threads) == 1


def test_no_answer_in_time(predictor, private):
    service = make_service(predictor, answer_seconds=0.2)
    with client_of(service) as client:
        predictor.gate.clear()
        answer = send(client)
        assert answer.status_code == 503 and "retry-after" in answer.headers
        assert answer.json()["error"].startswith("a.png: no answer within 0.2 seconds")
        predictor.gate.set()
        service._worker._patience = 60  # the machine may be busy
        assert send(client).status_code == 201
    assert left(private) == []


def test_answers_are_forgotten(predictor, private, monkeypatch):
    service = make_service(predictor, keep_seconds=60, keep_studies=2)
    now = [0.0]
    monkeypatch.setattr(service.kept, "_clock", lambda: now[0])
    with client_of(service) as client:
        first, second = (send(client).headers["location"] for _ in range(2))
        now[0] = 59.0
        third = send(client).headers["location"]  # the first goes for it
        assert [client.get(place).status_code for place in (first, second, third)] == [
            404,
            200,
            200,
        ]
        now[0] = 60.0
        assert client.get(second).json()["error"].startswith("No such study, or it has been")
        assert client.get(second + "/pictures/mask.png").status_code == 404
        assert client.get(second.replace("studies", "pages")).status_code == 404
        assert client.delete(third).status_code == 204
        assert client.get(third).status_code == client.delete(third).status_code == 404
        assert service.kept.sweep() == 0


def test_nothing_stays_on_the_disk(predictor, private):
    service = make_service(predictor)
    with client_of(service) as client:
        predictor.gate.clear()
        thread = threading.Thread(target=send, args=(client,))
        predictor.begun.clear()
        thread.start()
        assert predictor.begun.wait(10)
        (folder,) = private.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        predictor.gate.set()
        thread.join()
        assert left(private) == []
    assert list(private.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["/", "/studies/none", "/healthz", "/metrics", "/openapi.json", "/x"]
)
def test_headers_of_every_response(client, path):
    headers = client.get(path).headers
    assert {name: headers[name] for name in guard.HEADERS} == guard.HEADERS
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers


def test_a_fault_says_where_but_quotes_nothing(client, predictor, capsys):
    predictor.fault = ValueError("John Doe")
    for accept in (None, BROWSER):
        answer = send(client, "John Doe.png", headers=accept)
        assert answer.status_code == 500
        assert "a fault of the program" in answer.text and "John" not in answer.text
    said = capsys.readouterr()
    assert said.out == "" and "John" not in said.err
    assert re.match(
        r"a fault of ours: ValueError in web_service.py, line \d+, in examine\n", said.err
    )
    predictor.fault = None
    assert send(client).status_code == 201


def test_a_name_that_leads_here_from_elsewhere_is_not_answered(client):
    for host in ("evil.example", "127.0.0.1.evil.example:8000", "[::1", ""):
        answer = client.get("/", headers={"Host": host})
        assert answer.status_code == 403 and "this machine alone" in answer.text
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_sites_page_sends_nothing(client, headers):
    answer = send(client, headers=headers)
    assert answer.status_code == 403 and "another site's page" in answer.json()["error"]
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert send(client, headers=own).status_code == 201


def test_odd_addresses(client):
    for path in ("/static/../app.py", "/static/none.css", "/samples/0.jpg", "/samples/2.jpg"):
        assert client.get(path).status_code == 404
    assert client.get("/samples/one.jpg").status_code == 422
    assert client.put("/studies").json() == {
        "error": "This address is not for that; see /openapi.json."
    }
    assert client.put("/studies/none").headers["allow"] == "DELETE, GET"
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


def test_the_api_describes_itself(client):
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/studies",
        "/studies/{name}",
        "/studies/{name}/pictures/{picture}",
        "/healthz",
        "/metrics",
    }
    posted = described["paths"]["/studies"]["post"]["responses"]
    assert {"201", "413", "422", "503"} <= set(posted)
    # Every reference leads somewhere.
    for reference in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)):
        assert reference in described["components"]["schemas"]
    assert posted["201"]["content"]["application/json"]["schema"]["$ref"].endswith("/Answer")


def test_counts(client):
    send(client)
    send(client, "a.dcm", b"none")
    text = client.get("/metrics").text
    for line in ('outcome="answered"} 1.0', 'outcome="refused"} 1.0', "studies_kept 1.0"):
        assert line in text
    assert "a.dcm" not in text
