"""How far a predicted mask is from the truth: cross-entropy for every pixel, overlap for lesions.

Binary cross-entropy keeps each pixel calibrated but is dominated by the background; the soft Dice
loss (Milletari et al., 3DV 2016) looks at the overlap alone. The Dice term is averaged over the
images that have a lesion: on the others it is undefined, and cross-entropy is enough.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms of the loss."""

    bce: float = 1.0
    """Weight of the binary cross-entropy, a mean over all pixels."""
    dice: float = 1.0
    """Weight of the soft Dice loss, a mean over the images with a lesion."""
    smooth: float = 1.0
    """Pixels added above and below in the Dice quotient, so that tiny lesions weigh moderately."""


def cross_entropy(
    logits: Float[Array, "n h w"], masks: Float[Array, "n h w"]
) -> Float[Array, " n"]:
    """Binary cross-entropy of each image, in nats per pixel, from logits and masks in [0, 1]."""
    losses = jax.nn.softplus(logits) - masks * logits  # stable at any logit
    return losses.mean((1, 2))


def soft_dice(
    probabilities: Float[Array, "n h w"], masks: Float[Array, "n h w"], smooth: float = 1.0
) -> Float[Array, " n"]:
    """Soft Dice coefficient of each image, in [0, 1]: 2 |P M| / (|P| + |M|), smoothed."""
    common = (probabilities * masks).sum((1, 2))
    total = probabilities.sum((1, 2)) + masks.sum((1, 2))
    return (2 * common + smooth) / (total + smooth)


def hard_dice(
    probabilities: Float[Array, "n h w"], masks: Float[Array, "n h w"], threshold: float = 0.5
) -> Float[Array, " n"]:
    """Dice of the thresholded prediction and the mask cut at 0.5; 1 where both are empty."""
    predicted = probabilities > threshold
    true = masks > 0.5
    common = (predicted & true).sum((1, 2))
    total = predicted.sum((1, 2)) + true.sum((1, 2))
    return jnp.where(total > 0, 2 * common / jnp.maximum(total, 1), 1.0)


def mean_shares(
    positive: Bool[Array, " n"],
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Share of each image in the mean over all images, and in that over images with a lesion."""
    lesion = positive / jnp.maximum(positive.sum(), 1)
    return jnp.full_like(lesion, 1 / len(positive)), lesion


def segmentation_loss(
    logits: Float[Array, "n h w"],
    masks: Float[Array, "n h w"],
    shares: tuple[Float[Array, " n"], Float[Array, " n"]],
    config: LossConfig,
) -> Float[Array, ""]:
    """Weighted sum of cross-entropy and Dice loss over a batch, or over a part of one.

    Parameters
    ----------
    logits : (n, h, w) float array
        The network's output.
    masks : (n, h, w) float array in [0, 1]
        Share of each pixel that is lesion.
    shares : pair of (n,) arrays
        Of `mean_shares` for the whole batch: the losses of its parts add up to its own.
    config : LossConfig
        The weights.

    Returns
    -------
    float
        At least 0; 0 for a perfect, certain prediction.
    """
    share_of_all, share_of_lesions = shares
    pixel_loss = config.bce * cross_entropy(logits, masks)
    dice_loss = config.dice * (1 - soft_dice(jax.nn.sigmoid(logits), masks, config.smooth))
    return (share_of_all * pixel_loss + share_of_lesions * dice_loss).sum()
