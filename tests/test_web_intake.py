"""Uploads that come slowly, or not at all."""

import asyncio
import json
import tempfile

from cnn.web import app
from tests.helpers.web_service import FakePredictor, make_service

BEGINNING = b"--b\r\nContent-Disposition: form-data; name=file; filename=a.dcm\r\n\r\n"
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/studies",
    "raw_path": b"/studies",
    "query_string": b"",
    "root_path": "",
    "headers": [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"multipart/form-data; boundary=b"),
    ],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 8000),
    "state": {},
}


def ask(service, parts, ending=None) -> list[dict]:
    """What is sent in answer to some parts of a body, after which nothing comes, or `ending`."""

    async def go() -> list[dict]:
        waiting, sent = list(parts), []

        async def receive() -> dict:
            if waiting:
                return {"type": "http.request", "body": waiting.pop(0), "more_body": True}
            if ending is None:
                await asyncio.Event().wait()
            return ending

        async def send(message: dict) -> None:
            sent.append(message)

        await asyncio.wait_for(app.build(service)(SCOPE, receive, send), 10)
        return sent

    return asyncio.run(go())


def test_a_body_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    service = make_service(FakePredictor(), receive_seconds=0.2)
    start, body = ask(service, [BEGINNING, b"x" * 100])
    assert start["status"] == 408
    assert json.loads(body["body"]) == {
        "error": "The upload did not arrive within 0.2 seconds; send it again."
    }
    text = service.meters.text()
    assert b'outcome="too_slow"} 1.0' in text and b"in_progress 0.0" in text
    service.close()
    assert list(tmp_path.iterdir()) == []


def test_a_visitor_who_goes_away(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    service = make_service(FakePredictor())
    sent = ask(service, [BEGINNING], {"type": "http.disconnect"})
    assert all(message.get("status", 400) < 500 for message in sent)
    assert b"in_progress 0.0" in service.meters.text()
    assert "fault" not in capsys.readouterr().err
    service.close()
