"""A sheet of implants in phantoms: each lung before, with the outline of the air, and after.

``python -m features.implant.sheet --out FILE.jpg`` draws phantoms without pneumothorax and puts one
into each. No real X-ray is shown.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from features.implant.draw import implant
from features.lungs.fields import segment
from features.lungs.prepared import working_size
from features.phantom.radiograph import phantom
from features.phantom.streams import child
from features.pixels import regions
from features.run import command, parallel
from features.run.files import UserError, atomic

COLUMNS = 4  # pairs a row
TILE = (190, 240)  # pixels, width and height
MARGIN = 24  # working pixels around the lung
OUTLINE = (255, 170, 40)


@dataclass(frozen=True)
class Settings:
    """What to draw, and where."""

    out: Path
    """JPEG file to write."""
    pairs: int = 24
    """Number of implants."""
    seed: int = 0
    """Seed of all random numbers."""
    quality: int = 80
    """Of the JPEG compression, 1 to 95."""
    jobs: int = -1
    """Processes; -1 for one a core."""


def main(settings: Settings) -> None:
    """Draw the sheet."""
    if settings.pairs < 1:
        raise UserError(f"--pairs {settings.pairs}: a number of pictures; give 1 or more.")
    if not 1 <= settings.quality <= 95:
        raise UserError(f"--quality {settings.quality}: give a number from 1 to 95.")
    numbers = list(range(settings.pairs))
    pairs = list(parallel.stream(partial(pair, settings.seed), numbers, "pairs", settings.jobs))
    width, height = 2 * TILE[0], TILE[1]
    rows = -(-len(pairs) // COLUMNS)
    page = Image.new("RGB", (width * min(COLUMNS, len(pairs)), height * rows))
    for k, picture in enumerate(pairs):
        page.paste(picture, (k % COLUMNS * width, k // COLUMNS * height))
    with atomic(settings.out) as temporary:
        page.save(temporary, format="JPEG", quality=settings.quality, optimize=True)


def pair(seed: int, number: int) -> Image.Image:
    """One lung of a phantom before and after, side by side."""
    drawn = phantom(child(seed, 0, number), pneumothorax=False)
    pixels = (drawn.pixels / 255).astype(np.float32)
    fields = segment(working_size(pixels))
    put_in = implant(pixels, fields, np.random.default_rng(child(seed, 1, number)))
    collapse = put_in.parameters.collapse
    lung = fields.right if collapse.sign < 0 else fields.left
    rows, columns = regions.box(lung, MARGIN)
    near = slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop)
    before = np.repeat(drawn.pixels[near][..., None], 3, axis=2)
    wide = ndimage.binary_dilation(put_in.mask[near], iterations=2)
    before[wide & ~put_in.mask[near]] = OUTLINE
    after = np.rint(255 * put_in.pixels[near]).astype(np.uint8)
    picture = Image.new("RGB", (2 * TILE[0], TILE[1]))
    for k, tile in enumerate((before, after)):
        scaled = Image.fromarray(tile).convert("RGB").resize(TILE, Image.Resampling.LANCZOS)
        picture.paste(scaled, (k * TILE[0], 0))
    words = f"{collapse.kind}, {collapse.depth:.0f} mm"
    ImageDraw.Draw(picture).text(
        (TILE[0] + 5, TILE[1] - 16), words, (255, 220, 120), stroke_width=2, stroke_fill=(0, 0, 0)
    )
    return picture


if __name__ == "__main__":
    command.run(main)
