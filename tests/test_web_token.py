"""The secret of a service that others can reach."""

import pytest
from starlette.testclient import TestClient

from cnn.web import app
from cnn.web.token import COOKIE, Token
from tests.helpers.web_service import FakePredictor, make_service
from tests.helpers.web_uploads import png

SECRET = "correct horse battery"
BROWSER = {"Accept": "text/html"}


@pytest.fixture
def client():
    service = make_service(FakePredictor())
    options = {"base_url": "http://ward.example", "follow_redirects": False}
    with TestClient(app.build(service, Token(SECRET)), **options) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer correct horse batter"},
        {"Authorization": f"Bearer {SECRET}x"},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": b"Bearer \xff\xfe"},
        {"Cookie": f"{COOKIE}={SECRET}"},
        {"Cookie": f"{COOKIE}="},
        {"Cookie": b'\xff;;="'},
    ],
)
def test_nothing_without_it(client, headers):
    for path in ("/", "/metrics", "/openapi.json", "/studies/none", "/pages/none", "/none"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
    answer = client.post("/studies", files={"file": ("a.png", png())}, headers=headers)
    assert answer.status_code == 401 and list(answer.json()) == ["error"]


def test_by_header(client):
    headers = {"Authorization": f"Bearer {SECRET}"}
    answer = client.post("/studies", files={"file": ("a.png", png())}, headers=headers)
    assert answer.status_code == 201
    assert client.get(answer.headers["location"], headers=headers).status_code == 200
    assert client.get(answer.headers["location"]).status_code == 401


def test_by_page(client, monkeypatch):
    asked = client.get("/", headers=BROWSER)
    assert asked.status_code == 401 and 'type="password"' in asked.text
    assert client.get("/static/web.css").status_code == client.get("/healthz").status_code == 200

    async def no_time(seconds):
        assert seconds >= 1

    monkeypatch.setattr("cnn.web.visits.asyncio.sleep", no_time)
    wrong = client.post("/token", data={"secret": "wrong"})
    assert wrong.status_code == 401 and "not the token" in wrong.text
    assert "set-cookie" not in wrong.headers
    right = client.post("/token", data={"secret": SECRET})
    assert right.status_code == 303 and right.headers["location"] == "/"
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and SECRET not in cookie
    assert client.get("/").status_code == 200
    client.cookies.clear()
    assert client.get("/").status_code == 401


def test_a_cookie_is_of_one_service():
    cookies = [Token(SECRET).welcome().headers["set-cookie"] for _ in range(2)]
    assert cookies[0] != cookies[1]
