"""How images are put into batches, and in which order a fold's network learns from them.

The order of an epoch depends on seed, fold and epoch alone. So a run that was interrupted and goes
on has the same order as one that was not.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cnn.data.training_images import TrainingImages
from features.run.files import UserError

Number = TypeVar("Number", bound=np.number)


class EpochPlan(NamedTuple):
    """How many images an epoch has, and of which kinds."""

    steps: int
    """Number of batches."""
    batch: int
    """Images a batch."""
    positive_share: float
    """Share of images with a lesion among each kind, in [0, 1]; all of them if there are no
    others."""
    weak_share: float = 0.0
    """Share of images with a weak mask, but never more than they are of all images."""


def training_order(
    data: TrainingImages,
    without: tuple[int, ...],
    plan: EpochPlan,
    key: tuple[int, ...],
) -> NDArray[np.int32]:
    """Draw an epoch's batches from the images outside some folds.

    Each kind of images comes in permutations of all of them, one after the other, so that none
    comes twice before the others came once; then all are shuffled together.

    Parameters
    ----------
    data : TrainingImages
        The images.
    without : tuple of int
        The folds to leave out.
    plan : EpochPlan
        Batches, images in each, and shares.
    key : tuple of int
        Everything the draw depends on, e.g. (seed, fold, epoch).

    Returns
    -------
    (steps, batch) array of int32
        Positions in `data`.

    Raises
    ------
    UserError
        If no image outside these folds has a known lesion.
    """
    outside = ~np.isin(data.folds, without)
    if not (outside & data.known & data.positive).any():
        raise UserError(
            f"fold {' and '.join(map(str, without))}: none of the "
            f"{int((outside & data.known).sum())} images outside it has a mask of a "
            "lesion to learn from; use fewer folds or a dataset with more such masks, or do "
            "without the network (make report)."
        )
    generator = np.random.default_rng(key)
    total = plan.steps * plan.batch
    weak = round(total * min(plan.weak_share, float((~data.known[outside]).mean())))
    order = []
    for of_kind, total_of_kind in ((data.known, total - weak), (~data.known, weak)):
        positives = np.flatnonzero(outside & of_kind & data.positive)
        negatives = np.flatnonzero(outside & of_kind & ~data.positive)
        share = plan.positive_share if negatives.size else 1.0
        count = round(total_of_kind * share) if positives.size else 0
        order.append(_cycle(generator, positives, count))
        order.append(_cycle(generator, negatives, total_of_kind - count))
    shuffled = generator.permutation(np.concatenate(order))
    return shuffled.reshape(plan.steps, plan.batch).astype(np.int32)


def _cycle(
    generator: np.random.Generator, pool: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Take `count` members of `pool`, permutation after permutation."""
    if not count:
        return pool[:0]
    rounds = -(-count // pool.size)
    return np.concatenate([generator.permutation(pool) for _ in range(rounds)])[:count]


def chunks(count: int, length: int) -> Iterator[slice]:
    """Cut range(count) into slices of `length`, the last one shorter."""
    for start in range(0, count, length):
        yield slice(start, min(start + length, count))


def padded(array: NDArray[Number], length: int) -> NDArray[Number]:
    """Repeat the last item until the first axis is `length`, so that one compiled shape serves."""
    return np.concatenate([array, np.repeat(array[-1:], length - len(array), axis=0)])
