"""What looks wrong in codes that can be decoded: they give a mask, but hardly the one meant.

Three mistakes leave codes valid. Runs counted along the rows give the mask mirrored at the
diagonal; runs of a smaller image give stripes in a larger one; and a mask that was cut at 0 covers
the whole image. Each leaves traces, but no proof, so these are warnings.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from baseline.learning import scores
from features.reading import rle

# The largest official mask of SIIM-ACR covers 15% of its image.
LARGEST_SHARE = 0.4
# Sides to which the images are often shrunk, and the part of them by which two runs of neighbouring
# columns may be shifted.
SIDES, SHIFT = (128, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024), 1 / 16
# Fewest pairs of neighbouring runs, and the share of them that must lie one column of the smaller
# image apart; of the 3,576 official codes of SIIM-ACR one does.
FEWEST, SHARE = 3, 0.6
# How many times likelier the places of all masks must be once mirrored. Of single right masks of
# SIIM-ACR 4% reach it, of ten together 1 in 1,000.
LIKELIHOOD_RATIO = 10.0
# By how much the mean Dice must be higher once mirrored, where the truth is known.
GAIN = 0.05


def suspicions(
    codes: Sequence[str], truth: Sequence[str | None], sizes: Sequence[tuple[int, int]]
) -> list[str]:
    """A sentence for each mistake that the codes of a submission may be of.

    Parameters
    ----------
    codes : sequence of str
        Codes that can be decoded, one an image; "-1" for none.
    truth : sequence of str or None
        The true codes where they are known.
    sizes : sequence of (int, int)
        Rows and columns of the images.
    """
    drawn = [
        (code, true, size)
        for code, true, size in zip(codes, truth, sizes, strict=True)
        if code.strip() != rle.EMPTY
    ]
    return [*_whole(drawn), *_of_smaller_images(drawn), *_along_rows(drawn)]


Drawn = list[tuple[str, str | None, tuple[int, int]]]


def _whole(drawn: Drawn) -> Iterator[str]:
    shares = np.array([rle.area(code) / (height * width) for code, _, (height, width) in drawn])
    count = int((shares > LARGEST_SHARE).sum())
    if count:
        yield (
            f"{count} of {len(drawn)} masks cover more than {LARGEST_SHARE:.0%} of their image, "
            f"the largest {shares.max():.0%}; no pneumothorax of the challenge covers so much, so "
            "check the level at which the probability maps are cut."
        )


def _of_smaller_images(drawn: Drawn) -> Iterator[str]:
    sides = [side for code, _, (height, _) in drawn if (side := pitch(code, height))]
    if sides:
        side = max(set(sides), key=sides.count)
        yield (
            f"{len(sides)} of {len(drawn)} masks have runs that lie {side} pixels apart, like "
            f"codes of an image of {side}x{side} pixels; enlarge the masks to the image's own size "
            "before they are encoded."
        )


def pitch(code: str, height: int) -> int | None:
    """The side of the image that a code seems to be of, if it is not `height`; else None.

    Where a region continues in the next column, its run begins about one column later.
    """
    begins = rle.runs(code)
    steps = np.diff(begins[:, 0])
    if len(steps) < FEWEST:
        return None
    for side in SIDES:
        near = np.abs(steps - side) <= SHIFT * side
        if abs(side - height) > SHIFT * height and near.mean() >= SHARE:
            return side if int(begins[-1].sum()) <= side * side else None
    return None


def _along_rows(drawn: Drawn) -> Iterator[str]:
    repair = "encode the transposed mask, so that pixels run down the columns."
    log_ratio, masks, dice = 0.0, 0, []
    for code, true, (height, width) in drawn:
        if height != width:
            continue
        mask = rle.decode(code, (height, width))
        log_ratio, masks = log_ratio + _log_likelihood_ratio(mask), masks + 1
        if true is not None and true.strip() != rle.EMPTY:
            true_mask = rle.decode(true, mask.shape)
            dice.append((scores.dice(mask, true_mask), scores.dice(mask.T, true_mask)))
    if dice:
        read, mirrored = np.mean(dice, axis=0)
        if mirrored > read + GAIN:
            yield (
                f"read along the rows, the masks have a mean Dice of {mirrored:.3f} on the images "
                f"with a true mask, and {read:.3f} as they are; {repair}"
            )
    elif log_ratio > np.log(LIKELIHOOD_RATIO):
        ratio = np.exp(min(log_ratio, np.log(1e6)))
        yield (
            f"the places of all masks ({masks}) are {ratio:,.0f} times "
            "likelier if the codes count along the rows: air lies beside the midline and above the "
            f"middle of an image; {repair}"
        )


def _log_likelihood_ratio(mask: NDArray[np.bool_]) -> float:
    """How much likelier the middle of a mask is once mirrored at the diagonal, as a logarithm."""
    down, across = (float(np.mean(place) / len(mask)) for place in np.nonzero(mask))
    return _likelihood(across, down) - _likelihood(down, across)


def _likelihood(down: float, across: float) -> float:
    """Log-likelihood of a mask's middle, as shares of the image.

    A coarse description of the 2,669 annotated images of SIIM-ACR: a peak in the upper part of
    either lung, and a wide one for the bases; the constants allow for anything else.
    """

    def peak(value: float, middle: float, width: float) -> float:
        return float(np.exp(-(((value - middle) / width) ** 2) / 2) / width)

    beside = 0.6 * peak(across, 0.325, 0.073) + 0.4 * peak(across, 0.68, 0.075) + 0.05
    above = 0.7 * peak(down, 0.22, 0.08) + 0.3 * peak(down, 0.52, 0.17) + 0.05
    return float(np.log(beside) + np.log(above))
