"""How far a predicted mask is from the truth: cross-entropy for every pixel, overlap for lesions.

Binary cross-entropy keeps each pixel calibrated but is dominated by the background; the soft Dice
loss (Milletari et al., 3DV 2016) looks at the overlap alone. The Dice term is averaged over the
images that have a lesion: on the others overlap is undefined, and cross-entropy says enough. The
focal loss (Lin et al., ICCV 2017), off by default, is a cross-entropy that passes over easy pixels.

An image whose mask is not known teaches by the probability t that it has a lesion (multiple
instance learning): t is what the highest logits of its map, pooled to one, should say, and with
probability 1 - t each of its pixels is healthy.
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
    focal: float = 0.0
    """Weight of the focal loss, a mean over all pixels."""
    focusing: float = 2.0
    """Exponent of the focal loss: 0 makes it the cross-entropy."""
    image: float = 1.0
    """Weight of the cross-entropy of each image's pooled logit."""
    healthy: float = 0.3
    """Weight of the cross-entropy of weakly labelled images' pixels, times 1 - t."""
    smooth: float = 1.0
    """Pixels added to both sides of the Dice quotient, so that tiny lesions stay tame."""


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
    overlap = (probabilities * masks).sum((1, 2))
    total = probabilities.sum((1, 2)) + masks.sum((1, 2))
    return (2 * overlap + smooth) / (total + smooth)


def hard_dice(
    probabilities: Float[Array, "n h w"], masks: Float[Array, "n h w"], threshold: float = 0.5
) -> Float[Array, " n"]:
    """Dice coefficient of each image after thresholding both; 1 where both are empty."""
    predicted = probabilities > threshold
    true = masks > 0.5
    overlap = (predicted & true).sum((1, 2))
    total = predicted.sum((1, 2)) + true.sum((1, 2))
    return jnp.where(total > 0, 2 * overlap / jnp.maximum(total, 1), 1.0)


def focal_loss(
    logits: Float[Array, "n h w"], masks: Float[Array, "n h w"], focusing: float
) -> Float[Array, " n"]:
    """Focal loss of each image: cross-entropy times (error of the probability) ** focusing."""
    error = jnp.abs(jax.nn.sigmoid(logits) - masks)
    # The exponent's derivative at an error of 0 would be infinite for a focusing below 1.
    weight = jnp.maximum(error, 1e-6) ** focusing
    return (weight * (jax.nn.softplus(logits) - masks * logits)).mean((1, 2))


def mask_loss(
    logits: Float[Array, "n h w"],
    masks: Float[Array, "n h w"],
    drawn: Bool[Array, " n"],
    config: LossConfig,
) -> Float[Array, ""]:
    """Weighted sum of the terms that compare maps with known masks.

    Parameters
    ----------
    logits : (n, h, w) float array
        The network's output.
    masks : (n, h, w) float array in [0, 1]
        Share of each pixel that is lesion.
    drawn : (n,) bool array
        Whether the mask is known; the other images do not count.
    config : LossConfig
        The weights.

    Returns
    -------
    float
        At least 0; 0 for a perfect, certain prediction.
    """
    lesion = drawn & (masks.max((1, 2)) > 0.5)
    overlap = soft_dice(jax.nn.sigmoid(logits), masks, config.smooth)
    loss = config.bce * _mean(cross_entropy(logits, masks), drawn)
    loss += config.dice * _mean(1 - overlap, lesion)
    if config.focal:
        loss += config.focal * _mean(focal_loss(logits, masks, config.focusing), drawn)
    return loss


def image_loss(
    logits: Float[Array, "n h w"],
    pooled: Float[Array, " n"],
    target: Float[Array, " n"],
    drawn: Bool[Array, " n"],
    config: LossConfig,
) -> Float[Array, ""]:
    """Weighted sum of the terms that need no mask, only the probability of a lesion.

    Parameters
    ----------
    logits : (n, h, w) float array
        The network's output.
    pooled : (n,) float array
        Logit of "this image has a lesion".
    target : (n,) float array in [0, 1]
        The probability to be learned.
    drawn : (n,) bool array
        Whether the mask is known; then `mask_loss` looks at its pixels.
    config : LossConfig
        The weights.
    """
    loss = config.image * (jax.nn.softplus(pooled) - target * pooled).mean()
    empty = cross_entropy(logits, jnp.zeros_like(logits))
    return loss + config.healthy * _mean((1 - target) * empty, ~drawn)


def _mean(values: Float[Array, " n"], chosen: Bool[Array, " n"]) -> Float[Array, ""]:
    """Mean of the chosen values, 0 if there are none."""
    return jnp.where(chosen, values, 0).sum() / jnp.maximum(chosen.sum(), 1)
