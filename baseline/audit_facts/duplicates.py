"""Pairs of pictures that show the same exposure: equal pixels, or almost the same picture.

A perceptual descriptor narrows all pairs down to a few candidates: the low cosines of a thumbnail,
as in the hash of Zauner (2010), but kept as numbers and measured against the dataset's own mean and
spread, since all chests look alike. A candidate is confirmed by the correlation of the two
thumbnails once one is shifted and scaled onto the other, so that a cropped copy is one too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Floats = NDArray[np.float32]

# Cosines kept in each direction, and from how many pictures on their mean and spread are known.
COSINES, FEWEST = 12, 20
# Pairs whose descriptors have at least this cosine similarity are looked at, the most alike first.
CANDIDATE, MOST_CANDIDATES = 0.7, 20_000
# Correlation of fine structure from which two thumbnails show the same exposure; two exposures of
# one patient reach 0.84 on siim-mini, and cropped copies start at 0.9. What is promising is laid
# on more closely.
SAME, PROMISING = 0.9, 0.7
# Scales, further steps of each axis and shifts (pixels of the thumbnail) at which one is laid onto
# the other.
SCALES = (1.0, 0.97, 1.03, 0.94, 1.06)
STEPS = (-0.03, -0.02, -0.01, 0.01, 0.02, 0.03)
REACH = 10
BLOCK = 1024


@dataclass(frozen=True)
class Pair:
    """Two pictures of the same exposure: their places in the table, and how alike they are.

    `correlation` is 1 for equal pixels; `overlay` is the second thumbnail laid onto the first.
    """

    first: int
    second: int
    exact: bool
    correlation: float
    overlay: NDArray[np.uint8]


def find(thumbnails: NDArray[np.uint8], digests: list[str]) -> list[Pair]:
    """All pairs, the most alike first.

    Parameters
    ----------
    thumbnails : (n, side, side) array of uint8
    digests : list of str
        Equal for equal pixels.
    """
    exact = _equal(digests)
    pairs = [Pair(i, j, True, 1.0, thumbnails[j]) for i, j in exact]
    structure: dict[int, Floats] = {}
    for i, j in _candidates(thumbnails):
        if digests[i] == digests[j]:
            continue
        if i not in structure:
            structure[i] = _structure(thumbnails[i].astype(np.float32))
        second = thumbnails[j].astype(np.float32)
        fit = _lay_onto(structure[i], second)
        if fit.correlation >= SAME:
            overlay = np.clip(np.rint(_moved(second, fit.scales, fit.shift)), 0, 255)
            pairs.append(Pair(i, j, False, fit.correlation, overlay.astype(np.uint8)))
    return sorted(pairs, key=lambda pair: (-pair.correlation, pair.first, pair.second))


def _equal(digests: list[str]) -> set[tuple[int, int]]:
    """Each picture with the first one that is equal to it."""
    first: dict[str, int] = {}
    pairs = set()
    for place, digest in enumerate(digests):
        if first.setdefault(digest, place) != place:
            pairs.add((first[digest], place))
    return pairs


def descriptors(thumbnails: NDArray[np.uint8]) -> Floats:
    """Unit vectors (n, cosines) whose scalar product says how alike two pictures are."""
    parts = [
        fft.dctn(thumbnails[start : start + BLOCK].astype(np.float32), axes=(1, 2), norm="ortho")
        for start in range(0, len(thumbnails), BLOCK)
    ]
    low = np.concatenate(
        [part[:, :COSINES, :COSINES].reshape(len(part), -1)[:, 1:] for part in parts]
    )
    # Brightness and contrast of the display are no part of the picture.
    low /= np.maximum(np.linalg.norm(low, axis=1, keepdims=True), 1e-6)
    if len(low) >= FEWEST:
        low = (low - low.mean(axis=0)) / np.maximum(low.std(axis=0), 1e-6)
    return low / np.maximum(np.linalg.norm(low, axis=1, keepdims=True), 1e-6)


def _candidates(thumbnails: NDArray[np.uint8]) -> list[tuple[int, int]]:
    vectors = descriptors(thumbnails)
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(vectors), BLOCK):
        # (rows of the block, n)
        alike = vectors[start : start + BLOCK] @ vectors.T
        rows, columns = np.nonzero(alike >= CANDIDATE)
        later = columns > rows + start
        found += zip(
            -alike[rows[later], columns[later]], rows[later] + start, columns[later], strict=True
        )
    return [(int(i), int(j)) for _, i, j in sorted(found)[:MOST_CANDIDATES]]


def _structure(image: Floats) -> Floats:
    """Structure between 1 and 5 pixels wide; zero mean, unit norm."""
    band = ndimage.gaussian_filter(image, 1) - ndimage.gaussian_filter(image, 5)
    band -= band.mean()
    norm = float(np.linalg.norm(band))
    return band / norm if norm > 1 else np.zeros_like(band)


def _moved(image: Floats, scales: tuple[float, float], shift: tuple[int, int] = (0, 0)) -> Floats:
    """The image scaled down and across about its middle, then shifted."""
    middle = (np.array(image.shape) - 1) / 2
    factors = 1 / np.array(scales)
    offset = middle - (middle + shift) * factors
    return ndimage.affine_transform(image, factors, offset, order=1, mode="nearest").astype(
        np.float32
    )


@dataclass(frozen=True)
class _Fit:
    """How the second picture is scaled and shifted onto the first, and the correlation then."""

    correlation: float
    scales: tuple[float, float]
    shift: tuple[int, int]


def _lay_onto(first: Floats, second: Floats) -> _Fit:
    """The scales and the shift at which two pictures correlate most.

    Parameters
    ----------
    first : (side, side) array
        Structure of the first picture.
    second : (side, side) array
        The second picture.
    """
    spectrum = np.conj(fft.rfft2(first))
    best = max((_at(spectrum, second, (s, s)) for s in SCALES), key=lambda fit: fit.correlation)
    if best.correlation < PROMISING:
        return best
    # A crop may take more off one side than off another.
    for axis in (0, 1):
        for step in STEPS:
            scales = list(best.scales)
            scales[axis] += step
            fit = _at(spectrum, second, (scales[0], scales[1]))
            best = max(best, fit, key=lambda fit: fit.correlation)
    return best


def _at(spectrum: NDArray[np.complexfloating], second: Floats, scales: tuple[float, float]) -> _Fit:
    """The best shift at given scales, by the Fourier transform of the first picture."""
    moved = _structure(_moved(second, scales))
    match = fft.irfft2(fft.rfft2(moved) * spectrum, s=second.shape)
    near = np.roll(match, (REACH, REACH), axis=(0, 1))[: 2 * REACH + 1, : 2 * REACH + 1]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    return _Fit(float(near[row, column]), scales, (REACH - int(row), REACH - int(column)))
