"""Limits, headers, faults, strangers: what one visitor can do to the others."""

import re
import threading
import time

import pytest

from cnn.web import guard
from cnn.web.settings import MEBIBYTE
from tests.helpers.web_service import client_of, left, make_service, send

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


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
        other = client.post("/token", content=bytes(2 * MEBIBYTE))
        assert other.status_code == 413
        assert other.json() == {"error": "The request is larger than 1 MB; send less."}
        # It is no upload, and not counted as one.
        assert 'uploads_total{outcome="too_large"} 1.0' in client.get("/metrics").text
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
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:9000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_sites_page_sends_nothing(client, headers):
    answer = send(client, headers=headers)
    assert answer.status_code == 403 and "another site's page" in answer.json()["error"]
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert send(client, headers=own).status_code == 201
