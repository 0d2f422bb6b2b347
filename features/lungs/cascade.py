"""The stages of the lung finder, each a function of pixels and a fitted model.

`find_pose` places a frame around both lungs, `trace_lung` outlines the lung at the left of an
image: a rough shape in the frame of the pair, a better one in a frame of its own, and an edge
trimmed by boosted trees. The left lung is traced in the mirror. `features.lungs.fields` explains
the idea and names the sources; `features.lungs_fit.fit` learns the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from features import trees
from features.lungs.frames import (
    Array,
    Frame,
    Mask,
    Pose,
    channels,
    grid_points,
    halve,
    local_contrast,
    look_up,
    lung_frame,
    moments,
    move_pose,
    pair_frame,
    ranks_in,
)
from features.pixels.sampling import precise_gaussian, walk
from features.run.files import UserError, atomic

POSE_GRID = (24, 24)  # what the pose is read from
PAIR_GRID = (32, 32)  # the frame around both lungs
LUNG_GRID = (48, 32)  # the frame around one lung
EDGE_GRID = (72, 48)  # the same frame, finer, for the trees
BAND = 0.45  # the trees read pixels whose signed distance is below this share of the saturation
PROFILE = np.array([-7, -5, -3.5, -2, -1, 0, 1, 2, 3.5, 5, 7])  # steps across the outline
SIGNS = (  # of a good outline: three stages agree, dark in bright, an ordinary pose
    "rough agreement",
    "shape agreement",
    "contrast",
    "decision",
    "area",
    "texture",
    "unusual x",
    "unusual y",
    "unusual width",
    "unusual height",
    "unusual slope",
)
FAR = np.array([-12.0, 12.0])
SMOOTH = 1.6  # pixels of EDGE_GRID
MODEL = Path(__file__).with_name("lungs_model.npz")


@dataclass(frozen=True)
class LungModel:
    """What was learned. Weights map pixels (c * h * w) to pose steps or to shape codes."""

    start: Pose  # of the pair, before any pixel is read
    pose_weights: Array  # (steps, pixels, 5)
    pose_biases: Array  # (steps, 5)
    pair_weights: Array  # (pixels, codes)
    pair_bias: Array
    pair_basis: Array  # (codes, h * w)
    pair_mean: Array
    lung_weights: Array
    lung_bias: Array
    lung_basis: Array
    lung_mean: Array
    quality_weights: Array  # (signs + 1,): logistic, the last is the bias
    edge: trees.Trees | None


@lru_cache(maxsize=2)
def load(path: Path = MODEL) -> LungModel:
    """Read a fitted model: numbers and LightGBM's own text, no pickle.

    Raises
    ------
    UserError
        If the file is missing or damaged; it ships with the program.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _from_arrays({k: stored[k] for k in stored.files})
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, ZlibError) as error:
        raise UserError(
            f"{path}: not the lung model of this version ({type(error).__name__}); restore the "
            "file, which ships with the program."
        ) from error


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> LungModel:
    text = arrays.pop("edge").tobytes().decode("ascii")
    scales = {k.removesuffix("_scale"): arrays.pop(k) for k in list(arrays) if k.endswith("_scale")}
    start = arrays.pop("start").astype(np.float64)
    fields = {k: (a * scales.get(k, 1)).astype(np.float32) for k, a in arrays.items()}
    return LungModel(start=start, edge=trees.parse(text), **fields)


def write_model(path: Path, model: LungModel) -> None:
    """Write the model as numbers: large arrays in 8 bits, one scale a component."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, value in vars(model).items():
        if name == "edge":
            arrays[name] = np.frombuffer(value.text.encode("ascii"), np.uint8)
        elif (name.endswith("_weights") and value.ndim > 1) or name.endswith("_basis"):
            axis = -1 if name.endswith("_basis") else -2
            scale = np.abs(value).max(axis=axis, keepdims=True) / 127 + 1e-12
            arrays[name] = np.rint(value / scale).astype(np.int8)
            arrays[f"{name}_scale"] = scale.astype(np.float32)
        else:
            arrays[name] = value
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    load.cache_clear()


def find_pose(image: Array, model: LungModel) -> Pose:
    """Follow the learned steps from the average pose to the lungs of this image (side, side)."""
    half = halve(image)
    pose = model.start
    for weights, bias in zip(model.pose_weights, model.pose_biases, strict=True):
        pose = move_pose(pose, channels(half, pair_frame(pose), POSE_GRID).ravel() @ weights + bias)
    return pose


def pair_shape(read: Array, model: LungModel) -> Array:
    """Signed distance map of the lung at the left, from channels (3, h, w) in the pair's frame."""
    code = read.ravel() @ model.pair_weights + model.pair_bias
    return (code @ model.pair_basis + model.pair_mean).reshape(PAIR_GRID)


