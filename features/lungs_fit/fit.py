"""Fit the lung finder to the Montgomery set and say how well it does there and on JSRT.

The folder holds `Montgomery` and `JSRT`, each with `images/*.png` and `labels/*.png` of the same
names (Montgomery: lungs above 127; JSRT: 1 left lung, 2 right lung). Only Montgomery is learned
from; JSRT comes from other devices and is only scored. Montgomery is scored by folds: each fold is
segmented by a model fitted from scratch to the others. Within a fit every stage learns from what
earlier stages say of X-rays they were not fitted to, since they must expect such errors.

With ``--phantoms`` nothing real is learned from: what is then found on both sets is what phantoms
can teach.

References: Jaeger et al., Quant. Imaging Med. Surg. 4(6), 2014 (Montgomery); Shiraishi et al., AJR
174, 2000 (JSRT) with the outlines of van Ginneken et al., Med. Image Anal. 10, 2006.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.linear_model import LogisticRegression

from features import trees
from features.lungs import cascade, fields
from features.lungs.cascade import EDGE_GRID, LUNG_GRID, PAIR_GRID, POSE_GRID, LungModel
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
    lung_frame,
    move_pose,
    pair_frame,
    ranks_in,
)
from features.lungs_fit.views import (
    CANVAS,
    Case,
    View,
    drawn_cases,
    no_chest,
    random_view,
    read_cases,
    signed_distance,
)
from features.run import command
from features.run.files import UserError

SATURATION = 0.25  # distance at which signed distance maps saturate, in half frames
FEWEST = 10  # phantoms, so that each stage can be fitted to two thirds of them
FRESH = 3  # views of each X-ray kept back for the quality
TREES = {
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


@dataclass(frozen=True)
class FitSettings:
    """Where the lung masks are and how hard to fit.

    Attributes
    ----------
    data
        Folder that holds Montgomery and JSRT.
    out
        The model file to write; none is kept unless it is given. The one that ships is
        features/lungs/lungs_model.npz.
    views
        Random views of each X-ray.
    folds
        Folds of the Montgomery score; 0 leaves that score out.
    steps
        Steps of the pose.
    pair_codes
        Shapes of a lung in the frame of the pair.
    lung_codes
        Shapes of a lung in its own frame.
    ridge
        Ridge penalty of the shapes, in squared channel units.
    rounds
        Boosted trees.
    seed
        Of the views.
    phantoms
        Fit to so many phantoms in place of Montgomery, which is then scored as a whole.
    """

    data: Path
    out: Path | None = None
    views: int = 12
    folds: int = 5
    steps: int = 4
    pair_codes: int = 24
    lung_codes: int = 30
    ridge: float = 1.0
    rounds: int = 100
    seed: int = 0
    phantoms: int = 0


def cross_fit(
    x: Array, y: Array, groups: NDArray[np.intp], penalty: float, folds: int = 3
) -> tuple[Array, Array, Array]:
    """Ridge regression: predictions for rows not fitted to, then weights and bias fitted to all.

    The penalty counts once a row. Solved in its dual form, since rows are fewer than pixels.
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
        held, used = np.flatnonzero(groups % folds == fold), np.flatnonzero(groups % folds != fold)
        unseen[held] = gram[np.ix_(held, used)] @ solve(used) + mean_y
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


def _mirrored(x: Array) -> Array:
    return np.concatenate([x, x[..., ::-1]])


def _shape_space(y: Array, codes: int) -> tuple[Array, Array]:
    """Principal components (codes, pixels) of signed distance maps, and their mean."""
    mean = y.mean(axis=0)
    _, vectors = linalg.eigh((y - mean).T @ (y - mean))
    return np.ascontiguousarray(vectors[:, ::-1][:, :codes].T), mean


def fit_shapes(
    x: Array, y: Array, groups: NDArray[np.intp], codes: int, penalty: float
) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """Regress maps (n, pixels) on channels: unseen predictions; weights, bias, basis, mean."""
    basis, mean = _shape_space(y, codes)
    unseen, weights, bias = cross_fit(x, (y - mean) @ basis.T, groups, penalty)
    return unseen @ basis + mean, (weights, bias, basis, mean)


