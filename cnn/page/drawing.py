"""From an examination to what is shown: the X-ray's levels, layers as SVG, masks as PNG.

Layers are drawn with attributes alone, no style, so that they look the same in the page and by
themselves, and need no exception from the content policy.
"""

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from baseline.evidence_map import maps
from baseline.explanation import overlays
from baseline.explanation.attributions import PLACES
from baseline.explanation.case import strongest
from baseline.report import waterfall
from baseline.report.case_view import FULL_COLOUR
from cnn.page import rendering
from cnn.page.shown import PNG, SVG, Layer, Shown
from cnn.study.answer import to_json
from cnn.study.predictor import Examination
from features.lungs.prepared import working_shape
from features.reading import rle, square_pixels

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LAYERS = ("lungs", "reasons", "evidence", "unet", "mask", "truth")
PICTURES = (
    "xray.png",
    "levels.png",
    "mask.png",
    "pen.png",
    "unet.png",
    # The U-Net's layer is unet.png.
    *(f"{name}.svg" for name in LAYERS if name != "unet"),
)
# The maps that masks are cut from, in words.
SOURCES = {
    "unet": "U-Net map",
    "evidence": "evidence map",
    "joint": "mean of U-Net and evidence map",
}
# Longest side of the X-ray as it is shown; finer detail is averaged.
LONGEST = 2048
# Percentiles of the grey levels that are shown black and white at first.
WINDOW = (0.5, 99.5)
# As of the mask's outline in the report.
CYAN = (63, 224, 255)


def show(examination: Examination, unet: Grey | None, truth: Mask | None = None) -> Shown:
    """Draw all that is shown of a study.

    Parameters
    ----------
    examination : Examination
    unet : (rows, columns) array of uint8 or None
        The U-Net's map on the picture's grid; 255 stands for 1. None where there is none.
    truth : (rows, columns) array of bool, optional
        The true mask on the file's grid, where the asker knows it; else the run's own is shown.
    """
    explained, answer = examination.explained, examination.answer
    place = explained.study.place
    known = _truth(examination, truth)
    rows, columns = working_shape(examination.pixels.shape[:2])
    pictures = {
        "mask.png": (PNG, _png(255 * place.to_file(examination.mask).astype(np.uint8))),
    }
    levels = _levels(examination.pixels)
    deep = _draw_xray(levels, pictures)
    begun = square_pixels.resample_mask(examination.mask, (levels.shape[0], levels.shape[1]))
    pictures["pen.png"] = (PNG, _png(255 * begun.astype(np.uint8)))
    if unet is not None:
        pictures["unet.png"] = (PNG, _tinted(unet, (rows, columns)))
    layers = _layers(examination, unet is not None, known)
    for layer in layers:
        name = f"{layer.name}.svg"
        if name in PICTURES and layer.drawing:
            values = {"layer": layer, "size": (columns, rows)}
            pictures[name] = (SVG, rendering.page("layer.svg", values).encode())
    low, high = np.percentile(examination.pixels, WINDOW)
    return Shown(
        answer=answer,
        json=to_json(answer),
        size=(columns, rows),
        layers=layers,
        pictures=pictures,
        window=(round(float(low), 4), round(max(float(high), float(low) + 0.01), 4)),
        grid=(levels.shape[0], levels.shape[1]),
        deep=deep,
        by_place=waterfall.by_place(explained.case),
        by_measure=waterfall.by_measure(explained.case),
        place=place,
        truth=None if known is None else "pneumothorax" if known.any() else "no pneumothorax",
        evidence_map=maps.EMPTY if explained.evidence_map is None else explained.evidence_map,
    )


def _truth(examination: Examination, given: Mask | None) -> Mask | None:
    """The true mask on the picture's grid, if it is known."""
    place = examination.explained.study.place
    if given is not None:
        return place.to_picture(given)
    code = examination.explained.mask
    if code is None:
        return None
    return rle.decode(code, place.picture)


