"""The fit of each stage of the lung finder: pose, shapes, edge, quality.

Within a fit, every stage learns from what the stages before it predict for X-rays to which those
were not fitted, since it must expect such errors.
"""

from __future__ import annotations

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.linear_model import LogisticRegression

from features import trees
from features.lungs import cascade
from features.lungs.cascade import EDGE_GRID, LUNG_GRID, POSE_GRID, LungModel
from features.lungs.frames import (
    MIRROR,
    SIDE,
    Array,
    Frame,
    Pose,
    channels,
    grid_points,
    halve,
    look_up,
    move_pose,
    pair_frame,
    ranks_in,
)
from features.lungs_fit.views import CANVAS, View, no_chest
from features.run import command

SATURATION = 0.25  # distance at which signed distance maps saturate, in half frames
# LightGBM's parameters of the trees that correct the edge.
EDGE_PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.12,
    "num_leaves": 24,
    "min_data_in_leaf": 200,
    "max_bin": 63,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "feature_fraction": 0.6,
    "seed": 1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


def cross_fit(
    x: Array, y: Array, groups: NDArray[np.intp], penalty: float, folds: int = 3
) -> tuple[Array, Array, Array]:
    """Ridge regression, solved in its dual form, since there are fewer rows than columns.

    Parameters
    ----------
    x : (n, p) array
    y : (n, q) array
    groups : (n,) array of int
        Rows of one group stay together in a fold.
    penalty : float
        Ridge penalty, multiplied by the number of rows.
    folds : int

    Returns
    -------
    unseen : (n, q) array
        Predictions of each row by the fit to the other folds.
    weights : (p, q) array
        Of the fit to all rows.
    bias : (q,) array
    """
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - mean_x, y - mean_y
    gram = x @ x.T

    def solve(rows: NDArray[np.intp]) -> Array:
        inner = gram[np.ix_(rows, rows)]
        inner[np.diag_indices_from(inner)] += penalty * len(rows)
        return linalg.solve(inner, y[rows], assume_a="pos", overwrite_a=True).astype(np.float32)

    unseen = np.empty_like(y)
    for fold in range(folds):
        held_out, used = (
            np.flatnonzero(groups % folds == fold),
            np.flatnonzero(groups % folds != fold),
        )
        unseen[held_out] = gram[np.ix_(held_out, used)] @ solve(used) + mean_y
    weights = x.T @ solve(np.arange(len(x)))
    return unseen, weights, (mean_y - mean_x @ weights).astype(np.float32)


def pose_step(pose: Pose, goal: Pose) -> NDArray[np.float64]:
    """The step that `move_pose` needs to come from `pose` to `goal`."""
    width, height = np.exp(pose[2:4])
    x = (goal[0] - pose[0]) / width
    y = (goal[1] - pose[1] - pose[4] * x * width) / height
    return np.array([x, y, *(goal[2:4] - pose[2:4]), (goal[4] - pose[4]) * width / height])


def target(distances: Array, frame: Frame, grid: tuple[int, int]) -> Array:
    """Saturated signed distances of a lung on a grid over a frame, -1..1."""
    unit = np.sqrt(abs(np.linalg.det(frame[:, :2]))) * SIDE / 2 * SATURATION  # in view pixels
    return np.clip(look_up(distances, grid_points(frame, grid), CANVAS) / unit, -1, 1)


def _with_mirror(x: Array) -> Array:
    """Images (..., h, w) and, behind them, their mirror images."""
    return np.concatenate([x, x[..., ::-1]])


def _shape_space(y: Array, codes: int) -> tuple[Array, Array]:
    """Principal components (codes, pixels) of signed distance maps, and their mean."""
    mean = y.mean(axis=0)
    _, vectors = linalg.eigh((y - mean).T @ (y - mean))
    return np.ascontiguousarray(vectors[:, ::-1][:, :codes].T), mean


