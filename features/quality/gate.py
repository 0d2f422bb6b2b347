"""The quality gate: is a picture a frontal chest X-ray, upright, whole and with air dark?

A logistic regression reads a thumbnail, its edges, how the lungs fit and what lies beside them
(`features.quality.measures`). It has learned from phantoms, from their turned, inverted and cut
copies, and from drawings of other things (`features.quality.fit`), so what ships is no model of
patients. What is flagged is never ruled out, and the reason is given. A second regression tells the
heart's side; a mirrored heart is noted only, since dextrocardia exists.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.lungs.fields import LungFields
from features.lungs.frames import area_resize
from features.lungs.prepared import working_size
from features.quality import measures
from features.reading.study import Study
from features.run.files import atomic

MODEL = Path(__file__).with_name("gate_model.npz")
GOOD, BLANK, MIRRORED = "good", "blank", "mirrored"
UNDEREXPOSED, OVEREXPOSED = "underexposed", "overexposed"
# What a user is told of each kind; the sides are the viewer's.
WORDS = {
    GOOD: "",
    "other": "it may be no frontal chest X-ray",
    "lateral": "it may be a lateral view",
    "inverted": "its greys may be inverted (air should be dark)",
    "turned left": "it may be turned by 90 degrees to the left",
    "turned right": "it may be turned by 90 degrees to the right",
    "upside down": "it may be upside down",
    "cut at the top": "its lungs may be cut off at the top",
    "cut at the bottom": "its lungs may be cut off at the bottom",
    "cut at the left": "its lungs may be cut off at the left of the picture",
    "cut at the right": "its lungs may be cut off at the right of the picture",
    MIRRORED: "the heart seems to lie on the right: a mirrored picture, or dextrocardia",
    BLANK: "it is of one grey",
    UNDEREXPOSED: "it may be underexposed: much of the lungs is of the brightest grey",
    OVEREXPOSED: "it may be overexposed: much of the lungs is of the darkest grey",
}
FLAGGED_FROM = 0.5
# Share of the lungs' pixels at one end of the grey scale from which an exposure is flagged.
BURNT = 0.25
# Log-odds at which a picture is flagged, and at which a heart on the right is noted. Phantoms are
# cleaner than X-rays, so they are not 0: one in 200 and one in 100 of the X-rays in one half of
# siim-mini's patients lie beyond them, rounded up to a tenth; the other half tells how good they
# are (tests/benchmarks/quality_gate.py).
LIMIT, HEART_LIMIT = 2.1, 1.6


@dataclass(frozen=True)
class Quality:
    """What the gate says of a picture.

    Parameters
    ----------
    probability : float
        That it is no whole, upright frontal chest X-ray with air dark, 0 to 1.
    kind : str
        A key of `WORDS`: what it is most likely, "good" if nothing seems wrong.
    words : str
        A sentence on what was found, without an end; "" for nothing.
    flagged : bool
        Whether nothing may rest on the picture.
    """

    probability: float
    kind: str
    words: str
    flagged: bool

    @property
    def sentence(self) -> str:
        """The words as a sentence for a page; "" for nothing."""
        if not self.words:
            return ""
        if not self.flagged:
            return f"Image quality: {self.words}."
        chance = f"probability {self.probability:.0%}"
        return f"Image quality: {self.words} ({chance}); nothing may rest on it."


@dataclass(frozen=True)
class GateModel:
    """Two logistic regressions: scores are ``expanded(measures) @ weights + biases``.

    Parameters
    ----------
    kinds : tuple of str
    centre, spread : (measures.CLASSIFIED,) arrays
        Mean and standard deviation of what it has learned from.
    weights : (terms, kinds) array
    biases : (kinds,) array
    heart : (measures.COUNT - measures.CLASSIFIED,) array
        Log-odds that the heart lies at the viewer's left are the last measures times these.
    """

    kinds: tuple[str, ...]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    heart: NDArray[np.float64]


@lru_cache(maxsize=2)
def load(path: Path = MODEL) -> GateModel:
    """Read a fitted model: numbers and names, no pickle."""
    with np.load(path, allow_pickle=False) as stored:
        kinds = tuple(str(name) for name in stored["kinds"])
        weights = stored["weights"] * stored["unit"]
        names = ("centre", "spread", "biases", "heart")
        centre, spread, biases, heart = (stored[name].astype(np.float64) for name in names)
        return GateModel(kinds, centre, spread, weights, biases, heart)


def write_model(path: Path, model: GateModel) -> None:
    """Write a model, its weights in 16 bits; the same model gives the same bytes."""
    unit = float(f"{np.abs(model.weights).max() / 32767:.6e}")
    arrays = {
        "kinds": np.array(model.kinds),
        "centre": model.centre.astype(np.float32),
        "spread": model.spread.astype(np.float32),
        "weights": np.rint(model.weights / unit).clip(-32767, 32767).astype(np.int16),
        "unit": np.array(unit),
        "biases": np.round(model.biases, 4).astype(np.float32),
        "heart": np.round(model.heart, 5).astype(np.float32),
    }
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    load.cache_clear()


def examine(study: Study, pixels: NDArray[np.float32], lungs: LungFields) -> Quality:
    """What the gate says of an X-ray.

    Parameters
    ----------
    study : Study
        Its tags; what is odd about them is told too.
    pixels : (h, w) array of float32 in [0, 1]
        Air dark.
    lungs : LungFields
        Its lungs at the working size, see `features.lungs.prepared`.
    """
    image = working_size(pixels)
    quality = _picture(image, lungs)
    if not quality.flagged:
        quality = _exposure(image, lungs) or quality
    words = "; ".join(part.rstrip(".") for part in (quality.words, *study.notes) if part)
    return Quality(quality.probability, quality.kind, words, quality.flagged)


def _exposure(image: NDArray[np.float32], lungs: LungFields) -> Quality | None:
    """A quality on a chest whose lungs have lost their greys; None if they have them."""
    inside = image[lungs.right | lungs.left]
    for kind, burnt in (
        (OVEREXPOSED, float((inside <= 0).mean())),
        (UNDEREXPOSED, float((inside >= 1).mean())),
    ):
        if burnt > BURNT:
            return Quality(max(burnt, FLAGGED_FROM), kind, WORDS[kind], True)
    return None


def _picture(image: NDArray[np.float32], lungs: LungFields) -> Quality:
    """The classifier's quality."""
    if np.ptp(image) <= 1e-6:
        return Quality(1.0, BLANK, WORDS[BLANK], True)
    return classify(load().kinds, *judged(load(), measured(image, lungs)))