def lung_pose(shape: Array, pose: Pose) -> Pose:
    """Pose of one lung from its map in the pair's frame."""
    weights = np.clip(shape * 8 + 0.5, 0, 1) + 1e-6 * np.exp(shape)
    return moments(grid_points(pair_frame(pose), PAIR_GRID), weights.astype(np.float64), "x")


def lung_shape(image: Array, frame: Frame, model: LungModel) -> Array:
    """Signed distance map, EDGE_GRID, of one lung read in its own frame."""
    code = channels(image, frame, LUNG_GRID).ravel() @ model.lung_weights + model.lung_bias
    return refine_grid((code @ model.lung_basis + model.lung_mean).reshape(LUNG_GRID))


def refine_grid(shape: Array) -> Array:
    """A map on LUNG_GRID read on EDGE_GRID."""
    return look_up(shape, grid_points(np.eye(2, 3), EDGE_GRID))


def edge_table(ranks: Array, shape: Array) -> tuple[NDArray[np.intp], Array]:
    """Pixels (flat indices into EDGE_GRID) near an outline, and their profiles (n, features)."""
    at = np.flatnonzero(np.abs(shape) < BAND)
    row, column = np.unravel_index(at, EDGE_GRID)
    down, across = np.gradient(precise_gaussian(shape, 1.5))
    norm = np.hypot(down, across) + 1e-4
    down, across = (down / norm).ravel()[at], (across / norm).ravel()[at]

    smooth = precise_gaussian(ranks, 1.0)
    contrast = precise_gaussian(local_contrast(ranks, 3.0), 0.7)
    broad = precise_gaussian(ranks, 4.0)
    place = [column / EDGE_GRID[1], row / EDGE_GRID[0], shape.ravel()[at], down, across]
    walks = [
        walk(values, row, column, down, across, steps)
        for values, steps in ((smooth, PROFILE), (contrast, PROFILE), (broad, FAR))
    ]
    table = np.column_stack([*place, *walks, broad.ravel()[at]])
    return at, table.astype(np.float32)


def trim_edge(ranks: Array, shape: Array, edge: trees.Trees | None) -> Array:
    """Signed distances corrected near the outline by what the trees read across it."""
    at, table = edge_table(ranks, shape)
    if edge is None or len(at) == 0:
        return shape
    trimmed = shape.copy()
    trimmed.ravel()[at] = trees.predict(edge, table)
    return precise_gaussian(trimmed, SMOOTH)


def overlap(a: Mask, b: Mask) -> float:
    """Dice coefficient of two masks; 0 if both are empty."""
    return 2 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1.0)


@dataclass(frozen=True)
class Lung:
    """The lung at the left of an image: signed distances over a frame, and their `SIGNS`."""

    field: Array
    frame: Frame
    signs: NDArray[np.float64]


def trace_lung(image: Array, pose: Pose, model: LungModel) -> Lung:
    """Outline the lung at the left of a working image (SIDE, SIDE), given the pose of the pair."""
    pair = pair_frame(pose)
    rough = pair_shape(channels(halve(image), pair, PAIR_GRID), model)
    frame = lung_frame(lung_pose(rough, pose))
    shape = lung_shape(image, frame, model)
    ranks = ranks_in(image, frame, EDGE_GRID)
    field = trim_edge(ranks, shape, model.edge)
    back = np.linalg.inv(np.vstack([pair, [0, 0, 1]])) @ np.vstack([frame, [0, 0, 1]])
    rough_here = look_up(rough, grid_points(back[:2], EDGE_GRID))
    lung, rim = field > 0, (field < 0) & (field > -BAND)
    contrast = ranks[rim].mean() - ranks[lung].mean() if lung.any() and rim.any() else 0.0
    texture = float(np.abs(local_contrast(ranks, 1.0)).mean())
    unusual = ((pose - model.start) / [0.15, 0.3, 0.25, 0.3, 0.15]) ** 2
    signs = [
        overlap(lung, rough_here > 0),
        overlap(lung, shape > 0),
        float(contrast),
        float(np.abs(rough).mean()),
        float(lung.mean()),
        texture,
        *np.minimum(unusual, 9),
    ]
    return Lung(field, frame, np.array(signs))


def lung_quality(lung: Lung, model: LungModel) -> float:
    """Chance-like trust in an outline, 0 to 1, from its signs."""
    score = float(lung.signs @ model.quality_weights[:-1] + model.quality_weights[-1])
    return float(1 / (1 + np.exp(-np.clip(score, -30, 30))))
