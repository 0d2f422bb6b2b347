"""The page in a real browser, and its scripts' arithmetic against Python's."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import uvicorn

from cnn.page.outlines import Outlines
from cnn.web import app
from features.reading import rle
from tests.benchmarks.browser_look import Look
from tests.helpers.chromium import Browser, find
from tests.helpers.web_service import FakePredictor, make_service

READY = "document.getElementById('viewer')?.dataset.ready === 'yes'"


@pytest.fixture(scope="module")
def outlines(tmp_path_factory) -> Outlines:
    return Outlines(tmp_path_factory.mktemp("outlines") / "outlines.csv")


@pytest.fixture(scope="module")
def address(outlines) -> Iterator[str]:
    service = make_service(FakePredictor(truth="0 900"), outlines=outlines)
    server = uvicorn.Server(uvicorn.Config(app.build(service), log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    program = find()
    if program is None:
        assert "NEED_CHROMIUM" not in os.environ, "no Chromium here, and NEED_CHROMIUM is set"
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with Browser(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def until(browser: Browser, expression: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if browser.value(expression):
                return
        except RuntimeError:  # the page is being left
            pass
        time.sleep(0.05)
    raise AssertionError(expression)


def called(browser: Browser, module: str, call: str) -> object:
    return browser.value(f"import('/static/{module}').then(m => m.{call})")


@pytest.mark.parametrize("width", [1280, 390])
def test_from_the_start_page_to_an_answer(browser, address, width):
    browser.open(address + "/", width)
    assert browser.value("document.documentElement.scrollWidth") <= width
    browser.value("document.querySelector('.sample button').click()")
    until(browser, READY)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelector('h1').textContent").startswith("Pneumothorax 75%")
    assert browser.value("document.querySelector('.notice').getBoundingClientRect().top") == 0
    for name in ("lungs", "reasons", "evidence", "unet", "mask", "truth"):
        shown = f"getComputedStyle(document.querySelector('[data-layer={name}]')).display"
        assert (browser.value(shown) == "none") == (name != "mask")
        browser.value(f"document.querySelector('[data-toggles={name}]').click()")
        assert (browser.value(shown) == "none") == (name == "mask")
    assert browser.pdf().count(b"/Type /Page\n") == 1
    assert browser.complaints() == []
    assert all(url.startswith((address, "data:")) for url in browser.requests())


def test_the_pen_saves_what_it_shows(browser, address, outlines):
    browser.open(address + "/")
    browser.value("document.querySelector('.sample button').click()")
    until(browser, READY)
    browser.value("document.getElementById('pen').open = true")
    until(browser, "document.querySelector('.sheet') !== null")
    browser.value("document.getElementById('reader').value = 'A. Reader'")
    browser.value("document.querySelector('[data-pen=save]').click()")
    until(browser, "document.getElementById('pen-words').textContent.startsWith('Saved as an ou')")
    (row,) = outlines.rows()
    # It begins with the model's mask.
    expected = np.zeros((64, 64), bool)
    expected[16:32, 8:16] = True
    assert row.image == "phantom-1" and row.reader == "A. Reader"
    assert np.array_equal(rle.decode(row.code, (64, 64)), expected)
    assert browser.complaints() == []


def test_a_line_snaps_as_a_step_of_its_own(browser, address):
    """The map of this service is the same everywhere, so that the square stays one."""
    browser.open(address + "/")
    browser.value("document.querySelector('.sample button').click()")
    until(browser, READY)
    browser.value("document.getElementById('pen').open = true")
    until(browser, "document.querySelector('.sheet') !== null")
    browser.value("document.getElementById('snap').click()")
    browser.value("document.querySelector('[data-pen=empty]').click()")
    look = Look(browser, address, None, None)
    look.stroke([(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)])
    until(browser, "performance.getEntriesByType('resource').some(e => e.name.endsWith('/snap'))")
    drawn = (
        "(() => {const s = document.querySelector('.sheet'), d = s.getContext('2d')"
        ".getImageData(0, 0, s.width, s.height).data;"
        "let n = 0; for (let k = 3; k < d.length; k += 4) n += d[k] > 127; return n})()"
    )
    time.sleep(0.2)  # the answer is drawn
    undo = "document.querySelector('[data-pen=undo]').click()"
    counts = []
    for _ in range(3):
        counts.append(browser.value(drawn))
        browser.value(undo)
    assert counts[0] == pytest.approx(32 * 32, abs=70)
    assert counts[1] == pytest.approx(32 * 32, abs=70) and counts[2] == 0
    assert browser.complaints() == []


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_codes_are_those_of_the_challenge(browser, address, share):
    browser.open(address + "/")
    mask = np.random.default_rng(0).random((7, 5)) < share
    flat = json.dumps(mask.ravel().astype(int).tolist())
    assert called(browser, "runs.js", f"encode({flat}, 7, 5)") == rle.encode(mask)


def test_the_dials_formulas(browser, address):
    browser.open(address + "/")
    # Of 1,000 X-rays, 300 with pneumothorax: 90 of them and 70 of the others look like this one.
    # Where 30 of 730 have one, 9 of 30 and 70 of 700 do.
    here = 90 / (90 + 70)
    there = called(browser, "ward.js", f"shifted({here}, 0.3, {30 / 730})")
    assert there == pytest.approx(9 / (9 + 70))
    # Sensitivity 0.8, false alarms 0.1: of 100 sick and 900 healthy 80 and 90 are called.
    assert called(browser, "ward.js", "predictive(0.8, 0.1, 0.1)") == pytest.approx(80 / 170)
    assert called(browser, "ward.js", "share(0, 9)") == pytest.approx(0.05)
