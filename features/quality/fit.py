"""Fits the quality gate anew: ``python -m features.quality.fit``.

It learns from phantoms, moved and with other tone curves, from their inverted, turned and cut
copies, and from drawings of other things: from no patient. The heart's side is learned from the
whole phantoms. All follows from the seed, and the same seed gives the same bytes.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from features.lungs.fields import segment
from features.lungs.frames import area_resize
from features.lungs.prepared import MARGIN, grow
from features.phantom.streams import child
from features.quality import gate, measures, other_pictures, phantom_copies
from features.run import command, parallel

RIDGE = 0.0003  # scikit-learn's C: the inverse of the weights' penalty
HEART_RIDGE = 0.001
# Weights of the kinds that need others than 1: each cut is learned in two shapes, and lungs that
# miss no more than their bases are the hardest to tell.
WEIGHTS = {
    "cut at the top": 0.5,
    "cut at the bottom": 2.5,
    "cut at the left": 0.5,
    "cut at the right": 0.5,
}
# Kinds of drawings that are called by a name of their own; the others are "other".
NAMED = ("lateral",)

Example = tuple[str, NDArray[np.float64]]  # kind and measures


@dataclass(frozen=True)
class Settings:
    """Fit the quality gate's classifier."""

    out: Path = gate.MODEL
    """File to write."""
    phantoms: int = 750
    """Phantoms, each with its copies."""
    drawings: int = 1040
    """Drawings of other things, of all kinds alike."""
    seed: int = 1826
    """Seed of all random numbers."""
    jobs: int = -1
    """Processes; -1 for one a core."""


def of_phantom(number: int, seed: int) -> list[Example]:
    """A phantom and its copies, measured; the phantom as it is comes first."""
    return [
        example
        for copy in phantom_copies.of_phantom(number, seed)
        if copy.kinds
        for example in _examples(copy.picture, copy.kinds)
    ]


def of_drawing(number: int, seed: int) -> list[Example]:
    """A drawing of something else, measured."""
    kinds = list(other_pictures.KINDS)
    kind = kinds[number % len(kinds)]
    rng = np.random.default_rng(child(seed, 3, number))
    drawing = other_pictures.draw(kind, rng)
    height, width = np.exp(rng.normal(0, 0.15, 2))
    return _examples(drawing, ((kind if kind in NAMED else "other", height / width),))


def _examples(picture: NDArray[np.float32], kinds: tuple[tuple[str, float], ...]) -> list[Example]:
    """A picture measured at each ratio of height to width, with what it is called there."""
    small = np.ascontiguousarray(picture, np.float32)
    if small.shape != (measures.FRAME, measures.FRAME):
        small = area_resize(small, (measures.FRAME, measures.FRAME))
    lungs = grow(segment(small), MARGIN * measures.FRAME)
    return [(kind, measures.measure(small, lungs, ratio)) for kind, ratio in kinds]


def fit(examples: list[Example], upright: NDArray[np.float64]) -> gate.GateModel:
    """A multinomial logistic regression of the measures, and one of the heart's side.

    Parameters
    ----------
    examples : list of (str, (measures,) array)
    upright : (n, measures) array
        Whole chests, the heart at the viewer's right.
    """
    names = np.array([kind for kind, _ in examples])
    table = np.stack([values[: measures.CLASSIFIED] for _, values in examples])
    centre, spread = table.mean(axis=0), table.std(axis=0) + 1e-6
    terms = gate.expanded(table, centre, spread)
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    with threadpool_limits(1):  # sums in another order could round differently
        model = LogisticRegression(C=RIDGE, max_iter=1000, tol=1e-6)
        model.fit(terms, names, weights)
        heart = _heart_weights(upright[:, measures.CLASSIFIED :])
    kinds = tuple(str(name) for name in model.classes_)
    return gate.GateModel(kinds, centre, spread, model.coef_.T, model.intercept_, heart)


def _heart_weights(asymmetry: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the log-odds that the heart lies at the viewer's left.

    In a mirrored picture all differences between the sides change their sign.
    """
    spread = asymmetry.std(axis=0) + 1e-6
    model = LogisticRegression(C=HEART_RIDGE, fit_intercept=False, max_iter=1000, tol=1e-6)
    mirrored = np.repeat([False, True], len(asymmetry))
    model.fit(np.concatenate([asymmetry, -asymmetry]) / spread, mirrored)
    return model.coef_[0] / spread


def main(settings: Settings) -> None:
    """Draw, measure, fit and write the model."""
    examples: list[Example] = []
    upright = []
    work = partial(of_phantom, seed=settings.seed)
    for part in parallel.stream(work, range(settings.phantoms), "phantoms", settings.jobs):
        examples += part
        upright.append(part[0][1])
    work = partial(of_drawing, seed=settings.seed)
    for part in parallel.stream(work, range(settings.drawings), "drawings", settings.jobs):
        examples += part
    gate.write_model(settings.out, fit(examples, np.stack(upright)))
    print(f"{settings.out}: {len(examples)} pictures")


if __name__ == "__main__":
    command.run(main)
