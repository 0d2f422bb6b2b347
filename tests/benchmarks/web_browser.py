"""The page in a real browser: upload, layers, levels, zoom, dial, pen, errors, phone, print.

    python -m tests.benchmarks.web_browser [--run RUN] [--images x.dcm ...] [--axe axe.min.js]

Starts the service, drives Debian's Chromium over it, and prints what holds and what does not; with
`--out` it leaves screenshots at 1280 and 390 pixels. `--axe` is the script of axe-core, which is no
part of this project; with it every page is looked at for what keeps people out.
"""

import contextlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

from tests.benchmarks.browser_look import PHANTOMS, WIDTHS, Look, choose, upload
from tests.benchmarks.browser_pen import pen
from tests.helpers.chromium import Browser, find

WORDS = "document.querySelector('#viewer output').textContent"


@dataclass(frozen=True)
class Settings:
    """Look at the page in a browser."""

    run: Path | None = None
    """Run folder that has come as far as its gate; without it the model that ships."""
    images: tuple[Path, ...] = ()
    """X-rays to upload; the phantoms of the start page are looked at in any case."""
    axe: Path | None = None
    """axe.min.js of axe-core."""
    out: Path | None = None
    """Folder for screenshots."""


@contextlib.contextmanager
def running(run: Path | None, *options: str) -> Iterator[str]:
    """The address of a service that runs meanwhile."""
    command = [sys.executable, "-m", "cnn.web.cli", "serve", "--port", "0"]
    command += [] if run is None else ["--run", str(run)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.match(r"(http://\S+)/ ", process.stdout.readline())
        try:
            if found is None:
                raise SystemExit("the service did not start")
            yield found[1]
        finally:
            process.terminate()


def start_page(look: Look) -> None:
    """The page that asks for an X-ray, and what it says to a wrong file."""
    for width in WIDTHS:
        look.browser.open(look.address + "/", width)
        look.fits("start", width)
        look.accessible(f"start at {width}")
        look.quiet("start")
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder) / "letter.dcm"
        wrong.write_text("Dear radiologist, " * 40)
        choose(look, wrong)
        look.until("document.getElementById('problem').textContent")
        said = look.browser.value("document.getElementById('problem').textContent")
        look.holds("a wrong file is refused in a sentence", said.startswith("letter.dcm: "), said)
        look.fits("refused", WIDTHS[-1])
        look.accessible("refused")
        look.quiet("refused", expected="422")
    for width in WIDTHS:
        look.browser.open(look.address + "/pages/none", width)
        look.fits("error", width)
        look.accessible("error")
        look.quiet("error", expected="404")


def layers(look: Look) -> None:
    """Each layer by its box and by its key."""
    look.browser.value("document.getElementById('viewer').focus()")
    boxes = look.browser.value(
        "[...document.querySelectorAll('[data-toggles]')].map(b => [b.dataset.toggles, b.disabled])"
    )
    order = look.browser.value(
        "[...document.querySelectorAll('[data-layer]')].map(g => g.dataset.layer)"
    )
    for name, disabled in boxes:
        group = f"document.querySelector('[data-layer={name}]')"
        shown = f"getComputedStyle({group}).display !== 'none'"
        before = look.browser.value(shown)
        look.press(str(order.index(name) + 1))
        after = look.browser.value(shown)
        look.browser.value("document.getElementById('viewer').focus()")
        if disabled:
            look.holds(f"layer {name}: has nothing to show", before == after)
            continue
        filled = look.browser.value(f"{group}.getBBox().width > 0")
        look.browser.value(f"document.querySelector('[data-toggles={name}]').click()")
        look.holds(
            f"layer {name}: key and box", before != after and look.browser.value(shown) == before
        )
        look.holds(f"layer {name}: is drawn", filled or not (before or after))
    for name, disabled in boxes:
        if not disabled and name != "mask":
            look.browser.value(f"document.querySelector('[data-toggles={name}]').click()")


def levels_and_zoom(look: Look) -> None:
    """Grey levels and zoom by keys and mouse."""
    look.browser.value("document.getElementById('viewer').focus()")
    look.press("0")
    first, mean = look.browser.value(WORDS), look.grey()
    for key, is_darker in (("ArrowUp", True), ("ArrowDown", False)):
        for _ in range(5):
            look.press(key)
        changed = look.grey()
        look.holds(f"{key} makes it {'darker' if is_darker else 'brighter'}",
                   (changed < mean) == is_darker, f"{mean:.1f} to {changed:.1f}")  # fmt: skip
        look.press("0")
    for _ in range(5):
        look.press("ArrowLeft")
    look.holds("ArrowLeft narrows the window", look.browser.value(WORDS) != first)
    look.press("0")
    look.press("i")
    look.holds("i inverts", abs(look.grey() - (255 - mean)) < 1.5)
    look.press("0")
    look.holds("0 takes all back", look.browser.value(WORDS) == first and look.grey() == mean)
    look.press("+")
    look.holds("+ zooms", "zoom 1.3×" in look.browser.value(WORDS), look.browser.value(WORDS))
    moved = "document.getElementById('stage').style.transform"
    before = look.browser.value(moved)
    look.press("ArrowRight", shift=True)
    look.holds("Shift and arrow move", look.browser.value(moved) != before)
    look.press("0")
    x, y, width, height = look.box()
    middle = x + width / 2, y + height / 2
    look.mouse("mousePressed", *middle, button="left", clickCount=1)
    look.mouse("mouseMoved", middle[0] + 60, middle[1] + 40, button="left", buttons=1)
    look.mouse("mouseReleased", middle[0] + 60, middle[1] + 40, button="left", clickCount=1)
    look.holds("dragging changes level and window", look.browser.value(WORDS) != first)
    look.mouse("mouseWheel", *middle, deltaX=0, deltaY=-300)
    look.until(f"!{WORDS}.includes('zoom 1.0×')")
    look.holds("the wheel zooms", True)
    look.press("0")