def fit_poses(
    views: list[View], groups: NDArray[np.intp], settings: FitSettings
) -> tuple[Pose, Array, Array, NDArray[np.float64]]:
    """The start, the steps' weights and biases, and each view's pose as found unseen."""
    goals = np.array([v.pose for v in views])
    start = np.where(MIRROR < 0, 0, goals.mean(axis=0))
    poses = np.tile(start, (len(views), 1))
    halves = [halve(v.image) for v in views]
    all_weights, all_biases = [], []
    for _ in command.progress(range(settings.steps), "pose", unit="steps"):
        seen = [channels(i, pair_frame(p), POSE_GRID) for i, p in zip(halves, poses, strict=True)]
        steps = np.array([pose_step(p, g) for p, g in zip(poses, goals, strict=True)], np.float32)
        x = _mirrored(np.array(seen)).reshape(2 * len(views), -1)
        y = np.concatenate([steps, steps * MIRROR]).astype(np.float32)
        unseen, weights, bias = cross_fit(x, y, np.tile(groups, 2), 0.3)
        poses = np.array([move_pose(p, s) for p, s in zip(poses, unseen, strict=False)])
        all_weights.append(weights)
        all_biases.append(bias)
    return start, np.array(all_weights), np.array(all_biases), np.asarray(poses)


def make_views(cases: list[Case], settings: FitSettings) -> list[list[View]]:
    """Random views of each case: `views` to fit to and FRESH more to judge the fit by."""
    views = []
    for number, case in enumerate(command.progress(cases, "random views")):
        rng = np.random.default_rng([settings.seed, number])
        maps = signed_distance(case.right), signed_distance(case.left)
        count = settings.views + FRESH
        views.append([random_view(case.pixels, *maps, rng) for _ in range(count)])
    return views


def fit(by_case: list[list[View]], settings: FitSettings) -> LungModel:
    """Fit every stage in turn to the views that `make_views` made of each case."""
    views = [v for one in by_case for v in one[:-FRESH]]
    fresh = [v for one in by_case for v in one[-FRESH:]]
    groups = np.repeat(np.arange(len(by_case)), settings.views)
    start, pose_weights, pose_biases, poses = fit_poses(views, groups, settings)
    # from here on every view is two samples: its right lung, and its left lung in the mirror
    images = [v.image for v in views] + [np.ascontiguousarray(v.image[:, ::-1]) for v in views]
    truths = [v.right for v in views] + [v.left[:, ::-1] for v in views]
    both = np.tile(groups, 2)
    poses = np.concatenate([poses, poses * MIRROR])
    frames = [pair_frame(p) for p in poses]
    seen = [channels(halve(i), f, PAIR_GRID) for i, f in zip(images, frames, strict=True)]
    y = [target(t, f, PAIR_GRID) for t, f in zip(truths, frames, strict=True)]
    rough, pair = fit_shapes(_flat(seen), _flat(y), both, settings.pair_codes, settings.ridge)
    own = [cascade.lung_pose(r.reshape(PAIR_GRID), p) for r, p in zip(rough, poses, strict=True)]
    frames = [lung_frame(p) for p in own]
    seen = [channels(i, f, LUNG_GRID) for i, f in zip(images, frames, strict=True)]
    y = [target(t, f, LUNG_GRID) for t, f in zip(truths, frames, strict=True)]
    shapes, lung = fit_shapes(_flat(seen), _flat(y), both, settings.lung_codes, settings.ridge)
    edge = fit_edge(images, truths, frames, shapes, settings)
    signs = len(cascade.SIGNS)
    model = LungModel(
        start, pose_weights, pose_biases, *pair, *lung, np.zeros(signs + 1, np.float32), edge
    )
    return replace(model, quality_weights=fit_quality(fresh, model, settings))


def _flat(arrays: list[Array]) -> Array:
    return np.array(arrays, np.float32).reshape(len(arrays), -1)


def fit_edge(
    images: list[Array],
    truths: list[Array],
    frames: list[Frame],
    shapes: Array,
    settings: FitSettings,
) -> trees.Trees:
    """Trees that read the true signed distance from the profile across an unseen outline."""
    rng = np.random.default_rng(settings.seed)
    tables, distances = [], []
    for image, truth, frame, flat in zip(images, truths, frames, shapes, strict=True):
        shape = cascade.refine_grid(flat.reshape(LUNG_GRID))
        goal = target(truth, frame, EDGE_GRID)
        if cascade.overlap(shape > 0, goal > 0) < 0.6:
            continue  # lost: the edge is not within reach
        at, table = cascade.edge_table(ranks_in(image, frame, EDGE_GRID), shape)
        chosen = rng.choice(len(at), min(80, len(at)), replace=False)
        tables.append(table[chosen])
        distances.append(goal.ravel()[at[chosen]])
    data = lightgbm.Dataset(np.concatenate(tables), np.concatenate(distances))
    return trees.parse(lightgbm.train(TREES, data, settings.rounds).model_to_string())


