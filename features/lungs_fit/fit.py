"""Fit the lung finder to the Montgomery set; print how well it does there and on JSRT.

The folder holds `Montgomery` and `JSRT`, each with `images/*.png` and `labels/*.png` of the same
names (Montgomery: lungs above 127; JSRT: 1 left lung, 2 right lung). The model learns from
Montgomery alone; JSRT comes from other devices and is only scored. Montgomery is scored by folds:
each fold is segmented by a model that was fitted to the others.

With ``--phantoms`` the model learns from phantoms alone, and both sets are only scored: this shows
how much can be learned from phantoms.

References: Jaeger et al., Quant. Imaging Med. Surg. 4(6), 2014 (Montgomery); Shiraishi et al., AJR
174, 2000 (JSRT) with the outlines of van Ginneken et al., Med. Image Anal. 10, 2006.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.lungs import cascade, fields
from features.lungs.cascade import LUNG_GRID, PAIR_GRID, LungModel
from features.lungs.frames import MIRROR, Array, channels, halve, lung_frame, pair_frame
from features.lungs_fit.cases import Case, phantom_cases, read_cases
from features.lungs_fit.stages import fit_edge, fit_poses, fit_quality, fit_shapes, target
from features.lungs_fit.views import View, random_view, signed_distance
from features.run import command
from features.run.files import UserError

FEWEST = 10  # phantoms, so that each stage can be fitted to two thirds of them
FRESH = 3  # views of each X-ray to which only the quality is fitted


@dataclass(frozen=True)
class Settings:
    """Where the lung masks are and how hard to fit.

    Attributes
    ----------
    data
        Folder that holds Montgomery and JSRT.
    out
        The model file to write; without it no model is kept. The one that ships is
        features/lungs/lungs_model.npz.
    views
        Number of random views of each X-ray.
    folds
        Folds of the Montgomery score; 0 leaves that score out.
    steps
        Number of steps of the pose.
    pair_codes
        Number of principal components of a lung in the frame of the pair.
    lung_codes
        Number of principal components of a lung in its own frame.
    ridge
        Ridge penalty of the shapes, in squared channel units.
    rounds
        Number of boosted trees.
    seed
        Seed of the views.
    phantoms
        Number of phantoms to fit to in place of Montgomery, which is then scored as a whole.
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


def make_views(cases: list[Case], settings: Settings) -> list[list[View]]:
    """Random views of each case: `views` to fit to, and FRESH others to fit the quality to."""
    views = []
    for number, case in enumerate(command.progress(cases, "random views")):
        rng = np.random.default_rng([settings.seed, number])
        maps = signed_distance(case.right), signed_distance(case.left)
        count = settings.views + FRESH
        views.append([random_view(case.pixels, *maps, rng) for _ in range(count)])
    return views


def fit(by_case: list[list[View]], settings: Settings) -> LungModel:
    """Fit every stage in turn to the views that `make_views` made of each case."""
    views = [view for of_case in by_case for view in of_case[:-FRESH]]
    fresh = [view for of_case in by_case for view in of_case[-FRESH:]]
    groups = np.repeat(np.arange(len(by_case)), settings.views)
    start, pose_weights, pose_biases, poses = fit_poses(views, groups, settings.steps)
    # From here on every view is two samples: its right lung, and its left lung in the mirror.
    images = [v.image for v in views] + [np.ascontiguousarray(v.image[:, ::-1]) for v in views]
    truths = [v.right for v in views] + [v.left[:, ::-1] for v in views]
    groups = np.tile(groups, 2)
    poses = np.concatenate([poses, poses * MIRROR])
    frames = [pair_frame(p) for p in poses]
    read = [channels(halve(i), f, PAIR_GRID) for i, f in zip(images, frames, strict=True)]
    y = [target(t, f, PAIR_GRID) for t, f in zip(truths, frames, strict=True)]
    rough, pair = fit_shapes(_flat(read), _flat(y), groups, settings.pair_codes, settings.ridge)
    rough = rough.reshape(-1, *PAIR_GRID)
    frames = [
        lung_frame(cascade.lung_pose(shape, p)) for shape, p in zip(rough, poses, strict=True)
    ]
    read = [channels(i, f, LUNG_GRID) for i, f in zip(images, frames, strict=True)]
    y = [target(t, f, LUNG_GRID) for t, f in zip(truths, frames, strict=True)]
    shapes, lung = fit_shapes(_flat(read), _flat(y), groups, settings.lung_codes, settings.ridge)
    edge = fit_edge(images, truths, frames, shapes, settings.rounds, settings.seed)
    signs = len(cascade.SIGNS)
    model = LungModel(
        start, pose_weights, pose_biases, *pair, *lung, np.zeros(signs + 1, np.float32), edge
    )
    return replace(model, quality_weights=fit_quality(fresh, model, settings.seed))


def _flat(arrays: list[Array]) -> Array:
    """Arrays of one shape as rows (n, values)."""
    return np.array(arrays, np.float32).reshape(len(arrays), -1)


def scores(
    cases: list[Case], segment: Callable[[Array], fields.LungFields], what: str
) -> NDArray[np.float64]:
    """Dice of both lungs together, of the right and of the left: (cases, 3)."""
    rows = []
    for case in command.progress(cases, what):
        lungs = segment(case.pixels)
        rows.append(
            [
                cascade.overlap(lungs.right | lungs.left, case.right | case.left),
                cascade.overlap(lungs.right, case.right),
                cascade.overlap(lungs.left, case.left),
            ]
        )
    return np.array(rows)


def report(name: str, table: NDArray[np.float64]) -> None:
    """Print mean, median and worst of each column of `scores`."""
    for column, what in enumerate(("both", "right", "left")):
        d = table[:, column]
        print(f"{name:10} {what:5} Dice mean {d.mean():.4f} median {np.median(d):.4f}", end=" ")
        print(f"worst {d.min():.4f} (n = {len(d)})", flush=True)


def written(model: LungModel, out: Path | None) -> LungModel:
    """The model as it is read back from its file, in 8 bits; the file is kept only at `out`."""
    with tempfile.TemporaryDirectory() as folder:
        path = out or Path(folder) / "model.npz"
        cascade.write_model(path, model)
        if out:
            print(f"wrote {out} ({out.stat().st_size / 1000:.0f} kB)", flush=True)
        return cascade.load(path)


def _check(settings: Settings) -> None:
    """Refuse numbers with which nothing can be fitted."""
    if settings.phantoms and settings.phantoms < FEWEST:
        raise UserError(f"--phantoms is {settings.phantoms}; give {FEWEST} or more, or 0 for none.")
    if settings.folds < 0 or settings.folds == 1:
        raise UserError(f"--folds is {settings.folds}; give 2 or more, or 0 for no score by folds.")
    for name in ("views", "steps", "pair_codes", "lung_codes", "rounds"):
        if (value := getattr(settings, name)) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {value}, but must be at least 1.")
    if not settings.ridge > 0:
        raise UserError(f"--ridge is {settings.ridge}, but must be above 0.")


def main(settings: Settings) -> None:
    """Fit to Montgomery or phantoms, write the model, score it on other X-rays."""
    _check(settings)
    montgomery = read_cases(settings.data / "Montgomery")
    jsrt = read_cases(settings.data / "JSRT")
    cases = phantom_cases(settings.phantoms) if settings.phantoms else montgomery
    views = make_views(cases, settings)
    model = written(fit(views, settings), settings.out)
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