def measured(image: NDArray[np.float32], lungs: LungFields) -> NDArray[np.float64]:
    """The measures of an image at the working size."""
    small = area_resize(image, (measures.FRAME, measures.FRAME))
    return measures.measure(small, lungs, image.shape[0] / image.shape[1])


def expanded(
    values: NDArray[np.float64], centre: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Terms of the regression (..., terms): standardised measures, and how the lungs fit squared.

    Whether a lung ends in the picture depends on the picture's shape, so what is said of the lungs
    enters also multiplied by that.

    Parameters
    ----------
    values : (..., measures.CLASSIFIED) array
    centre, spread : (measures.CLASSIFIED,) arrays
    """
    standard = (values - centre) / spread
    fit = np.clip(standard[..., measures.PICTURE : measures.LUNGS], -4, 4)
    rest = np.clip(standard[..., measures.LUNGS :], -4, 4)
    shape = fit[..., measures.SHAPE - measures.PICTURE, None]
    plain = standard[..., : measures.LUNGS]
    return np.concatenate([plain, fit**2 - 1, shape * fit, rest], axis=-1)


def judged(
    model: GateModel, values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log of each kind's likelihood, up to a constant; log-odds that the heart is on the right.

    Parameters
    ----------
    model : GateModel
    values : (..., measures.COUNT) array

    Returns
    -------
    scores : (..., kinds) array
    heart : (...) array
    """
    known = expanded(values[..., : measures.CLASSIFIED], model.centre, model.spread)
    return known @ model.weights + model.biases, values[..., measures.CLASSIFIED :] @ model.heart


def log_odds(kinds: tuple[str, ...], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds that something is wrong, for scores (..., kinds)."""
    fine = np.array(kinds) == GOOD
    return np.logaddexp.reduce(scores[..., ~fine], axis=-1) - scores[..., fine][..., 0]


def classify(
    kinds: tuple[str, ...], scores: NDArray[np.float64], heart: float | NDArray[np.float64]
) -> Quality:
    """The quality that follows from a picture's scores (kinds,) and the heart's log-odds."""
    odds = float(log_odds(kinds, scores)) - LIMIT
    probability = float(1 / (1 + np.exp(-np.clip(odds, -30, 30))))
    flagged = probability >= FLAGGED_FROM
    if flagged:
        by_kind = dict(zip(kinds, scores.tolist(), strict=True))
        kind = max((name for name in kinds if name != GOOD), key=by_kind.__getitem__)
    else:
        kind = MIRRORED if heart > HEART_LIMIT else GOOD
    return Quality(probability, kind, WORDS[kind], flagged)
