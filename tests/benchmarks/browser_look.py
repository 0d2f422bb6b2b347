"""A browser on the service: what is looked at, pressed and touched, and what was wrong."""

import contextlib
import time
from pathlib import Path

from tests.helpers.chromium import Browser

WIDTHS = (1280, 390)
PATIENCE = 60.0
# On the start page.
PHANTOMS = 3
KEYS = {"ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39}

READY = "document.getElementById('viewer')?.dataset.ready === 'yes'"


class Look:
    """A browser on the service, and what was found."""

    def __init__(self, browser: Browser, address: str, axe: Path | None, out: Path | None) -> None:
        self.browser, self.address, self.axe, self.out = browser, address, axe, out
        self.faults = 0

    def holds(self, what: str, is_so: bool, more: object = "") -> None:
        """Print whether something is as it must be."""
        self.faults += not is_so
        print(
            f"{'ok   ' if is_so else 'FAULT'} {what}{f': {more}' if more != '' else ''}", flush=True
        )

    def until(self, expression: str) -> float:
        """Wait until a JavaScript expression is true, and return the seconds that it took."""
        start = time.monotonic()
        while time.monotonic() < start + PATIENCE:
            with contextlib.suppress(RuntimeError):  # the page is being left
                if self.browser.value(expression):
                    return time.monotonic() - start
            time.sleep(0.02)
        raise SystemExit(f"never: {expression}")

    def quiet(self, what: str, expected: str = "no such status") -> None:
        """No complaint but about an expected status, and no request of another address."""
        complaints = [text for text in self.browser.complaints() if expected not in text]
        self.holds(f"{what}: console", complaints == [], complaints or "")
        strangers = [
            url for url in self.browser.requests()
            if not url.startswith((self.address, "data:", "about:"))
        ]  # fmt: skip
        self.holds(f"{what}: requests", strangers == [], strangers or "")

    def fits(self, what: str, width: int) -> None:
        """The page does not scroll sideways, and a picture of it is kept."""
        wide = self.browser.value("document.documentElement.scrollWidth")
        self.holds(f"{what}: {width} pixels are enough", wide <= width, wide)
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            self.browser.screenshot(self.out / f"{what}-{width}.png", whole=True)

    def accessible(self, what: str) -> None:
        """axe-core finds nothing."""
        if self.axe is None:
            return
        self.browser.value(self.axe.read_text("utf-8") + ";0")
        found = self.browser.value(
            "axe.run(document).then(r => r.violations.map(v => v.id + ' ' + "
            "v.nodes.map(n => n.target.join(' ')).join(', ')))"
        )
        self.holds(f"{what}: axe-core", found == [], found or "")

    def press(self, key: str, shift: bool = False) -> None:
        """Press a key."""
        code = KEYS.get(key, ord(key[0].upper()))
        text = {} if key in KEYS else {"text": key}
        for kind in ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            self.browser.send(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                modifiers=8 if shift else 0, **more,
            )  # fmt: skip

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the viewer in the window."""
        values = self.browser.value(
            "(() => {const v = document.getElementById('viewer');"
            "v.scrollIntoView({block: 'center'});"
            "const b = v.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]})()"
        )
        return tuple(values)

    def stroke(self, corners: list[tuple[float, float]]) -> None:
        """Draw a line in the viewer; its corners are shares of its width and height."""
        x, y, width, height = self.box()
        places = [(x + a * width, y + b * height) for a, b in corners]
        self.mouse("mousePressed", *places[0], button="left", clickCount=1)
        for place in places[1:]:
            self.mouse("mouseMoved", *place, button="left", buttons=1)
        self.mouse("mouseReleased", *places[-1], button="left", clickCount=1)

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """A mouse event in the window."""
        self.browser.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def grey(self) -> float:
        """Mean grey level of the X-ray as it is drawn, once that has been done."""
        return self.browser.value(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {"
            "const c = document.getElementById('xray'), d = c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data;"
            "let sum = 0; for (let k = 0; k < d.length; k += 4) sum += d[k];"
            "done(4 * sum / d.length)})))"
        )


def choose(look: Look, path: Path) -> None:
    """Choose a file as a visitor would."""
    root = look.browser.send("DOM.getDocument")["root"]["nodeId"]
    node = look.browser.send("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    look.browser.send("DOM.setFileInputFiles", nodeId=node, files=[str(path.resolve())])


def upload(look: Look, path: Path | None, number: int, width: int) -> None:
    """Get the answer on a file, or on one of the phantoms."""
    look.browser.open(look.address + "/", width)
    look.browser.events.clear()
    start = time.monotonic()
    if path is None:
        look.browser.value(f"document.querySelectorAll('.sample button')[{number}].click()")
    else:
        choose(look, path)
    look.until(READY)
    seconds = time.monotonic() - start
    name = f"phantom {number + 1}" if path is None else path.name
    look.holds(f"{name} at {width}: answer and X-ray", True, f"{seconds:.2f} s")
