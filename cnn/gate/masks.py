"""From a probability map to the mask at the X-ray's own size: the one place where that is done."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from baseline.gate.rules import MASK_LEVELS, RANKS, GateInputs
from cnn.data.geometry import from_square

# Entropy of a probability of each grey level in bits.
ENTROPY = entr(np.arange(256) / 255) + entr(1 - np.arange(256) / 255)
ENTROPY /= np.log(2)


def to_original(probability: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a square map back to the X-ray's own size, as grey levels of 1/255.

    Parameters
    ----------
    probability : (size, size) array of float32 in [0, 1]
        Map as the network drew it.
    shape : (int, int)
        Rows and columns of the X-ray.

    Returns
    -------
    (rows, columns) array of uint8
    """
    scaled = from_square(probability, *shape)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def cut(grey: NDArray[np.uint8], mask_level: int) -> NDArray[np.bool_]:
    """The mask of a map at the X-ray's own size, cut at one of the gate's `MASK_LEVELS`."""
    return grey >= MASK_LEVELS[mask_level]


def measure(
    grey: NDArray[np.uint8],
    zone: NDArray[np.bool_],
    truth: NDArray[np.bool_] | None,
    log_odds: float,
) -> GateInputs:
    """The gate's inputs from one map.

    Parameters
    ----------
    grey : (h, w) array of uint8
        Map at the X-ray's own size.
    zone : (h, w) array of bool
        The zone with the largest SHAP contribution for pneumothorax.
    truth : (h, w) array of bool, optional
        True mask, if known.
    log_odds : float
        Of the classifier.

    Returns
    -------
    GateInputs
        Of one image.
    """
    counts = np.bincount(grey.ravel(), minlength=256)
    # One count of the grey levels gives the areas at all mask levels.
    above = _from_above(counts)
    ranks = [np.flatnonzero(above >= rank * grey.size)[-1] for rank in RANKS]
    dice = np.full(len(MASK_LEVELS), np.nan)
    if truth is not None:
        inside = _from_above(np.bincount(grey[truth], minlength=256))
        total = above[MASK_LEVELS] + truth.sum()
        dice = np.where(total == 0, 1.0, 2 * inside[MASK_LEVELS] / np.maximum(total, 1))
    return GateInputs(
        log_odds=np.array([log_odds]),
        top=np.array([ranks]) / 255,
        area=above[None, MASK_LEVELS] / grey.size,
        entropy=np.array([counts @ ENTROPY / grey.size]),
        agreement=np.array([grey[zone].mean() / 255 if zone.any() else 0.0]),
        dice=dice[None],
        positive=np.array([np.nan if truth is None else float(truth.any())]),
    )


def _from_above(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    """Pixels at or above each grey level."""
    return np.cumsum(counts[::-1])[::-1]
