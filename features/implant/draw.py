"""A pneumothorax put into an X-ray: air between chest wall and lung, the lung drawn in and denser.

Grey levels are taken as those of a film: their log-odds grow linearly with attenuation, as with the
display curve of phantoms. How much a lung attenuates is read from the X-ray itself: beside it the
mediastinum shows what tissue in its place would look like. With Beer-Lambert's law a lung of
density d (g/cm3) lies (1.05 - d) below muscle, and air another d below the lung, along the same
way. All is computed at the working size around one lung; only the difference is added to the
picture, so noise and everything elsewhere stay as they are.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image as Pictures

from features.implant import chest_wall
from features.implant.geometry import Maps, edge_of, kept_area, maps_of
from features.implant.layers import steady
from features.implant.parameters import Parameters, sample
from features.lungs.fields import LungFields
from features.lungs.prepared import working_shape, working_size
from features.phantom.pneumothorax import DENSEST
from features.phantom.streams import Rng
from features.phantom.tissue import MU_MUSCLE, MU_WATER
from features.pixels import filters, regions

TOE = 0.02  # keeps log-odds finite at black and white
MUSCLE = 1.05  # g/cm3
CHORD = 140.0  # mm of lung that a ray crosses where the lung is deep
LEAST = 0.35  # log-odds between lung and mediastinum that are assumed where less are seen
THINNEST = 1.0  # mm of air below which nobody would outline it
SURROUNDINGS = 24  # working pixels around the lung that take part
EDGE = 1.2  # mm over which the air begins at the chest wall
WIDE = 12.0  # working pixels over which the lung's depth is averaged
COARSE = 4  # working pixels a side of the squares on which that is done
GRAIN = 1.2  # working pixels; finer is grain of the film, which air does not take away
LINE = 0.7  # mm, standard deviation of the pleural line's profile

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Implanted:
    """An X-ray with a pneumothorax that it did not have.

    Parameters
    ----------
    pixels : (h, w) array of float32 in [0, 1]
        Air dark.
    mask : (h, w) array of bool
        Exactly where the air is.
    parameters : Parameters
    """

    pixels: Image
    mask: Mask
    parameters: Parameters


def implant(pixels: Image, fields: LungFields, rng: Rng) -> Implanted:
    """Put a random pneumothorax into an X-ray.

    Parameters
    ----------
    pixels : (h, w) array of float32 in [0, 1]
        Air dark, upright, as `features.reading.images` reads it.
    fields : LungFields
        The lungs at the working size: ``segment(working_size(pixels))``.
    rng : Generator
        The same state gives the same picture.
    """
    parameters = sample(rng)
    changed, mask = put_in(pixels, fields, parameters)
    return Implanted(changed, mask, parameters)


def put_in(pixels: Image, fields: LungFields, parameters: Parameters) -> tuple[Image, Mask]:
    """Put a given pneumothorax into an X-ray.

    Returns
    -------
    pixels : (h, w) array of float32 in [0, 1]
    mask : (h, w) array of bool

    Raises
    ------
    ValueError
        If the lung fields are not of the working size.
    """
    if fields.right.shape != working_shape(pixels.shape[:2]):
        raise ValueError(f"lung fields are {fields.right.shape}; find them at the working size")
    small = working_size(pixels)
    density = log_odds(small)
    sign = parameters.collapse.sign
    lung = fields.right if sign < 0 else fields.left
    pitch = chest_wall.pitch_of(fields)
    side = chest_wall.side_of(filters.gaussian(density, 2.0), lung, sign, pitch)
    edge = edge_of(side, parameters.collapse)
    box = _clipped(regions.box(lung, SURROUNDINGS), small.shape)
    maps = maps_of(side, edge, box)
    tissue = _mediastinum(density, fields)
    part = np.ascontiguousarray(density[box])
    step = _step(part, maps, tissue, parameters, pitch, kept_area(side, edge))
    air = np.minimum(maps.distance - maps.edge, maps.reach - maps.distance)
    air = np.where(maps.reach - maps.edge > THINNEST, air, np.minimum(air, -0.5 * pitch))
    return _full_size(pixels, step, air, box, small.shape)


def log_odds(pixels: Image) -> Image:
    """Grey levels 0..1 as a measure that grows linearly with attenuation."""
    return np.log((pixels + TOE) / (1 + TOE - pixels)).astype(np.float32)


def grey_levels(density: Image) -> Image:
    """The inverse of `log_odds`."""
    return ((1 + 2 * TOE) / (1 + np.exp(-density)) - TOE).astype(np.float32)


def _clipped(box: regions.Box, shape: tuple[int, ...]) -> regions.Box:
    rows, columns = (
        slice(part.start, min(part.stop, side)) for part, side in zip(box, shape, strict=True)
    )
    return rows, columns


def _mediastinum(density: Image, fields: LungFields) -> float:
    """Log-odds of the tissue between the lungs, where rays cross no lung."""
    rows = np.flatnonzero((fields.right | fields.left).any(axis=1))
    high, low = rows[0] + (np.array([0.3, 0.7]) * len(rows)).astype(int)
    between = []
    for row in range(high, low):
        right, left = np.flatnonzero(fields.right[row]), np.flatnonzero(fields.left[row])
        if len(right) and len(left):
            between.append(density[row, right[-1] + 1 : left[0]])
    values = np.concatenate(between) if between else np.zeros(0)
    return float(np.median(values)) if len(values) else float(np.percentile(density, 90))


def _step(
    density: Image,
    maps: Maps,
    tissue: float,
    parameters: Parameters,
    pitch: float,
    area: float,
) -> Image:
    """By how much grey levels around the lung change; `area` is the share that the lung keeps."""
    collapse = parameters.collapse
    field = np.clip((maps.reach - maps.distance) / EDGE + 0.5, 0, 1)
    gap = maps.reach - maps.edge
    mix = np.clip(gap / 6, 0, 1)
    share = maps.distance / np.maximum(maps.edge, 1)
    # As in `features.phantom.pneumothorax.density_with_air`, relative to the lung's mean density.
    inner = 1 - np.square(np.square(np.square(np.minimum(share, 1))))
    filled = 1 - mix * collapse.air * (1 - np.sqrt(inner))
    squeezed = min(area**-collapse.blood, DENSEST)
    severity = min((1 - area) * 4, 1.0)  # a lung that has hardly moved is not injured either
    squeezed += severity * collapse.injury / parameters.density
    beyond = np.clip((maps.distance - maps.edge) / pitch + 0.5, 0, 1) * (gap > THINNEST)
    relative = filled * (squeezed + beyond * (1 - squeezed))
    base = steady(density, field > 0)
    lung = _lung_depth(base, field, tissue)
    darker = parameters.density / (MUSCLE - parameters.density)
    # Denser only where there is lung to see, not on the border of heart and diaphragm; and air only
    # where at least half a lung is seen, not in a chest wall that was taken for one.
    seen = np.clip((tissue - filters.gaussian(base, 2.0)) / lung, 0, 1)
    there = np.clip(2 * seen, 0, 1)
    change = darker * lung * np.where(relative > 1, seen, there) * (relative - 1)
    gain = lung / ((MUSCLE - parameters.density) * MU_WATER * CHORD)
    change += gain * there * _line(maps, parameters, pitch)
    # Displays enhance what is small: an edge, and the line on it, more than a whole lung.
    change += (parameters.sharpness - 1) * (change - _wide(change * field))
    # Displays keep fine contrast where it gets darker: markings move as grey levels.
    level = grey_levels(base)
    step = grey_levels(base + field * change) - level
    markings = _moved(grey_levels(density) - level, maps, beyond * mix, parameters)
    return (step + field * markings).astype(np.float32)


def _lung_depth(base: Image, field: Image, tissue: float) -> Image:
    """How much darker (log-odds) the lung is than tissue in its place would be, averaged widely."""
    mean = _wide(base * field) / np.maximum(_wide(field), 1e-3)
    return np.maximum(tissue - mean, LEAST)


def _wide(image: Image) -> Image:
    """The image smoothed by a Gaussian of `WIDE` pixels, to within a percent, on a coarse grid."""
    rows, columns = image.shape
    size = (-(-columns // COARSE), -(-rows // COARSE))
    small = Pictures.fromarray(image.astype(np.float32)).resize(size, Pictures.Resampling.BOX)
    smooth = filters.gaussian(np.asarray(small), WIDE / COARSE)
    wide = Pictures.fromarray(smooth).resize((columns, rows), Pictures.Resampling.BILINEAR)
    return np.asarray(wide)


def _moved(markings: Image, maps: Maps, air: Image, parameters: Parameters) -> Image:
    """What changes as the markings move inwards with the lung, and go where it has gone."""
    lung = filters.gaussian(markings, GRAIN)
    grain = markings - lung
    scale = maps.reach / np.maximum(maps.edge, 1)
    place = maps.distance * scale
    scale = np.where(place < maps.reach, scale, 1).astype(np.float32)
    pulled = _pulled(lung, maps.hilum, scale)
    pulled *= 1 - parameters.clearness * air
    return pulled - lung + (parameters.grain - 1) * air * grain


@njit(cache=True)
def _pulled(image, hilum, scale):  # type: ignore[no-untyped-def]
    """The image at `scale` times the way from the hilum to each pixel, bilinear."""
    rows, columns = image.shape
    output = image.copy()
    for row in range(rows):
        for column in range(columns):
            if scale[row, column] == 1:
                continue
            y = hilum[0] + (row - hilum[0]) * scale[row, column]
            x = hilum[1] + (column - hilum[1]) * scale[row, column]
            y, x = min(max(y, 0.0), rows - 1.001), min(max(x, 0.0), columns - 1.001)
            top, left = int(y), int(x)
            v, u = y - top, x - left
            upper = (1 - u) * image[top, left] + u * image[top, left + 1]
            lower = (1 - u) * image[top + 1, left] + u * image[top + 1, left + 1]
            output[row, column] = (1 - v) * upper + v * lower
    return output


def _line(maps: Maps, parameters: Parameters, pitch: float) -> Image:
    """Attenuation of the visceral pleura along the lung's edge."""
    offset = (maps.distance - maps.edge) * maps.across
    width = max(LINE, 0.6 * pitch)
    profile = np.exp(-0.5 * np.square(offset / width)) * (LINE / width)
    wander = 0.5 + 0.5 * np.sin(5 * maps.turn + 2 * parameters.collapse.wiggle)
    strength = 1 - parameters.faintness * wander
    strength *= np.clip((maps.reach - maps.edge - 1) / 3, 0, 1)
    return parameters.collapse.line * MU_MUSCLE * strength * profile


def _full_size(
    pixels: Image, step: Image, air: Image, box: regions.Box, shape: tuple[int, ...]
) -> tuple[Image, Mask]:
    """The picture with the difference added, and where `air` is positive, on its own grid."""
    factors = [full / small for full, small in zip(pixels.shape, shape, strict=True)]
    spans = [
        (int(np.ceil(part.start * factor)), int(part.stop * factor))
        for part, factor in zip(box, factors, strict=True)
    ]
    (top, bottom), (left, right) = (
        [end / factor - part.start for end in span]
        for span, factor, part in zip(spans, factors, box, strict=True)
    )
    near = tuple(slice(*span) for span in spans)
    size = (spans[1][1] - spans[1][0], spans[0][1] - spans[0][0])
    wide, margin = (
        np.asarray(
            Pictures.fromarray(part.astype(np.float32)).resize(
                size, Pictures.Resampling.BILINEAR, (left, top, right, bottom)
            )
        )
        for part in (step, air)
    )
    changed, mask = pixels.copy(), np.zeros(pixels.shape, bool)
    changed[near] = np.clip(changed[near] + wide, 0, 1)
    mask[near] = margin > 0
    return changed, mask
