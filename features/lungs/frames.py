"""The geometry of the lung finder: poses, frames, and an image read through a frame.

A pose is five numbers: centre x and y, log width and log height (standard deviations of the area),
and a slope. A frame is the affine map (2, 3) from frame coordinates (-1..1) to image coordinates
(-1..1, x first) that a pose spans. Pixels enter only as ranks and local contrast within the frame,
so gain, offset and tone curve of the device hardly matter.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from features.pixels.sampling import bilinear, precise_gaussian, ranks

Array = NDArray[np.floating]  # float32, unless it is noted otherwise
Mask = NDArray[np.bool_]
Pose = NDArray[np.float64]  # (5,)
Frame = NDArray[np.float64]  # (2, 3)

SIDE = 128  # pixels a side of the working image
PAIR_REACH, LUNG_REACH = 2.4, 2.6  # half a frame, in standard deviations of the lungs' area
MIRROR = np.array([-1.0, 1.0, 1.0, 1.0, -1.0])  # of a pose in the mirrored image


def pair_frame(pose: Pose) -> Frame:
    """The frame around both lungs; the slope moves y along x."""
    width, height = np.exp(pose[2:4]) * PAIR_REACH
    return np.array([[width, 0, pose[0]], [pose[4] * width, height, pose[1]]])


def lung_frame(pose: Pose) -> Frame:
    """The frame around one lung; the slope moves x along y."""
    width, height = np.exp(pose[2:4]) * LUNG_REACH
    return np.array([[width, pose[4] * height, pose[0]], [0, height, pose[1]]])


def grid_points(frame: Frame, grid: tuple[int, int]) -> NDArray[np.float64]:
    """Image coordinates (2, h, w), x first, of the centres of a grid laid over the frame."""
    v, u = (((np.arange(n) + 0.5) / n * 2 - 1) for n in grid)
    steps = frame[:, 0, None, None] * u[None, None, :] + frame[:, 1, None, None] * v[None, :, None]
    return steps + frame[:, 2, None, None]


def look_up(image: Array, points: NDArray[np.float64], extent: float = 1.0) -> Array:
    """Bilinear values at image coordinates; the image spans -extent..extent."""
    return bilinear(np.asarray(image, np.float32), points, extent)


def moments(points: NDArray[np.float64], weights: NDArray[np.float64], slope_of: str) -> Pose:
    """Pose of weighted points (2, ...), slope of "y" along x (a pair) or "x" along y (a lung)."""
    w = (weights / weights.sum()).ravel()
    offset = points.reshape(2, -1)
    centre = offset @ w
    x, y = offset - centre[:, None]
    along, across = (x, y) if slope_of == "y" else (y, x)
    spread = max(float(w @ along**2), 1e-4)
    slope = float(w @ (along * across)) / spread
    rest = max(float(w @ (across - slope * along) ** 2), 1e-4)
    width, height = (spread, rest) if slope_of == "y" else (rest, spread)
    return np.array([*centre, 0.5 * np.log(width), 0.5 * np.log(height), slope])


def move_pose(pose: Pose, step: NDArray[np.floating]) -> Pose:
    """Apply a step given in units of the frame, and keep the frame near the image."""
    width, height = np.exp(pose[2:4])
    moved = [
        pose[0] + step[0] * width,
        pose[1] + pose[4] * step[0] * width + step[1] * height,
        pose[2] + step[2],
        pose[3] + step[3],
        pose[4] + step[4] * height / width,
    ]
    low = [-0.5, -0.6, np.log(0.15), np.log(0.12), -0.4]
    high = [0.5, 0.5, np.log(0.75), np.log(0.75), 0.4]
    return np.clip(moved, low, high)


@lru_cache(maxsize=16)
def _area_weights(n: int, side: int) -> Array:
    """The share (side, n) that each of n pixels has in each of `side` pixels."""
    edges = np.linspace(0, n, side + 1)
    index = np.arange(n)
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    return (np.clip(overlap, 0, None) * side / n).astype(np.float32)


def area_resize(pixels: Array, shape: tuple[int, int]) -> Array:
    """Resample to fewer pixels by the exact mean over each new pixel's area."""
    rows, columns = map(_area_weights, pixels.shape, shape)
    return rows @ pixels @ columns.T


def body_box(small: Array, tolerance: float = 0.03) -> tuple[float, float, float, float]:
    """What is left after cutting blank borders: (top, bottom, left, right), shares of the image.

    Parameters
    ----------
    small : (SIDE, SIDE) array
        The image, resized.
    tolerance : float
        A line whose range is below this share of the image's is blank.
    """
    low, high = np.percentile(small, [0.5, 99.5])
    cut = round(0.03 * SIDE)  # a marker or a line may cross a blank border
    box: list[float] = []
    for axis in (1, 0):
        inner = np.sort(small, axis=axis).take([cut, SIDE - 1 - cut], axis=axis)
        used = np.flatnonzero(np.ptp(inner, axis=axis) > tolerance * (high - low))
        blank = len(used) < 0.4 * SIDE  # this much border is no border
        box += [0.0, 1.0] if blank else [used[0] / SIDE, (used[-1] + 1) / SIDE]
    return box[0], box[1], box[2], box[3]


def local_contrast(image: Array, sigma: float) -> Array:
    """Deviation from the neighbourhood's mean in units of its standard deviation."""
    detail = image - precise_gaussian(image, sigma, "edge")
    power = precise_gaussian(detail * detail, 1.5 * sigma, "edge")
    return detail / np.sqrt(power + 0.004)


def ranks_in(image: Array, frame: Frame, grid: tuple[int, int]) -> Array:
    """The image inside the frame, as ranks (-1..1) among the frame's pixels.

    Ranks do not change under any rising tone curve. What lies outside the image repeats its edge,
    but is not counted in the ranks of others.
    """
    points = grid_points(frame, grid)
    values = look_up(image, points)
    inside = (np.abs(points) <= 1).all(axis=0)
    counted = inside if inside.sum() > 16 else np.ones_like(inside)
    return ranks(values.ravel(), counted.ravel()).reshape(grid)


def channels(image: Array, frame: Frame, grid: tuple[int, int]) -> Array:
    """Ranks and their local contrast at two scales, (3, h, w)."""
    rank_map = ranks_in(image, frame, grid)
    fine, broad = (0.5 * local_contrast(rank_map, grid[1] / n) for n in (16, 6))
    return np.stack([rank_map, fine, broad])


def halve(x: Array) -> Array:
    """Means of 2 x 2 pixels."""
    upper, lower = x[::2], x[1::2]
    return (upper[:, ::2] + upper[:, 1::2] + lower[:, ::2] + lower[:, 1::2]) / np.float32(4)