def _levels(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The X-ray as it is shown: no side longer than `LONGEST`."""
    if max(pixels.shape) <= LONGEST:
        return pixels
    factor = LONGEST / max(pixels.shape)
    rows, columns = (max(round(side * factor), 1) for side in pixels.shape)
    small = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(small)


def _draw_xray(shown: NDArray[np.float32], pictures: dict[str, tuple[str, bytes]]) -> bool:
    """Add the X-ray as a PNG, and its levels if a byte does not hold them.

    A browser keeps 8 bits a channel, so levels.png has the upper byte of each level in red and the
    lower one in green.
    """
    levels = 255 * shown
    deep = bool(np.abs(levels - np.rint(levels)).max() > 0.01)
    pictures["xray.png"] = (PNG, _png(np.rint(levels).astype(np.uint8)))
    if deep:
        words = np.rint(65535 * np.clip(shown, 0, 1)).astype(np.uint16)
        bytes_ = np.stack((words >> 8, words & 255, np.zeros_like(words)), axis=-1)
        pictures["levels.png"] = (PNG, _png(bytes_.astype(np.uint8)))
    return deep


def _layers(examination: Examination, has_unet: bool, truth: Mask | None) -> tuple[Layer, ...]:
    """Everything that can be laid over the X-ray, in the order in which it is drawn."""
    explained = examination.explained
    rows, columns = working_shape(examination.pixels.shape[:2])
    attribution = pd.Series({at: float(explained.case.within(at).sum()) for at in PLACES})
    regions = overlays.regions(explained.prepared.zones, attribution)
    contours = []
    if explained.evidence_map is not None:
        contours = overlays.contours(maps.paint(explained.evidence_map, (rows, columns)))

    def outlined(mask: Mask | None) -> str:
        return (
            ""
            if mask is None
            else overlays.outline(square_pixels.resample_mask(mask, (rows, columns)))
        )

    values: dict[str, dict[str, object]] = {
        "lungs": {"regions": regions, "rows": rows},
        "reasons": {
            "regions": regions,
            "top": strongest(explained.case, [region.zones[-1] for region in regions]),
            "full_colour": FULL_COLOUR,
        },
        "evidence": {"contours": contours},
        "unet": {"has_map": has_unet, "columns": columns, "rows": rows},
        "mask": {"path": outlined(examination.mask)},
        "truth": {"path": outlined(truth)},
    }
    module = rendering.environment().get_template("layers.svg").module
    macros: dict[str, Callable[..., str]] = {name: getattr(module, name) for name in LAYERS}
    titles = _titles(examination, bool(contours))
    return tuple(
        Layer(name, *titles[name], str(macros[name](**values[name])).strip()) for name in LAYERS
    )


def _titles(examination: Examination, is_warm: bool) -> dict[str, tuple[str, str]]:
    """Title and legend of each layer."""
    mask = examination.answer.mask
    source = SOURCES.get(mask.source, mask.source)
    kept = "" if mask.kept else " The gate keeps no mask of this X-ray."
    levels = ", ".join(f"{level:.0%}" for level in overlays.CONTOUR_LEVELS)
    evidence = f"outlines where air is at least as likely as {levels}"
    return {
        "lungs": ("Lungs and zones", "as the program found them; R is the patient’s right"),
        "reasons": (
            "Painted reasons",
            f"orange for, blue against pneumothorax, full colour at ±{FULL_COLOUR:.2f} log-odds",
        ),
        "evidence": (
            "Evidence map",
            evidence if is_warm else "nowhere is air as likely as 10%",
        ),
        "unet": ("U-Net map", "the stronger the cyan, the likelier is air"),
        "mask": (
            "Mask",
            f"cyan outline, cut from the {source}.{kept}",
        ),
        "truth": ("Truth", "yellow outline"),
    }


def _tinted(grey: Grey, shape: tuple[int, int]) -> bytes:
    """A map as a PNG of one colour whose opacity is the probability."""
    small = Image.fromarray(grey).resize(shape[::-1], Image.Resampling.BOX)
    picture = Image.new("RGBA", small.size, CYAN)
    picture.putalpha(small)
    return _encoded(picture)


def _png(array: Grey) -> bytes:
    return _encoded(Image.fromarray(array))


def _encoded(picture: Image.Image) -> bytes:
    """A PNG; the fastest compression, since it is sent once and to the same machine."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