def fit_quality(views: list[View], model: LungModel, settings: FitSettings) -> Array:
    """Logistic regression from the signs to how good outlines of fresh views are.

    An outline of Dice 0.95 counts as wholly good, one of 0.6 as wholly bad, and so does whatever
    is found where there is no chest.
    """
    rng = np.random.default_rng(settings.seed)
    signs, good = [], []
    for view in views:
        lung = cascade.trace_lung(view.image, cascade.find_pose(view.image, model), model)
        truth = look_up(view.right, grid_points(lung.frame, EDGE_GRID), CANVAS)
        overlap = cascade.overlap(lung.field > 0, truth > 0)
        wrong = no_chest(view.image, rng)
        nothing = cascade.trace_lung(wrong, cascade.find_pose(wrong, model), model)
        signs += [lung.signs, nothing.signs]
        good += [float(np.clip((overlap - 0.6) / 0.35, 0, 1)), 0.0]
    x, t = np.array(signs), np.array(good)
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = np.concatenate([(x - mean) / spread] * 2)
    label = np.repeat([1, 0], len(t))
    fitted = LogisticRegression(C=1.0).fit(z, label, sample_weight=np.concatenate([t, 1 - t]))
    weights = fitted.coef_[0] / spread
    return np.append(weights, fitted.intercept_[0] - weights @ mean).astype(np.float32)


def scores(
    cases: list[Case], segment: Callable[[Array], fields.LungFields], what: str
) -> NDArray[np.float64]:
    """Dice of both lungs together, of the right and of the left: (cases, 3)."""
    rows = []
    for case in command.progress(cases, what):
        found = segment(case.pixels)
        rows.append(
            [
                cascade.overlap(found.right | found.left, case.right | case.left),
                cascade.overlap(found.right, case.right),
                cascade.overlap(found.left, case.left),
            ]
        )
    return np.array(rows)


def report(name: str, table: NDArray[np.float64]) -> None:
    """Print mean, median and worst of each column of `scores`."""
    for column, what in enumerate(("both", "right", "left")):
        d = table[:, column]
        print(f"{name:10} {what:5} Dice mean {d.mean():.4f} median {np.median(d):.4f}", end=" ")
        print(f"worst {d.min():.4f} (n = {len(d)})", flush=True)


def kept(model: LungModel, out: Path | None) -> LungModel:
    """The model as its file has it, in 8 bits; the file stays if it is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        path = out or Path(folder) / "model.npz"
        cascade.write_model(path, model)
        if out:
            print(f"wrote {out} ({out.stat().st_size / 1000:.0f} kB)", flush=True)
        return cascade.load(path)


def _check(settings: FitSettings) -> None:
    """Refuse numbers that nothing can be fitted by."""
    if settings.phantoms and settings.phantoms < FEWEST:
        raise UserError(f"--phantoms is {settings.phantoms}; give {FEWEST} or more, or 0 for none.")
    if settings.folds < 0 or settings.folds == 1:
        raise UserError(f"--folds is {settings.folds}; give 2 or more, or 0 for no score by folds.")
    for name in ("views", "steps", "pair_codes", "lung_codes", "rounds"):
        if (value := getattr(settings, name)) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {value}, but must be at least 1.")
    if not settings.ridge > 0:
        raise UserError(f"--ridge is {settings.ridge}, but must be above 0.")


def main(settings: FitSettings) -> None:
    """Fit to Montgomery or phantoms, write the model, score it where it has not learned."""
    _check(settings)
    montgomery = read_cases(settings.data / "Montgomery")
    jsrt = read_cases(settings.data / "JSRT")
    cases = drawn_cases(settings.phantoms) if settings.phantoms else montgomery
    views = make_views(cases, settings)
    model = kept(fit(views, settings), settings.out)
    report("JSRT", scores(jsrt, partial(fields.segment_with, model), "JSRT"))
    if settings.phantoms:
        report("Montgomery", scores(montgomery, partial(fields.segment_with, model), "Montgomery"))
        return
    held_out = []
    for fold in range(settings.folds):
        inside = [v for i, v in enumerate(views) if i % settings.folds != fold]
        outside = montgomery[fold :: settings.folds]
        part = fit(inside, settings)
        held_out.append(scores(outside, partial(fields.segment_with, part), f"fold {fold + 1}"))
    if held_out:
        report("Montgomery", np.concatenate(held_out))


if __name__ == "__main__":
    command.run(main)