def fit_shapes(
    x: Array, y: Array, groups: NDArray[np.intp], codes: int, penalty: float
) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """Regress maps `y` (n, pixels) on channels `x` (n, columns) by their principal components.

    Returns
    -------
    unseen : (n, pixels) array
        Predictions of each row by the fit to other folds, see `cross_fit`.
    fitted : tuple of array
        Weights, bias, basis and mean, as in `LungModel`.
    """
    basis, mean = _shape_space(y, codes)
    unseen, weights, bias = cross_fit(x, (y - mean) @ basis.T, groups, penalty)
    return unseen @ basis + mean, (weights, bias, basis, mean)


def fit_poses(
    views: list[View], groups: NDArray[np.intp], step_count: int
) -> tuple[Pose, Array, Array, NDArray[np.float64]]:
    """The start pose, weights and biases of the steps, and each view's pose by fits to others."""
    goals = np.array([v.pose for v in views])
    start = np.where(MIRROR < 0, 0, goals.mean(axis=0))
    poses = np.tile(start, (len(views), 1))
    halves = [halve(v.image) for v in views]
    all_weights, all_biases = [], []
    for _ in command.progress(range(step_count), "pose", unit="steps"):
        read = [channels(i, pair_frame(p), POSE_GRID) for i, p in zip(halves, poses, strict=True)]
        steps = np.array([pose_step(p, g) for p, g in zip(poses, goals, strict=True)], np.float32)
        x = _with_mirror(np.array(read)).reshape(2 * len(views), -1)
        y = np.concatenate([steps, steps * MIRROR]).astype(np.float32)
        unseen, weights, bias = cross_fit(x, y, np.tile(groups, 2), 0.3)
        poses = np.array([move_pose(p, s) for p, s in zip(poses, unseen, strict=False)])
        all_weights.append(weights)
        all_biases.append(bias)
    return start, np.array(all_weights), np.array(all_biases), np.asarray(poses)


def fit_edge(
    images: list[Array],
    truths: list[Array],
    frames: list[Frame],
    shapes: Array,
    rounds: int,
    seed: int,
) -> trees.Trees:
    """Boosted trees that predict the signed distance from the profile across an outline.

    `shapes` (n, pixels) are predictions by fits to other X-rays, since the trees must expect their
    errors.
    """
    rng = np.random.default_rng(seed)
    tables, distances = [], []
    for image, truth, frame, flat in zip(images, truths, frames, shapes, strict=True):
        shape = cascade.refine_grid(flat.reshape(LUNG_GRID))
        goal = target(truth, frame, EDGE_GRID)
        if cascade.overlap(shape > 0, goal > 0) < 0.6:
            continue  # the outline is too far from the edge
        at, table = cascade.edge_table(ranks_in(image, frame, EDGE_GRID), shape)
        chosen = rng.choice(len(at), min(80, len(at)), replace=False)
        tables.append(table[chosen])
        distances.append(goal.ravel()[at[chosen]])
    data = lightgbm.Dataset(np.concatenate(tables), np.concatenate(distances))
    return trees.parse(lightgbm.train(EDGE_PARAMETERS, data, rounds).model_to_string())


def fit_quality(views: list[View], model: LungModel, seed: int) -> Array:
    """Logistic regression of the quality of outlines on their signs, in views not fitted to.

    An outline of Dice 0.95 counts as wholly good, one of 0.6 as wholly bad, and so does every
    outline where there is no chest.
    """
    rng = np.random.default_rng(seed)
    signs, good = [], []
    for view in views:
        lung = cascade.trace_lung(view.image, cascade.find_pose(view.image, model), model)
        truth = look_up(view.right, grid_points(lung.frame, EDGE_GRID), CANVAS)
        overlap = cascade.overlap(lung.field > 0, truth > 0)
        other = no_chest(view.image, rng)
        no_lung = cascade.trace_lung(other, cascade.find_pose(other, model), model)
        signs += [lung.signs, no_lung.signs]
        good += [float(np.clip((overlap - 0.6) / 0.35, 0, 1)), 0.0]
    x, t = np.array(signs), np.array(good)
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = np.concatenate([(x - mean) / spread] * 2)
    label = np.repeat([1, 0], len(t))
    fitted = LogisticRegression(C=1.0).fit(z, label, sample_weight=np.concatenate([t, 1 - t]))
    weights = fitted.coef_[0] / spread
    return np.append(weights, fitted.intercept_[0] - weights @ mean).astype(np.float32)
