"""Random views of X-rays with known lungs, to which the lung finder is fitted.

Devices, crops and patients differ more than a single collection shows. So the lung finder learns
from many views of each X-ray: moved, zoomed, stretched, turned, bent, mirrored; with other tone
curves; with a white lung or an empty rim, gas under the diaphragm, lines, markers and borders. The
lungs are transformed in the same way, as signed distances on a canvas that reaches beyond the view,
since a lung may too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from features.lungs.frames import SIDE, Array, Mask, Pose, area_resize, body_box, moments

CANVAS = 1.5  # the canvas spans -1.5..1.5 where the view spans -1..1
_CANVAS_SIDE = round(SIDE * CANVAS)
_MARGIN = (_CANVAS_SIDE - SIDE) // 2


@dataclass(frozen=True)
class View:
    """A working image (SIDE, SIDE), signed distances of its lungs in its pixels, and its pose."""

    image: Array
    right: Array
    left: Array
    pose: Pose


def signed_distance(mask: Mask) -> Array:
    """Distance to the outline in pixels, positive inside."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    return (np.where(mask, inside, -outside) - np.where(mask, 0.5, -0.5)).astype(np.float32)


def canvas_points() -> Array:
    """Image coordinates (2, n, n), x first, of the canvas pixels."""
    c = ((np.arange(_CANVAS_SIDE) + 0.5) / _CANVAS_SIDE * 2 - 1) * CANVAS
    return np.stack(np.meshgrid(c, c)).astype(np.float32)


def true_pose(right: Array, left: Array) -> Pose:
    """Pose of the pair from signed distances on the canvas; each lung counts equally."""
    shares = [np.clip(d + 0.5, 0, 1) for d in (right, left)]
    weights = sum(s / max(float(s.sum()), 1e-6) for s in shares)
    return moments(canvas_points().astype(np.float64), np.asarray(weights, np.float64), "y")


def random_view(pixels: Array, right: Array, left: Array, rng: Generator) -> View:
    """One random view of an X-ray (h, w) given the signed distances of its lungs."""
    h, w = pixels.shape
    top, bottom, first, last = body_box(area_resize(pixels, (SIDE, SIDE))) * np.array([h, h, w, w])
    ys, xs = np.nonzero((right > 0) | (left > 0))
    lungs = np.array([np.ptp(xs) + 1, np.ptp(ys) + 1]) / 2
    half = lungs / rng.uniform([0.55, 0.42], [1.08, 1.02])
    centre = np.array([xs.min() + xs.max() + 1, ys.min() + ys.max() + 1]) / 2
    centre = centre + half * rng.uniform([-0.22, -0.12], [0.22, 0.4])
    angle = np.radians(rng.normal(0, 6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn * half
    if rng.random() < 0.5:  # the mirrored patient
        matrix = matrix * [-1, 1]
        right, left = left, right
    x, y = canvas_points()
    bend = ndimage.zoom(rng.normal(size=(2, 6, 6)), (1, 8, 8), order=3)
    bend = ndimage.zoom(bend, (1, _CANVAS_SIDE / 48, _CANVAS_SIDE / 48), order=1)
    bend *= rng.choice([0, 0.03, 0.06]) * lungs[:, None, None]
    px = matrix[0, 0] * x + matrix[0, 1] * y + centre[0] - 0.5 + bend[0]
    py = matrix[1, 0] * x + matrix[1, 1] * y + centre[1] - 0.5 + bend[1]
    scale = float(np.sqrt(abs(np.linalg.det(matrix)))) * 2 / SIDE  # source pixels a view pixel
    maps = [_distances(d, px, py) / scale for d in (right, left)]
    inner = slice(_MARGIN, _MARGIN + SIDE)
    at = [py[inner, inner], px[inner, inner]]
    if rng.random() < 0.5:  # beyond the exposed field its edge is repeated; else it is black
        at = [at[0].clip(top + 1, bottom - 2), at[1].clip(first + 1, last - 2)]
    sharp = ndimage.gaussian_filter(pixels, 0.35 * scale) if scale > 1 else pixels
    image = ndimage.map_coordinates(sharp, at, order=1, mode="nearest")
    image = _alter(image, [d[inner, inner] > 0 for d in maps], rng)
    return View(image, maps[0], maps[1], true_pose(maps[0], maps[1]))


def _distances(distance: Array, px: Array, py: Array) -> Array:
    """Signed distances at source pixels; beyond the source they keep falling."""
    h, w = distance.shape
    over = np.hypot(np.maximum(-px, px - w + 1).clip(0), np.maximum(-py, py - h + 1).clip(0))
    values = ndimage.map_coordinates(distance, [py, px], order=1, mode="nearest")
    return (values - over).astype(np.float32)


def _alter(image: Array, lungs: list[Mask], rng: Generator) -> Array:
    """The view with other disease, tone, sharpness, noise and clutter, in the same anatomy."""
    for lung in lungs:
        if lung.sum() < 50:
            continue
        chance = rng.random()
        if chance < 0.3:
            image = _whiten(image, lung, rng)
        elif chance < 0.48:
            image = _empty_rim(image, lung, rng)
        if rng.random() < 0.2:
            image = _add_gas(image, lung, rng)
    image = _tone(image.clip(0, 1), rng)
    if rng.random() < 0.4:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.2))
    image = image + rng.normal(size=image.shape) * rng.uniform(0, 0.02)
    return _clutter(image, rng).astype(np.float32)


def _blend(
    image: Array, region: Mask, sigma: float, strength: float, level: Array | float
) -> Array:
    """Mix a grey level into a region whose border is blurred by `sigma` pixels."""
    share = ndimage.gaussian_filter(region.astype(np.float32), sigma) * strength
    return image * (1 - share) + level * share


