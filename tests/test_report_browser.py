"""The report in a real browser: it renders, sorts, filters, and asks nothing of any network."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from baseline.explanation.overlays import Region
from baseline.report import gate_section, rendering
from baseline.report.case_view import FULL_COLOUR, Picture
from features.run.folder import RunFolder
from tests.helpers.chromium import Browser, find
from tests.helpers.gate_run import figures_of_run
from tests.helpers.noise_run import FEATURES, SHOWN

NUMBERS = "[...document.querySelectorAll('.case')].filter(c => !c.hidden).map(c => c.dataset.{})"
COUNT = "document.getElementById('count').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find()
    if program is None:
        # Where the tests must be whole, a missing browser is a failure and no reason to skip.
        assert "NEED_CHROMIUM" not in os.environ, "no Chromium here, and NEED_CHROMIUM is set"
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with Browser(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(noise_report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("browser") / "index.html"
    path.write_text(rendering.render("report.html", noise_report), "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def gate_address(
    noise_run: RunFolder, noise_report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The same report with the gate's section; the first case of the gallery is disputed."""
    figures = figures_of_run(noise_run)
    drawn = noise_report["cases"][0].drawn
    first, *others = figures.emptied.cases
    disputed = replace(figures.emptied, cases=(replace(first, id=drawn.id), *others))
    figures = replace(figures, emptied=disputed)
    values = {"gate": gate_section.shown(figures, {drawn.id: (1, drawn.anchor)})}
    path = tmp_path_factory.mktemp("browser") / "gate.html"
    shown = noise_report | values | {"gate_state": "fresh"}
    path.write_text(rendering.render("report.html", shown), "utf-8")
    return path.as_uri()


def choose(browser: Browser, name: str, value: str) -> None:
    """Set a control of the gallery as a reader would."""
    browser.value(
        f"{{const c = document.getElementById('tools').elements['{name}']; c.value = '{value}';"
        "c.dispatchEvent(new Event('input', {bubbles: true}))}"
    )


def shown(browser: Browser, attribute: str) -> list[str]:
    """An attribute of every case that is shown, in order."""
    return browser.value(NUMBERS.format(attribute))


@pytest.mark.parametrize("width", [1280, 900, 390])
def test_it_renders_without_a_complaint_a_request_or_a_sideways_scroll(browser, address, width):
    browser.open(address, width)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    # Every picture has been decoded: the figures, and the X-rays within the drawings.
    assert browser.value(
        "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth > 9)))"
        f".then(all => all.length == {2 + len(FEATURES)} && all.every(Boolean))"
    )
    assert browser.value("[...document.querySelectorAll('use')].every(u => u.getBBox().width > 99)")
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith("data:image/")] == [address]


@pytest.mark.parametrize("width", [1280, 900, 700, 390])
def test_the_gates_curves_and_tables_fit_and_can_be_read(browser, gate_address, width):
    browser.open(gate_address, width)
    right = "[...document.querySelectorAll('#gate *')].map(e => e.getBoundingClientRect().right)"
    assert browser.value(f"Math.max(...{right})") <= width
    # Letters of 11.5 units stay legible, and none leaves its drawing or lies on another.
    panels = browser.value(
        "[...document.querySelectorAll('.panels svg')].map(s => ({width: s.clientWidth,"
        "texts: [...s.querySelectorAll('text')].map(t => t.getBBox())"
        ".map(b => [b.x, b.y, b.x + b.width, b.y + b.height])}))"
    )
    assert len(panels) == 6
    for panel in panels:
        assert panel["width"] >= 280
        for left, top, right, bottom in panel["texts"]:
            assert left >= 0 and top >= 0 and right <= 340 and bottom <= 214
        boxes = sorted(panel["texts"])
        overlapping = [
            (a, b)
            for i, a in enumerate(boxes)
            for b in boxes[i + 1 :]
            if b[0] < a[2] and a[1] + 2 < b[3] and b[1] + 2 < a[3]
        ]
        assert overlapping == []
    # No table reaches into its neighbour.
    assert browser.value(
        "[...document.querySelectorAll('#gate table')]"
        ".every(t => t.offsetWidth <= t.parentElement.clientWidth + 1)"
    )
    assert browser.complaints() == []


