"""Small pictures for the page: thumbnails, differences, outlines and the heat map of lesions."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baseline.audit.findings import Picture
from baseline.audit_facts.facts import Facts
from features.reading import rle

Levels = NDArray[np.uint8]
# Colours of the page: masks yellow, as in the report; heat from transparent over orange to yellow.
MASK = np.array([255, 214, 10], np.float64)
HEAT = np.array([[190, 60, 0], [255, 140, 0], [255, 235, 130]], np.float64)


def uri(picture: Levels) -> str:
    """A picture (h, w) or (h, w, 3) as a JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def thumbnail(facts: Facts, place: int) -> Picture:
    """An image of the dataset, small, above its id."""
    return Picture(uri(facts.thumbnails[place]), facts.ids[place])


def difference(first: Levels, second: Levels) -> Levels:
    """Grey where two pictures are alike, brighter or darker where the first is."""
    gap = first.astype(np.float64) - second
    return np.clip(np.rint(128 + 2 * gap), 0, 255).astype(np.uint8)


def small_mask(facts: Facts, place: int, code: str) -> NDArray[np.bool_]:
    """A mask on the thumbnail's grid: any pixel of it counts."""
    row = facts.table.iloc[place]
    mask = rle.decode(code, (int(row["rows"]), int(row["columns"])))
    side = facts.thumbnails.shape[1]
    small = np.zeros((side, side), bool)
    rows, columns = np.nonzero(mask)
    small[rows * side // mask.shape[0], columns * side // mask.shape[1]] = True
    return small


def masked(facts: Facts, place: int, caption: str | None = None) -> Picture:
    """An image of the dataset with its mask laid over it."""
    grey = facts.thumbnails[place].astype(np.float64)
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    mask = small_mask(facts, place, str(facts.table["mask"].iloc[place]))
    colour[mask] = 0.6 * colour[mask] + 0.4 * MASK
    return Picture(uri(np.rint(colour).astype(np.uint8)), caption or facts.ids[place])


def heat(ground: Levels, share: NDArray[np.float64]) -> Levels:
    """A map (h, w) in [0, 1] laid over a picture; what is less than 3% of its peak is not shown."""
    peak = float(share.max()) or 1.0
    level = share / peak
    stops = np.linspace(0, 1, len(HEAT))
    colour = np.stack([np.interp(level, stops, HEAT[:, k]) for k in range(3)], axis=2)
    sheer = np.where(level > 0.03, 0.25 + 0.55 * level, 0.0)[:, :, None]
    mixed = ground[:, :, None] * (1 - sheer) + colour * sheer
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
