"""The service over HTTP: answers, sentences, limits, headers, and nothing left behind."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnn.study.answer import QualityAnswer, to_json
from features.reading import rle
from tests.helpers.web_service import (
    NASTY,
    FakePredictor,
    array,
    client_of,
    left,
    make_service,
    send,
)
from tests.helpers.web_uploads import dicom, hostile, png

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


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
    for words in (
        "Pneumothorax 75%, rule in",
        "range 60% to 80%",
        "rule in</span>",
        "A note.",
        "A detail.",
    ):
        assert words in page.text
    assert "It has learned nothing." in page.text and "a Dice of 0.50 is to be" in page.text
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
    assert ("Do not rely on this answer" in page) == flagged


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