def test_a_disputed_case_is_a_key_press_away(browser, gate_address):
    browser.open(gate_address)
    browser.value("document.querySelector('[name=close]').click()")
    browser.value("document.querySelector('#gate tbody a').focus()")
    browser.press("Enter", 13)
    is_open = "document.querySelector('.case').querySelector('details').open"
    assert browser.value(f"new Promise(done => setTimeout(() => done({is_open}), 100))")
    assert browser.value("location.hash") == "#" + browser.value(
        "document.querySelector('.case').id"
    )


@pytest.mark.parametrize(("width", "rows"), [(1280, 1), (900, 1), (390, 3)])
def test_no_picture_of_a_case_is_left_alone_in_its_row(browser, address, width, rows):
    browser.open(address, width)
    # With an evidence map there are three.
    tops = browser.value(
        "(() => {const p = document.querySelector('.case .pictures');"
        "p.append(p.lastElementChild.cloneNode(true));"
        "p.closest('details').open = true; p.closest('.case').scrollIntoView();"
        "return [...p.children].map(f => Math.round(f.getBoundingClientRect().top))})()"
    )
    assert len(tops) == 3 and len(set(tops)) == rows


def test_cases_are_filtered_and_counted(browser, address):
    browser.open(address)
    assert len(shown(browser, "number")) == SHOWN
    assert browser.value(COUNT).startswith(f"{SHOWN} of {SHOWN} cases shown")
    for name in ("truth", "prediction", "error", "zone"):
        values = shown(browser, name)
        choose(browser, name, values[0])
        assert set(shown(browser, name)) == {values[0]}
        assert len(shown(browser, name)) == values.count(values[0]) < SHOWN, name
        assert browser.value(COUNT).startswith(f"{values.count(values[0])} of {SHOWN} cases shown")
        choose(browser, name, "")
    middle = sorted(map(float, shown(browser, "probability")))[SHOWN // 2]
    choose(browser, "low", f"{100 * middle - 0.001}")
    assert 0 < len(shown(browser, "number")) < SHOWN
    assert min(map(float, shown(browser, "probability"))) == middle
    browser.value("document.querySelector('[type=reset]').click()")
    assert browser.value(f"new Promise(done => setTimeout(() => done({COUNT}), 50))").startswith(
        f"{SHOWN} of {SHOWN}"
    )
    assert browser.complaints() == []


def test_cases_are_sorted(browser, address):
    browser.open(address)
    original = shown(browser, "number")
    assert original == [str(k) for k in range(1, SHOWN + 1)]
    for order, name, sign in (
        ("probability", "probability", 1),
        ("-probability", "probability", -1),
        ("-distance", "distance", -1),
        ("-area", "area", -1),
    ):
        choose(browser, "order", order)
        values = [sign * float(value) for value in shown(browser, name)]
        assert values == sorted(values)
        if name == "probability":
            assert shown(browser, "number") != original
    choose(browser, "order", "zone")
    assert shown(browser, "zone") == sorted(shown(browser, "zone"))
    choose(browser, "order", "number")
    assert shown(browser, "number") == original


def test_a_link_opens_its_case_even_if_it_was_filtered_away(browser, address):
    browser.open(address)
    last = shown(browser, "truth")[-1]
    name = browser.value("[...document.querySelectorAll('.case')].at(-1).id")
    choose(browser, "truth", {"with": "without", "without": "with"}[last])
    browser.value("document.querySelector('[name=close]').click()")
    browser.value(f"location.hash = '{name}'")
    is_shown = (
        "new Promise(done => setTimeout(done, 100)).then(() => {"
        f"const c = document.getElementById('{name}'), top = c.getBoundingClientRect().top;"
        "return !c.hidden && c.querySelector('details').open && top >= 0 && top < innerHeight})"
    )
    assert browser.value(is_shown)
    browser.open(f"{address}#{name}", 390)
    assert browser.value(is_shown)


def test_the_keyboard_walks_opens_and_hides(browser, address):
    browser.open(address)
    browser.value("document.querySelector('[name=close]').click()")
    browser.value("document.querySelector('.case summary').focus()")
    browser.press("ArrowDown", 40)
    assert browser.value("document.activeElement.closest('.case').dataset.number") == "2"
    browser.press("Enter", 13)
    assert browser.value("document.activeElement.parentElement.open")
    browser.press("ArrowUp", 38)
    assert browser.value("document.activeElement.closest('.case').dataset.number") == "1"
    # Every control can be reached and has a name.
    names = browser.value(
        "[...document.getElementById('tools').elements].filter(e => e.tagName != 'FIELDSET')"
        ".map(e => e.tabIndex == 0 && (e.ariaLabel || (e.labels?.[0] || e).textContent).trim())"
    )
    assert len(names) > 9 and all(names)
    browser.value("document.querySelector('[name=zones]').click()")
    assert (
        browser.value("getComputedStyle(document.querySelector('.case .zones')).display") == "none"
    )


def test_without_scripts_it_is_complete(browser, address):
    browser.open(address, scripts=False)
    document = browser.send("DOM.getDocument")["root"]["nodeId"]

    def box(selector: str) -> bool:
        node = browser.send("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        try:
            return bool(browser.send("DOM.getBoxModel", nodeId=node)["model"]["height"])
        except RuntimeError:
            return False

    assert box(".case summary") and box(".case:last-child summary") and not box("#tools")
    assert browser.complaints() == []


def test_zones_have_the_same_colour_on_dark_lung_as_on_bright_and_as_in_the_legend(
    browser, tmp_path
):
    """A picture of a dark and a bright half, each with a region for and one against."""
    places = {(x, y): (1 if y == 10 else -1) for x in (10, 110) for y in (10, 60)}
    regions = [
        Region((f"x{x}y{y}",), sign * FULL_COLOUR / 2, f"M{x} {y}h80v30h-80z")
        for (x, y), sign in places.items()
    ]
    picture = Picture("", 200, 100, regions, "", "", [])
    macros = rendering.environment().get_template("case.html").module
    style = (rendering.TEMPLATES / "page.css").read_text("utf-8")
    halves = '<rect width="100" height="100"/><rect x="100" width="100" height="100" fill="#aaa"/>'
    (tmp_path / "zones.html").write_text(
        f"<style>{style} body {{margin:0}} svg, .ramp {{display:block; border:0}}</style>"
        f'<svg width="200" height="100">{halves}{macros.zones(picture, "", FULL_COLOUR)}</svg>'
        '<span class="ramp" style="width:200px; height:20px"></span>',
        "utf-8",
    )
    browser.open((tmp_path / "zones.html").as_uri(), 700)
    browser.screenshot(tmp_path / "zones.png")
    screen = Image.open(tmp_path / "zones.png").convert("RGB")

    def colour(x: int, y: int) -> tuple[int, int]:
        """Red and green less blue: what is left of a colour if grey is taken off."""
        red, green, blue = screen.getpixel((x, y))
        return red - blue, green - blue

    for y, legend in ((25, 150), (75, 50)):
        dark, bright = colour(50, y), colour(150, y)
        # Half strength lies halfway between the middle and the end of the legend.
        for other in (bright, colour(legend, 110)):
            assert other == pytest.approx(dark, abs=3)
    assert colour(50, 25)[0] > 30 and colour(50, 75)[0] < -30
    # For and against are equally light, so that neither looks stronger.
    for x in (50, 150):
        light, other = (screen.convert("L").getpixel((x, y)) for y in (25, 75))
        assert light == pytest.approx(other, abs=6)


def test_it_prints(browser, address):
    browser.open(address)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") >= 4
    browser.send("Emulation.setEmulatedMedia", media="print")
    hidden = browser.value(
        "['nav', '#tools'].map(s => getComputedStyle(document.querySelector(s)).display)"
    )
    browser.send("Emulation.setEmulatedMedia", media="")
    assert hidden == ["none", "none"]


def test_a_hostile_page_cannot_run_or_call(browser, address, tmp_path):
    """The content policy holds even where a value would have escaped escaping."""
    text = Path(address.removeprefix("file://")).read_text("utf-8")
    evil = '<script>document.title = "taken"</script><img src="http://evil.example/x.png">'
    (tmp_path / "evil.html").write_text(text.replace("<main>", f"<main>{evil}", 1), "utf-8")
    browser.open((tmp_path / "evil.html").as_uri())
    assert browser.value("document.title") != "taken"
    assert any("Content Security Policy" in text for text in browser.complaints())
    # Blocked before anything is sent.
    answers = [e for e in browser.events if e.get("method") == "Network.responseReceived"]
    assert not any("evil.example" in e["params"]["response"]["url"] for e in answers)