def touch(look: Look) -> None:
    """Two fingers zoom, one changes the grey levels."""
    look.browser.send("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    x, y, width, height = look.box()
    first = look.browser.value(WORDS)

    def fingers(kind: str, *places: tuple[float, float]) -> None:
        points = [
            {"x": x + a * width, "y": y + b * height, "id": k} for k, (a, b) in enumerate(places)
        ]
        look.browser.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    fingers("touchStart", (0.5, 0.5))
    fingers("touchMove", (0.7, 0.5))
    fingers("touchEnd")
    look.until(f"{WORDS} !== {json.dumps(first)}")
    look.holds("one finger changes the window", True, look.browser.value(WORDS))
    fingers("touchStart", (0.45, 0.5), (0.55, 0.5))
    for spread in (0.1, 0.2, 0.3):
        fingers("touchMove", (0.5 - spread, 0.5), (0.5 + spread, 0.5))
    fingers("touchEnd")
    look.until(f"!{WORDS}.includes('zoom 1.0×')")
    look.holds("two fingers zoom", True, look.browser.value(WORDS))
    look.browser.send("Emulation.setTouchEmulationEnabled", enabled=False)


def dial(look: Look) -> None:
    """The dial says what the formulas give."""
    data = look.browser.value("({...document.getElementById('ward').dataset})")
    look.browser.value(
        "(() => {const n = document.getElementById('prevalence'); n.value = '2';"
        "n.dispatchEvent(new Event('input', {bubbles: true}))})()"
    )
    said = look.browser.value("document.getElementById('ward-words').innerText")
    number = {key: float(value) for key, value in data.items() if key != "by"}
    here, there = number["prevalence"], 0.02
    odds = number["probability"] / (1 - number["probability"])
    odds *= there / (1 - there) / (here / (1 - here))
    rates = {
        key: (number[key] + 0.5) / (number[key[:9]] + 1)
        for key in ("positivesIn", "negativesIn", "positivesOut", "negativesOut")
    }
    ppv = rates["positivesIn"] * there
    ppv /= ppv + rates["negativesIn"] * (1 - there)
    npv = rates["negativesOut"] * (1 - there)
    npv /= npv + rates["positivesOut"] * there
    expected = [_percent(value) for value in (odds / (1 + odds), ppv, npv)]
    look.holds("the dial at 2 of 100", all(words in said for words in expected), expected)


def _percent(share: float) -> str:
    if share < 0.001 or share > 0.999:
        return "below 0.1%" if share < 0.5 else "above 99.9%"
    return f"{100 * share:.1f}%" if not 0.1 <= share <= 0.9 else f"{100 * share:.0f}%"


def study_page(look: Look, path: Path | None, number: int) -> None:
    """One answer, at both widths."""
    name = f"phantom-{number + 1}" if path is None else f"upload-{number + 1}"
    for width in WIDTHS:
        upload(look, path, number, width)
        look.fits(name, width)
        layers(look)
        look.fits(f"{name}-layers", width)
        levels_and_zoom(look)
        if width < 600:
            touch(look)
        dial(look)
        look.browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        look.accessible(f"{name} at {width}")
        look.quiet(name)
        pages = look.browser.pdf().count(b"/Type /Page\n")
        look.holds(f"{name} prints on one page", pages == 1, pages)
    address = look.browser.value("location.href")
    look.browser.value("document.getElementById('forget').click()")
    look.until("location.pathname === '/'")
    look.browser.open(address)
    look.holds("forgotten", "forgotten" in look.browser.value("document.body.innerText"))


def main(settings: Settings) -> int:
    """Look at everything; the number of faults."""
    program = find()
    if program is None:
        raise SystemExit("no Chromium here (Debian: apt-get install chromium)")
    secret = "of this benchmark alone"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        outlines = Path(profile) / "outlines.csv"
        options = ("--outlines", str(outlines))
        with running(settings.run, *options) as address, Browser(program, Path(profile)) as browser:
            look = Look(browser, address, settings.axe, settings.out)
            start_page(look)
            pen(look, settings.images, outlines)
            for number in range(PHANTOMS):
                study_page(look, None, number)
            for number, path in enumerate(settings.images):
                study_page(look, path, number)
        with (
            running(settings.run, "--token", secret) as address,
            Browser(program, Path(profile)) as browser,
        ):
            look.browser, look.address = browser, address
            browser.open(address + "/", 390)
            look.fits("token", 390)
            look.accessible("token")
            browser.value(f"document.getElementById('secret').value = {json.dumps(secret)}")
            browser.value("document.querySelector('form').requestSubmit()")
            look.until("document.getElementById('upload') !== null")
            look.holds("the token opens the start page", True)
    print(f"{look.faults} faults")
    return look.faults


if __name__ == "__main__":
    sys.exit(min(main(tyro.cli(Settings)), 1))
