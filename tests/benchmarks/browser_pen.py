"""The pen of the page in a real browser, for web_browser.py."""

import json
from pathlib import Path

from cnn.page.outlines import Outlines
from features.reading import rle
from tests.benchmarks.browser_look import PHANTOMS, WIDTHS, Look, upload

# Of the pen's mask, in shares of the picture.
MASK_BOX = (
    "(() => {const s = document.querySelector('.sheet'), w = s.width, h = s.height,"
    "d = s.getContext('2d').getImageData(0, 0, w, h).data, x = [], y = [];"
    "for (let k = 0; k < w * h; k++) if (d[4 * k + 3]) { x.push(k % w / w);"
    "y.push(Math.floor(k / w) / h); }"
    "const ends = v => v.reduce(([a, b], c) => [Math.min(a, c), Math.max(b, c)], [1, 0]);"
    "const [l, r] = ends(x), [t, b] = ends(y); return [l, t, r, b]})()"
)


def begin_with_mask(look: Look, images: tuple[Path, ...], count: str) -> None:
    """Take the pen on the first X-ray whose mask the gate keeps."""
    for number, path in enumerate((*[None] * PHANTOMS, *images)):
        upload(look, path, number, WIDTHS[0])
        look.browser.value("document.querySelector('#pen summary').click()")
        look.until("document.querySelector('.sheet') !== null")
        if look.browser.value(count) > 0:
            return
    raise SystemExit("no mask is kept of any of these X-rays; give --images with one that has")


def pen(look: Look, images: tuple[Path, ...], outlines: Path) -> None:
    """Outline, brush, keys, undo, save; what is saved is what was drawn."""
    count = (
        "(() => {const s = document.querySelector('.sheet'), d = s.getContext('2d')"
        ".getImageData(0, 0, s.width, s.height).data;"
        "let n = 0; for (let k = 3; k < d.length; k += 4) n += d[k] > 127; return n})()"
    )
    begin_with_mask(look, images, count)
    left, top, right, bottom = look.browser.value(MASK_BOX)
    press = "document.querySelector('[data-pen={}]').click()"
    look.browser.value(press.format("empty"))
    look.holds("empty", look.browser.value(count) == 0)
    look.stroke([(0.2, 0.2), (0.4, 0.2), (0.4, 0.4), (0.2, 0.4)])
    drawn = look.browser.value(count)
    share = drawn / look.browser.value(
        "(s => s.width * s.height)(document.querySelector('.sheet'))"
    )
    look.holds("an outline is filled", abs(share - 0.04) < 0.002, f"{share:.4f} of the picture")
    look.fits("pen", WIDTHS[0])
    look.accessible("pen")
    look.browser.value("document.getElementById('viewer').focus()")
    for key in ("ArrowRight", " "):
        look.press(key)
    painted = look.browser.value(count)
    look.holds("a key paints", drawn < painted < drawn + 300, painted - drawn)
    look.press("u")
    look.holds("a key takes it back", look.browser.value(count) == drawn)
    look.browser.value("document.getElementById('snap').click()")
    look.stroke([(left, top), (right, top), (right, bottom), (left, bottom)])
    as_drawn = look.browser.value(count)
    look.until(f"{count} !== {as_drawn}")
    look.holds("an outline snaps", True, f"{as_drawn} pixels to {look.browser.value(count)}")
    look.fits("snapped", WIDTHS[0])
    look.browser.value(press.format("undo"))
    look.holds("Undo brings back what was drawn", look.browser.value(count) == as_drawn)
    look.browser.value(press.format("undo"))
    look.holds("and again what was before", look.browser.value(count) == drawn)
    for name, text in (("=evil()", "reader's name"), ("Dr. B. Rowser", "Saved as an outline")):
        look.browser.value(f"document.getElementById('reader').value = {json.dumps(name)}")
        look.browser.value(press.format("save"))
        look.until(f"document.getElementById('pen-words').textContent.includes({json.dumps(text)})")
    (row,) = Outlines(outlines).rows()
    saved = int(rle.decode(row.code).sum())
    look.holds("what is saved is what was drawn", saved == drawn, f"{saved} pixels, {row.reader}")
    look.quiet("pen", expected="422")
