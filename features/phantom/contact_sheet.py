"""A contact sheet of phantoms: small images in rows, masks outlined, captions with the truth."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from features.phantom.radiograph import Phantom


def contact_sheet(phantoms: list[Phantom], columns: int = 6, side: int = 320) -> Image.Image:
    """Draw the sheet.

    Parameters
    ----------
    phantoms : list of Phantom
        The images, row by row.
    columns : int
        Images a row.
    side : int
        Width of an image in pixels.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    rows = -(-len(phantoms) // columns)
    page = Image.new("RGB", (columns * side, rows * side))
    for k, image in enumerate(phantoms):
        picture = Image.fromarray(image.pixels).convert("RGB").resize((side, side))
        small = Image.fromarray(image.mask).resize((side, side))
        inside = np.asarray(small, bool)
        pixels = np.array(picture)
        pixels[inside & ~ndimage.binary_erosion(inside)] = (255, 170, 40)
        tile = Image.fromarray(pixels)
        truth = "no pneumothorax"
        if image.collapse is not None:
            truth = f"{image.collapse.kind}, {image.collapse.side}, {100 * image.mask.mean():.1f}%"
        view = "supine" if image.exposure.pose == "supine" else image.view
        caption = f"{image.sex} {image.age} {view}: {truth}"
        ImageDraw.Draw(tile).text(
            (6, side - 18), caption, (255, 220, 120), stroke_width=2, stroke_fill=(0, 0, 0)
        )
        page.paste(tile, (k % columns * side, k // columns * side))
    return page