def _whiten(image: Array, lung: Mask, rng: Generator) -> Array:
    """Fluid in the lower part, a patchy consolidation, or the whole lung white."""
    kind, (ys, xs) = rng.random(), np.nonzero(lung)
    region = lung
    if kind < 0.45:
        row, column = np.indices(lung.shape)
        cut = np.quantile(ys, rng.uniform(0.3, 0.95))
        below = row + rng.normal(0, 0.25) * (column - xs.mean()) > cut
        region = ndimage.binary_dilation(lung & below, iterations=2)
    elif kind < 0.75:
        cloud = ndimage.gaussian_filter(rng.normal(size=(16, 16)), 2)
        cloud = ndimage.zoom(cloud, SIDE / 16, order=1)
        region = lung & (cloud > np.quantile(cloud, rng.uniform(0.3, 0.8)))
    level = float(np.quantile(image, rng.uniform(0.6, 0.95)))
    return _blend(image, region, rng.uniform(1, 4), rng.uniform(0.3, 1), level)


def _empty_rim(image: Array, lung: Mask, rng: Generator) -> Array:
    """A dark rim without vessels: the part of the lung that a shifted copy does not cover."""
    shift = (rng.integers(0, 25), rng.integers(-18, 19))
    rim = lung & ~ndimage.shift(lung.astype(np.float32), shift, order=0).astype(bool)
    dark = np.quantile(image[lung], rng.uniform(0, 0.3))
    level = 0.7 * dark + 0.3 * ndimage.gaussian_filter(image, 6)
    return _blend(image, rim, 0.7, rng.uniform(0.5, 1), level)


def _add_gas(image: Array, lung: Mask, rng: Generator) -> Array:
    """A dark bubble under the diaphragm, as of the stomach."""
    ys, xs = np.nonzero(lung)
    row, column = np.indices(lung.shape)
    cy, cx = ys.max() + rng.uniform(-2, 14), rng.uniform(xs.min(), xs.max())
    inside = ((row - cy) / rng.uniform(2, 9)) ** 2 + ((column - cx) / rng.uniform(4, 14)) ** 2 < 1
    level = float(np.quantile(image[lung], rng.uniform(0, 0.6)))
    return _blend(image, inside & ~lung, 1, rng.uniform(0.4, 1), level)


def _tone(image: Array, rng: Generator) -> Array:
    """Another tone curve and an uneven exposure."""
    chance = rng.random()
    if chance < 0.5:
        image = image ** np.exp(rng.normal(0, 0.5))
    elif chance < 0.75:  # compressed into the bright end, as in films of JSRT
        image = 1 - (1 - image) ** np.exp(abs(rng.normal(0.6, 0.5)))
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    tilt = rng.normal(0, 0.12, 2)
    return image * (1 + tilt[0] * ramp[None, :] + tilt[1] * ramp[:, None])


def _clutter(image: Array, rng: Generator) -> Array:
    """Markers, tubes and blank borders."""
    image = image.copy()
    levels = (image.min(), image.max())
    for _ in range(rng.integers(0, 3)):
        h, w = rng.integers(3, 14, 2)
        y, x = rng.integers(0, SIDE - h), rng.integers(0, SIDE - w)
        if rng.random() < 0.7:  # most lie at a side
            x = rng.choice([rng.integers(0, 15), SIDE - w - rng.integers(0, 15)]).clip(0)
        image[y : y + h, x : x + w] = rng.choice(levels)
    for _ in range(rng.integers(0, 3)):
        if rng.random() < 0.5:
            p, t = rng.uniform(0, SIDE, (3, 2)), np.linspace(0, 1, 3 * SIDE)[:, None]
            y, x = ((1 - t) ** 2 * p[0] + 2 * t * (1 - t) * p[1] + t * t * p[2]).astype(int).T
            line = np.zeros(image.shape, np.float32)
            line[y, x] = 1
            line = ndimage.gaussian_filter(line, 0.6)
            image += (levels[1] - image) * line / line.max() * rng.uniform(0.3, 1)
    for side in range(4):
        if rng.random() < 0.1:
            np.rot90(image, side)[: 1 + min(int(rng.exponential(8)), 27)] = rng.choice(levels)
    return image


def no_chest(image: Array, rng: Generator) -> Array:
    """An image in which no lungs should be trusted: noise, a limb, a negative, a turned chest."""
    kind = rng.integers(6)
    if kind == 0:
        return rng.random((SIDE, SIDE)).astype(np.float32)
    if kind == 1:
        cloud = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(2, 20))
        return cloud.astype(np.float32)
    if kind == 2:  # a limb: a bright bar on black, a brighter bone in it
        x = np.abs(np.linspace(-1, 1, SIDE) - rng.uniform(-0.3, 0.3)) / rng.uniform(0.15, 0.5)
        limb = np.sqrt(np.clip(1 - x**2, 0, 1)) + 0.5 * (x < rng.uniform(0.1, 0.4))
        noisy = np.tile(limb, (SIDE, 1)) + rng.normal(0, 0.03, (SIDE, SIDE))
        return np.rot90(noisy, int(rng.integers(2))).astype(np.float32)
    if kind == 3:  # a corner of the image, enlarged
        y, x = rng.choice([0, SIDE // 2], 2)
        part = image[y : y + SIDE // 2, x : x + SIDE // 2]
        return np.kron(part, np.ones((2, 2))).astype(np.float32)
    if kind == 4:  # bright air: the file misstates its photometric interpretation
        return 1 - image
    return np.ascontiguousarray(np.rot90(image, int(rng.integers(1, 4))))
