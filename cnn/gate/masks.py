"""From a probability map to the mask at the X-ray's own size: the one place where that is done."""

import numpy as np
from numba import njit, vectorize
from numpy.typing import NDArray
from scipy.special import entr

from baseline.gate.rules import MASK_SHARES, RANKS, TOP, TOP_LEVELS, GateInputs, cut_levels
from features.squares.geometry import from_square

# Entropy of a probability of each grey level in bits.
ENTROPY = entr(np.arange(256) / 255) + entr(1 - np.arange(256) / 255)
ENTROPY /= np.log(2)
NOTHING, ONE, FULL = np.float32(0), np.float32(1), np.float32(255)


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
    return _levels(from_square(probability, *shape))


@vectorize(["uint8(float32)"], cache=True)
def _levels(probability):  # type: ignore[no-untyped-def]
    """Grey levels of 1/255."""
    return np.uint8(np.rint(min(max(probability, NOTHING), ONE) * FULL))


def cut(grey: NDArray[np.uint8], mask_share: int) -> NDArray[np.bool_]:
    """The mask of a map at the X-ray's own size, cut at one of the gate's `MASK_SHARES`."""
    return grey >= cut_level(grey, mask_share)


def cut_level(grey: NDArray[np.uint8], mask_share: int) -> int:
    """The grey level from which on a map is mask, see `rules.cut_levels`."""
    above = _from_above(_histogram(grey))
    return int(cut_levels(_tops(above)[TOP], mask_share))


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
    nowhere = np.zeros(grey.shape, bool)
    # Of each grey level: pixels outside and inside the truth, outside and inside the zone.
    levels = _count(grey, nowhere if truth is None else truth, zone)
    counts = levels.sum(axis=(0, 1))
    # One count of the grey levels gives the areas at all levels.
    above = _from_above(counts)
    tops = _tops(above)
    dice = np.full(len(MASK_SHARES), np.nan)
    area = int(levels[1].sum())
    if truth is not None:
        inside = _from_above(levels[1].sum(axis=0))
        levels_cut = cut_levels(tops[TOP], np.arange(len(MASK_SHARES)))
        total = above[levels_cut] + area
        dice = np.where(total == 0, 1.0, 2 * inside[levels_cut] / np.maximum(total, 1))
    in_zone = levels[:, 1].sum(axis=0)
    filled = (in_zone @ np.arange(256)) / max(in_zone.sum(), 1)
    return GateInputs(
        log_odds=np.array([log_odds]),
        top=tops[None] / 255,
        area=above[None, TOP_LEVELS] / grey.size,
        entropy=np.array([counts @ ENTROPY / grey.size]),
        agreement=np.array([filled / 255]),
        dice=dice[None],
        positive=np.array([np.nan if truth is None else float(area > 0)]),
    )


@njit(cache=True)
def _histogram(grey):  # type: ignore[no-untyped-def]
    """Pixels of each grey level, (256,)."""
    counts = np.zeros(256, np.int64)
    for row in range(grey.shape[0]):
        for column in range(grey.shape[1]):
            counts[grey[row, column]] += 1
    return counts


@njit(cache=True)
def _count(grey, truth, zone):  # type: ignore[no-untyped-def]
    """Pixels by truth, zone and grey level, (2, 2, 256)."""
    counts = np.zeros((2, 2, 256), np.int64)
    for row in range(grey.shape[0]):
        for column in range(grey.shape[1]):
            here = np.int64(truth[row, column]), np.int64(zone[row, column])
            counts[here[0], here[1], grey[row, column]] += 1
    return counts


def _from_above(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    """Pixels at or above each grey level."""
    return np.cumsum(counts[::-1])[::-1]


def _tops(above: NDArray[np.integer]) -> NDArray[np.integer]:
    """The grey level that each of `RANKS` of the pixels reach."""
    return np.array([np.flatnonzero(above >= rank * above[0])[-1] for rank in RANKS])
