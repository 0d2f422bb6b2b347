"""Fits the quality gate anew: ``python -m features.quality.fit``.

It learns from phantoms, moved and with other tone curves, from their inverted, turned, mirrored and
cut copies, and from drawings of other things: from no patient. All follows from the seed, and the
same seed gives the same bytes.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from features.lungs.fields import segment
from features.lungs.frames import area_resize
from features.lungs.prepared import MARGIN, grow
from features.phantom.radiograph import phantom
from features.phantom.streams import child
from features.pixels import regions
from features.quality import gate, measures, other_pictures
from features.quality.copies import copies
from features.run import command, parallel

SIZE = 256  # pixels a side of the phantoms
CUTS = (0.27, 0.4)  # least and greatest share that is cut off
RIDGE = 0.001  # scikit-learn's C: the inverse of the weights' penalty
# Weights of the kinds that are hardest to tell; 1 for the others.
WEIGHTS = {"cut at the top": 3.0, "cut at the bottom": 5.0}
# Kinds of drawings that are called by a name of their own; the others are "other".
NAMED = ("lateral",)

Example = tuple[str, NDArray[np.float64]]  # kind and measures


@dataclass(frozen=True)
class Settings:
    """Fit the quality gate's classifier."""

    out: Path = gate.MODEL
    """File to write."""
    phantoms: int = 400
    """Phantoms, each with its copies."""
    drawings: int = 1040
    """Drawings of other things, of all kinds alike."""
    seed: int = 1826
    """Seed of all random numbers."""
    jobs: int = -1
    """Processes; -1 for one a core."""


def of_phantom(number: int, seed: int) -> list[Example]:
    """A phantom and its copies, measured."""
    rng = np.random.default_rng(child(seed, 1, number))
    image = phantom(child(seed, 2, number), size=SIZE)
    picture = _framed(
        image.pixels.astype(np.float32) / 255, image.right_lung | image.left_lung, rng
    )
    picture = _moved(picture, rng)
    cut = rng.uniform(*CUTS)
    examples = []
    for kind, copy in copies(picture, cut):
        # A cut picture may come at a size of its own, or be stretched to another.
        stretched = copy.shape != picture.shape and rng.random() < 1 / 3
        examples.append(_example(kind, copy, picture.shape if stretched else copy.shape))
    return examples


def of_drawing(number: int, seed: int) -> list[Example]:
    """A drawing of something else, measured."""
    kinds = list(other_pictures.KINDS)
    kind = kinds[number % len(kinds)]
    rng = np.random.default_rng(child(seed, 3, number))
    drawing = other_pictures.draw(kind, rng)
    sides = np.exp(rng.normal(0, 0.15, 2))
    return [_example(kind if kind in NAMED else "other", drawing, tuple(sides))]


def _example(kind: str, picture: NDArray[np.float32], shape: tuple[float, ...]) -> Example:
    small = np.ascontiguousarray(picture, np.float32)
    if small.shape != (measures.FRAME, measures.FRAME):
        small = area_resize(small, (measures.FRAME, measures.FRAME))
    lungs = grow(segment(small), MARGIN * measures.FRAME)
    return kind, measures.measure(small, lungs, shape[0] / shape[1])


def _framed(
    picture: NDArray[np.floating], lungs: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.floating]:
    """The picture cut to another ratio of its sides, never into the lungs."""
    ratio = np.exp(rng.normal(0.03, 0.13))
    axis = 1 if ratio > 1 else 0
    side = picture.shape[axis]
    box = regions.box(lungs, 2)[axis]
    start, stop = box.start, min(box.stop, side)
    kept = max(round(side * min(ratio, 1 / ratio)), stop - start)
    first = int(rng.integers(max(stop - kept, 0), min(start, side - kept) + 1))
    return np.take(picture, np.arange(first, first + kept), axis)


def _moved(picture: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float32]:
    """The picture tilted, stretched and shifted a little, with another tone curve."""
    angle, scale = rng.normal(0, 0.05), np.exp(rng.normal(0, [0.06, 0.06]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn * scale[:, None]
    middle = (np.array(picture.shape) - 1) / 2
    shift = rng.normal(0, 0.025, 2) * picture.shape
    moved = ndimage.affine_transform(
        picture, matrix, middle + shift - matrix @ middle, order=1, mode="nearest"
    )
    return (np.clip(moved, 0, 1) ** np.exp(rng.normal(0, 0.4))).astype(np.float32)


def fit(examples: list[Example]) -> gate.GateModel:
    """A multinomial logistic regression of the measures."""
    names = np.array([kind for kind, _ in examples])
    table = np.stack([values for _, values in examples])
    centre, spread = table.mean(axis=0), table.std(axis=0) + 1e-6
    terms = gate.expanded(table, centre, spread)
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    with threadpool_limits(1):  # sums in another order could round differently
        model = LogisticRegression(C=RIDGE, max_iter=1000, tol=1e-6)
        model.fit(terms, names, weights)
    kinds = tuple(str(name) for name in model.classes_)
    return gate.GateModel(kinds, centre, spread, model.coef_.T, model.intercept_)


def main(settings: Settings) -> None:
    """Draw, measure, fit and write the model."""
    examples: list[Example] = []
    for what, work, count in (
        ("phantoms", of_phantom, settings.phantoms),
        ("drawings", of_drawing, settings.drawings),
    ):
        function = partial(work, seed=settings.seed)
        for part in parallel.stream(function, range(count), what, settings.jobs):
            examples += part
    gate.write_model(settings.out, fit(examples))
    print(f"{settings.out}: {len(examples)} pictures")


if __name__ == "__main__":
    command.run(main)
